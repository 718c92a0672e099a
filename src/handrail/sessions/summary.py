"""Words from the log: for an agent that could not load its own session, and for a person whose limit stopped one."""

from __future__ import annotations

from collections.abc import Sequence

from handrail.kinds import Kind
from handrail.types import Event

LOST = (
    "[Handrail: your memory of this session was lost and could not be loaded. This is a summary from Handrail's "
    "log, not your own memory; the files in the workspace are as you left them.]"
)
UNHEARD = (
    "[Handrail: no agent could be started for this session until now. This is what was asked before, from Handrail's "
    "log.]"
)
BRANCHED = (
    "[Handrail: this session was branched from another one. This is a summary of that one up to there, from Handrail's "
    "log; the files in the workspace are as they were then.]"
)
_TEXT = 1500
_TOTAL = 12_000


_HEARD = frozenset({Kind.AGENT_TEXT, Kind.AGENT_THOUGHT, Kind.TOOL_STARTED})


def heard(events: Sequence[Event]) -> bool:
    """Whether the agent has said or done anything."""
    return any(event.kind in _HEARD for event in events)


def last_words(events: Sequence[Event]) -> str:
    """What the agent said last towards its goal, whether or not it went on to act: its own summary, where it gave one.

    Args:
        events: the newest of the session's log, in order.
    """
    parts: list[str] = []
    over = False
    for event in events:
        if event.kind == Kind.AGENT_TEXT:
            parts = [] if over else parts
            parts.append(str(event.data.get("text", "")))
            over = False
        elif event.kind == Kind.GOAL_SET:
            parts = []
        elif event.kind in (Kind.TOOL_STARTED, Kind.TURN_STARTED):
            over = True
    return _short("".join(parts).strip())


def replay(events: Sequence[Event], why: str = LOST) -> str:
    """The conversation so far in the words of the log: prompts, answers, actions; the newest kept where it is long.

    Args:
        events: the session's log in order; the turn that is about to start is left out by the caller.
        why: what the agent is told of it first.
    """
    lines: list[str] = []
    answer: list[str] = []
    for event in events:
        if event.kind == Kind.AGENT_TEXT:
            answer.append(str(event.data.get("text", "")))
            continue
        if answer:
            lines.append("You answered: " + _short("".join(answer)))
            answer = []
        line = _line(event)
        if line is not None:
            lines.append(line)
    if answer:
        lines.append("You answered: " + _short("".join(answer)))
    kept: list[str] = []
    size = 0
    for line in reversed(lines):
        size += len(line)
        if size > _TOTAL:
            kept.append("(earlier parts are left out)")
            break
        kept.append(line)
    body = "\n".join(reversed(kept))
    return f"{why}\n{body}\n[End of the summary.]\n\n"


def _line(event: Event) -> str | None:
    data = event.data
    match event.kind:
        case Kind.GOAL_SET:
            return f"The goal was set: {_short(str(data.get('text', '')))}"
        case Kind.TURN_STARTED:
            return f"The person asked (turn {event.turn}): {_short(str(data.get('text', '')))}"
        case Kind.TOOL_STARTED:
            return f"You used a tool: {_short(str(data.get('title', '')), 200)}"
        case Kind.TOOL_ENDED if data.get("status") != "completed":
            return f"  … which ended as {data.get('status')}"
        case Kind.CHECK_ENDED:
            verdict = "passed" if data.get("passed") else "failed"
            return f"Check `{data.get('command')}` {verdict}"
        case Kind.TURN_ENDED:
            return f"(turn {event.turn} ended: {data.get('stop_reason')})"
        case _:
            return None


def _short(text: str, limit: int = _TEXT) -> str:
    return text if len(text) <= limit else text[:limit] + " …"
