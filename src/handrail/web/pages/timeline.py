"""When what happened: the model's calls, tools, checks and waits of a session as bars on one line of time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from handrail.kinds import Kind
from handrail.types import Event

KINDS = frozenset({
    Kind.MODEL_CALLED, Kind.TOOL_STARTED, Kind.TOOL_ENDED, Kind.CHECK_STARTED, Kind.CHECK_ENDED, Kind.APPROVAL_ASKED,
    Kind.APPROVAL_ANSWERED,
})  # fmt: skip
"""what bars are made of; all else is not read"""
LANES = ("model", "tool", "check", "wait")
WIDTH = 1000.0
"""units across the picture"""
_LEAST = 3.0


class Bar(Struct, frozen=True):
    """One span: where it stands in the picture, and what it was."""

    seq: int
    """the event that its block in the transcript has for its address: where the span began; 0 where it has no block"""
    lane: str
    label: str
    start: datetime
    seconds: float
    turn: int | None
    x: float = 0.0
    width: float = 0.0


def bars(events: Iterable[Event]) -> list[Bar]:
    """The spans of `events`, placed from 0 to `WIDTH`."""
    found: list[Bar] = []
    asked: dict[str, Event] = {}
    calls: dict[str, tuple[int, str]] = {}
    checks: dict[str, int] = {}
    for event in events:
        data = event.data
        if event.kind == Kind.TOOL_STARTED:
            calls[str(data.get("call"))] = (event.seq, str(data.get("title") or data.get("tool") or "tool"))
        elif event.kind == Kind.CHECK_STARTED:
            checks[_check(event)] = event.seq
        elif event.kind == Kind.MODEL_CALLED:
            found.append(_ended(event, 0, "model", str(data.get("model") or "model")))
        elif event.kind == Kind.TOOL_ENDED:
            seq, title = calls.pop(str(data.get("call")), (event.seq, "tool"))
            found.append(_ended(event, seq, "tool", title))
        elif event.kind == Kind.CHECK_ENDED:
            seq = checks.pop(_check(event), event.seq)
            found.append(_ended(event, seq, "check", str(data.get("command") or "check")))
        elif event.kind == Kind.APPROVAL_ASKED:
            asked[str(data.get("approval"))] = event
        elif event.kind == Kind.APPROVAL_ANSWERED and (began := asked.pop(str(data.get("approval")), None)):
            waited = (event.time - began.time).total_seconds()
            found.append(
                Bar(began.seq, "wait", str(began.data.get("title") or "answer"), began.time, waited, event.turn)
            )
    return _placed(sorted(found, key=lambda bar: (bar.start, bar.seq)))


def _check(event: Event) -> str:
    return str(event.data.get("check") or event.data.get("command"))


def _ended(event: Event, seq: int, lane: str, label: str) -> Bar:
    told = event.data.get("seconds")
    seconds = max(0.0, float(told)) if isinstance(told, int | float) else 0.0
    return Bar(seq, lane, label, event.time - timedelta(seconds=min(seconds, 1e6)), seconds, event.turn)


def _placed(found: list[Bar]) -> list[Bar]:
    if not found:
        return []
    first = found[0].start
    last = max(bar.start + timedelta(seconds=bar.seconds) for bar in found)
    scale = WIDTH / max(0.001, (last - first).total_seconds())
    placed = []
    for bar in found:
        width = min(WIDTH, max(_LEAST, bar.seconds * scale))
        x = min(WIDTH - width, (bar.start - first).total_seconds() * scale)
        placed.append(Bar(bar.seq, bar.lane, bar.label, bar.start, bar.seconds, bar.turn, round(x, 1), round(width, 1)))
    return placed
