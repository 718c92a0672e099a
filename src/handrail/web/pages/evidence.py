"""What speaks for a change: checks that ran after the last edit, what the agent ran, what nobody verified. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from handrail.kinds import Kind
from handrail.types import Event, Json

KINDS = frozenset(
    {Kind.GOAL_SET, Kind.CHECK_ENDED, Kind.SNAPSHOT_TAKEN, Kind.TOOL_STARTED, Kind.TOOL_UPDATED, Kind.TOOL_ENDED}
)
"""what evidence is made of; all else is not read"""
_HARMLESS = frozenset({"read", "search", "think", "fetch", "plan"})
"""kinds of tools that change no file; after any other one, a check says nothing any more"""
_RUNS = "execute"
_SHOWN = 5
_OUTPUT = 4000


class Check(Struct, frozen=True):
    """The last result of one check. `fresh`: nothing that could change a file was done since."""

    command: str
    passed: bool
    output: str
    fresh: bool
    turn: int | None


class Evidence(Struct):
    """What there is."""

    checks: list[Check] = field(default_factory=list)
    ran: list[tuple[str, str]] = field(default_factory=list)
    """(command, status) of what the agent ran after its last edit: its own word, in its own home"""
    unverified: str = ""
    """what no check has seen, as a sentence; empty where a check saw the change as it is now"""

    @property
    def told(self) -> Json:
        """As JSON."""
        names = ("command", "passed", "output", "fresh", "turn")
        checks = [{name: getattr(check, name) for name in names} for check in self.checks]
        return {"checks": checks, "agent_ran": [list(one) for one in self.ran], "unverified": self.unverified or None}


def evidence(events: Iterable[Event], *, working: bool = False) -> Evidence:
    """The evidence that a session's log holds.

    Args:
        events: its log, or the end of it.
        working: whether a turn is under way.
    """
    results: dict[str, Check] = {}
    ran: list[tuple[str, str]] = []
    running: dict[str, str] = {}
    wanted: list[str] = []
    for event in events:
        data, call = event.data, str(event.data.get("call") or "")
        if event.kind == Kind.GOAL_SET:
            given = data.get("checks")
            wanted = [str(one) for one in given] if isinstance(given, list) else []
        elif event.kind == Kind.CHECK_ENDED:
            command, output = str(data.get("command", "")), str(data.get("output") or "")[-_OUTPUT:]
            results[command] = Check(command, data.get("passed") is True, output, fresh=True, turn=event.turn)
        elif event.kind == Kind.SNAPSHOT_TAKEN and data.get("restored"):
            results, ran = _stale(results), []
        elif event.kind in (Kind.TOOL_STARTED, Kind.TOOL_UPDATED, Kind.TOOL_ENDED):
            tool = str(data.get("tool") or "") or running.get(call, "other").partition(" ")[0]
            title = str(data.get("title") or "") or running.get(call, "").partition(" ")[2]
            running[call] = f"{tool} {title}"
            if event.kind != Kind.TOOL_ENDED:
                continue
            running.pop(call)
            if tool == _RUNS:
                ran.append((title, str(data.get("status") or "")))
            elif tool not in _HARMLESS:
                ran = []
            if tool not in _HARMLESS:
                results = _stale(results)
    checks = sorted(results.values(), key=lambda check: not check.fresh)
    missing = [command for command in wanted if command not in results]
    return Evidence(checks, ran[-_SHOWN:], _unverified(checks, missing, working=working))


def _stale(results: dict[str, Check]) -> dict[str, Check]:
    return {
        name: Check(check.command, check.passed, check.output, fresh=False, turn=check.turn)
        for name, check in results.items()
    }


def _unverified(checks: list[Check], missing: list[str], *, working: bool) -> str:
    if working:
        return "The agent is at work: what it does now is not checked yet."
    if not checks:
        return "Nobody checked this change: hand the session off with a check."
    old = [check.command for check in checks if not check.fresh] + missing
    if not old:
        return ""
    return f"Not checked since the last edit: {', '.join(old)}."
