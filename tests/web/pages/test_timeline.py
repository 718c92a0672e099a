from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from handrail.kinds import Kind
from handrail.types import Event, SessionId
from handrail.web.pages import timeline
from handrail.web.pages.timeline import WIDTH, Bar
from handrail.web.pages.transcript import blocks

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def bars(events: list[Event]) -> list[Bar]:
    """As the page reads them."""
    return timeline.bars(event for event in events if event.kind in timeline.KINDS)


def event(seq: int, at: float, kind: str, **data: Any) -> Event:
    return Event(SessionId("s"), seq, NOON + timedelta(seconds=at), kind, data, 1)


def test_spans_stand_where_they_were() -> None:
    found = bars(
        [
            event(1, 10, Kind.MODEL_CALLED, model="m", seconds=10),
            event(2, 10, Kind.TOOL_STARTED, call="c", title="ls"),
            event(3, 12, Kind.TOOL_ENDED, call="c", seconds=2),
            event(4, 12, Kind.APPROVAL_ASKED, approval="a", title="rm"),
            event(5, 20, Kind.APPROVAL_ANSWERED, approval="a"),
        ]
    )
    assert [(bar.lane, bar.label, bar.seconds) for bar in found] == [
        ("model", "m", 10), ("tool", "ls", 2), ("wait", "rm", 8)
    ]  # fmt: skip
    assert [(bar.x, bar.width) for bar in found] == [(0, 500), (500, 100), (600, 400)]


def test_a_span_leads_to_the_block_that_the_transcript_has_of_it() -> None:
    events = [
        event(1, 1, Kind.MODEL_CALLED, model="m", seconds=1),
        event(2, 1, Kind.TOOL_STARTED, call="c", title="ls"),
        event(3, 2, Kind.TOOL_UPDATED, call="c", title="ls -l"),
        event(4, 3, Kind.TOOL_ENDED, call="c", seconds=2),
        event(5, 3, Kind.CHECK_STARTED, check="k", command="true"),
        event(6, 4, Kind.CHECK_ENDED, check="k", command="true", passed=True, seconds=1),
        event(7, 4, Kind.APPROVAL_ASKED, approval="a", title="rm"),
        event(8, 5, Kind.APPROVAL_ANSWERED, approval="a"),
        event(9, 6, Kind.TOOL_ENDED, call="never seen to start", seconds=1),
    ]
    led = [bar.seq for bar in bars(events)]
    assert led == [0, 2, 5, 7, 9]
    assert set(led) - {0} <= {block.seq for block in blocks(events)}


def test_odd_data_stays_in_the_picture() -> None:
    found = bars([event(1, 0, Kind.TOOL_ENDED, seconds="x"), event(2, 0, Kind.CHECK_ENDED, seconds=-5)])
    assert all(0 <= bar.x <= WIDTH - bar.width for bar in found)
    assert bars([]) == []
