from __future__ import annotations

import pytest

from handrail.kinds import Kind
from handrail.types import Event, Json, SessionId, now
from handrail.web.pages.evidence import KINDS, evidence


def log(*given: tuple[Kind, Json]) -> list[Event]:
    """As the page reads it."""
    events = [Event(SessionId("s-1"), seq, now(), kind, data, 1) for seq, (kind, data) in enumerate(given, 1)]
    return [event for event in events if event.kind in KINDS]


def did(tool: str, title: str = "t") -> list[tuple[Kind, Json]]:
    started: Json = {"call": "c", "tool": tool, "title": title}
    return [(Kind.TOOL_STARTED, started), (Kind.TOOL_ENDED, {"call": "c", "status": "completed"})]


EDIT, PYTEST = did("edit"), did("execute", "pytest -q")
GOAL: tuple[Kind, Json] = (Kind.GOAL_SET, {"checks": ["sh check.sh", "make lint"]})
CHECK: tuple[Kind, Json] = (Kind.CHECK_ENDED, {"command": "sh check.sh", "passed": True, "output": "fine"})
LINT: tuple[Kind, Json] = (Kind.CHECK_ENDED, {"command": "make lint", "passed": False})


@pytest.mark.parametrize(
    ("events", "fresh", "ran", "words"),
    [
        (EDIT, [], [], "Nobody checked this change"),
        ([*EDIT, *PYTEST], [], ["pytest -q"], "Nobody checked this change"),
        ([*PYTEST, *EDIT], [], [], "Nobody checked this change"),
        ([GOAL, *EDIT, CHECK, LINT], [True, True], [], ""),
        ([GOAL, *EDIT, CHECK], [True], [], "since the last edit: make lint."),
        ([*EDIT, CHECK, *did("read"), *did("search")], [True], [], ""),
        ([*EDIT, CHECK, *EDIT], [False], [], "since the last edit: sh check.sh."),
        ([*EDIT, CHECK, *PYTEST], [False], ["pytest -q"], "since the last edit: sh check.sh."),
        ([*EDIT, CHECK, (Kind.SNAPSHOT_TAKEN, {"restored": True})], [False], [], "since the last edit"),
        ([CHECK, *EDIT, LINT], [True, False], [], "since the last edit: sh check.sh."),
    ],
)
def test_what_was_verified_as_it_is_now(
    events: list[tuple[Kind, Json]], fresh: list[bool], ran: list[str], words: str
) -> None:
    found = evidence(log(*events))
    assert [check.fresh for check in found.checks] == fresh
    assert [command for command, _ in found.ran] == ran
    assert words in found.unverified
    assert bool(found.unverified) is bool(words)
    assert found.told["unverified"] == (found.unverified or None)
    assert "at work" in evidence(log(*events), working=True).unverified
