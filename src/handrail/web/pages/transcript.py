"""The log of a session as a person reads it: events folded into blocks. Pure; a template renders each kind of block."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime

from msgspec import Struct, field

from handrail.kinds import Kind
from handrail.text import clip
from handrail.types import Event, Json

OUTPUT_SHOWN = 20_000
"""characters of one output that a page shows; the rest is in the log"""


class Words(Struct):
    """The agent's answer, or its thinking, joined from its pieces."""

    seq: int
    text: str
    message: object = None
    thought: bool = False
    block: str = "words"


class Turn(Struct):
    """The start of a turn: what was asked, and by whom."""

    seq: int
    turn: object
    text: str
    by: str
    time: datetime
    block: str = "turn"


class Tool(Struct):
    """One tool call, folded to a line."""

    seq: int
    call: str
    title: str
    tool: str = "other"
    status: str = "running"
    input: str = ""
    output: str = ""
    paths: list[str] = field(default_factory=list)
    diffs: list[tuple[str, str, str]] = field(default_factory=list)
    """(path, before, after)"""
    seconds: float | None = None
    block: str = "tool"


class Steps(Struct):
    """The agent's plan as it stood last in this place."""

    seq: int
    entries: list[tuple[str, str]]
    """(status, text)"""
    block: str = "plan"


class Verdict(Struct):
    """One run of a check."""

    seq: int
    command: str
    passed: bool | None
    output: str = ""
    seconds: float | None = None
    block: str = "check"


class Line(Struct):
    """Everything that is one sentence. `level` is plain, good, warning or error."""

    seq: int
    text: str
    level: str = "plain"
    detail: str = ""
    block: str = "line"


Block = Words | Turn | Tool | Steps | Verdict | Line


class Transcript:
    """Folds events into `blocks`, in order. A call that began before the first event still gets its block."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.context: tuple[int, int] | None = None
        """tokens of the agent's context window: used, and in all"""
        self._touched: dict[int, Block] = {}
        self._tools: dict[str, Tool] = {}
        self._checks: dict[str, Verdict] = {}
        self._plan: Steps | None = None

    def take(self, event: Event) -> None:
        """Add one event; a kind that this page does not know adds nothing."""
        if (folder := _FOLDERS.get(event.kind)) is not None:
            folder(self, event)

    def changes(self) -> list[Block]:
        """The blocks that were added or changed since this was last asked, in order."""
        touched = [self._touched[seq] for seq in sorted(self._touched)]
        self._touched.clear()
        return touched

    def add(self, block: Block) -> None:
        """A new block at the end."""
        self.blocks.append(block)
        self._touch(block)

    def _touch(self, block: Block) -> None:
        self._touched[block.seq] = block

    def window(self, event: Event) -> None:
        """The agent's own account of its context window."""
        used, size = event.data.get("used"), event.data.get("size")
        if isinstance(used, int) and isinstance(size, int) and size > 0:
            self.context = (used, size)

    def words(self, event: Event) -> None:
        """Join text to the block before it, where it belongs to the same message."""
        thought = event.kind == Kind.AGENT_THOUGHT
        message = event.data.get("message")
        last = self.blocks[-1] if self.blocks else None
        if isinstance(last, Words) and last.thought is thought and last.message == message:
            last.text += _text(event.data, "text")
            self._touch(last)
        else:
            self.add(Words(event.seq, _text(event.data, "text"), message, thought))

    def turn(self, event: Event) -> None:
        """A new turn begins."""
        by = _text(event.data, "by") or "you"
        self.add(Turn(event.seq, event.turn or event.data.get("turn"), _text(event.data, "text"), by, event.time))
        self._plan = None

    def tool(self, event: Event) -> None:
        """Start, change or end a tool call."""
        call = _text(event.data, "call")
        tool = self._tools.get(call)
        if tool is None:
            tool = Tool(event.seq, call, f"tool call {call}")
            self._tools[call] = tool
            self.blocks.append(tool)
        self._touch(tool)
        _change(tool, event.data)
        if event.kind == Kind.TOOL_ENDED:
            seconds = event.data.get("seconds")
            tool.seconds = seconds if isinstance(seconds, int | float) else None
            self._tools.pop(call, None)

    def plan(self, event: Event) -> None:
        """The plan is shown once a turn, as it stood last."""
        entries = [(_text(item, "status"), _text(item, "text")) for item in _objects(event.data, "entries")]
        if self._plan is None:
            self._plan = Steps(event.seq, entries)
            self.blocks.append(self._plan)
        else:
            self._plan.entries = entries
        self._touch(self._plan)

    def check(self, event: Event) -> None:
        """Start or end a check."""
        name = _text(event.data, "check") or _text(event.data, "command")
        verdict = self._checks.pop(name, None)
        if verdict is None:
            verdict = Verdict(event.seq, _text(event.data, "command"), None)
            self.blocks.append(verdict)
        self._touch(verdict)
        if event.kind == Kind.CHECK_STARTED:
            self._checks[name] = verdict
            return
        seconds = event.data.get("seconds")
        verdict.passed = event.data.get("passed") is True
        verdict.output = clip(_text(event.data, "output"), OUTPUT_SHOWN)
        verdict.seconds = seconds if isinstance(seconds, int | float) else None


def folded(events: Iterable[Event]) -> Transcript:
    """`events` taken, with nothing left to be told as changed."""
    transcript = Transcript()
    for event in events:
        transcript.take(event)
    transcript.changes()
    return transcript


def blocks(events: Iterable[Event]) -> list[Block]:
    """The blocks of `events`."""
    return folded(events).blocks


def _line(word: Callable[[Json], tuple[str, str] | tuple[str, str, str] | None]) -> Callable[[Transcript, Event], None]:
    """A folder that adds one line; `word` gives (text, level) or (text, level, detail), or None for no line."""

    def fold(transcript: Transcript, event: Event) -> None:
        if (said := word(event.data)) is not None:
            transcript.add(Line(event.seq, said[0], said[1], said[2] if len(said) == 3 else ""))

    return fold


def _change(tool: Tool, data: Json) -> None:
    tool.title = _text(data, "title") or tool.title
    tool.tool = _text(data, "tool") or tool.tool
    tool.status = _text(data, "status") or tool.status
    if data.get("input"):
        tool.input = clip(pretty(data["input"]), OUTPUT_SHOWN)
    if "output" in data:
        tool.output = clip(_text(data, "output"), OUTPUT_SHOWN)
    if paths := data.get("paths"):
        tool.paths = [str(path) for path in paths] if isinstance(paths, list) else []
    if data.get("diffs"):
        tool.diffs = [
            (_text(item, "path"), clip(_text(item, "old"), OUTPUT_SHOWN), clip(_text(item, "new"), OUTPUT_SHOWN))
            for item in _objects(data, "diffs")
        ]


def _outcome(data: Json) -> tuple[str, str, str]:
    outcome = _text(data, "outcome")
    level = "good" if outcome in {"done", "nothing_to_do"} else "warning" if outcome == "needs_person" else "error"
    said = _text(data, "summary")
    reason = _text(data, "reason") + (f"; the agent said last: {said}" if said else "")
    return f"Outcome: {outcome.replace('_', ' ')}", level, reason


def _turn_end(data: Json) -> tuple[str, str, str] | None:
    reason = _text(data, "stop_reason")
    error = _text(data, "error")
    if reason == "end_turn" and not error:
        return None
    words = {
        "cancelled": "The turn was cancelled",
        "interrupted": "The turn was interrupted",
        "error": "The turn failed",
    }
    return words.get(reason, f"The turn ended: {reason.replace('_', ' ')}"), "error" if error else "warning", error


def _created(data: Json) -> tuple[str, str] | None:
    begun = data.get("branched")
    if not isinstance(begun, dict):
        return None
    return f"Branched from session {_text(begun, 'session')} after its turn {_text(begun, 'turn')}", "plain"


def _agent_start(data: Json) -> tuple[str, str]:
    how = _text(data, "how")
    words = {"new": "started", "resumed": "resumed its session", "loaded": "loaded its session"}
    name = f"{_text(data, 'agent')} {_text(data, 'version')}".strip()
    if _text(data, "sandbox") == "none":
        return f"{name} {words.get(how, how)} outside of any walls", "error"
    return f"{name} {words.get(how, how)} inside {_text(data, 'sandbox')}", "plain"


def _answered(data: Json) -> tuple[str, str, str] | None:
    decision = _text(data, "decision")
    if decision == "allow" and _text(data, "by") == "policy":
        return None
    word = {"allow": "Allowed", "deny": "Denied"}.get(decision, "Withdrawn")
    return f"{word} by {_text(data, 'by')}", "plain" if decision == "allow" else "warning", _text(data, "because")


def _network(data: Json) -> tuple[str, str, str] | None:
    verdict, times = _text(data, "verdict"), data.get("times")
    if verdict == "allowed" and not times:
        return None
    where = _text(data, "host") + (f":{data['port']}" if data.get("port") else "")
    often = f" ({times} times)" if isinstance(times, int) and times > 1 else ""
    if verdict == "allowed":
        return f"Network: {where}{often}", "plain", ""
    return f"Network {verdict}: {where or 'no host'}{often}", "warning", _text(data, "reason")


def _policy(data: Json) -> tuple[str, str, str]:
    rules = data.get("rules")
    told = "\n".join(map(str, rules)) if isinstance(rules, list) else ""
    what = "The rules of the repository were" if data.get("layer") else "The session's policy was"
    return f"{what} widened by {_text(data, 'by')}", "warning", told


def _notice(data: Json) -> tuple[str, str]:
    level = _text(data, "level")
    return _text(data, "text"), level if level in {"warning", "error"} else "plain"


def _control(data: Json) -> tuple[str, str]:
    who = "the agent" if _text(data, "control") == "agent" else "you"
    return f"Control is with {who} (by {_text(data, 'by')})", "plain"


_FOLDERS: dict[str, Callable[[Transcript, Event], None]] = {
    Kind.AGENT_TEXT: Transcript.words,
    Kind.AGENT_THOUGHT: Transcript.words,
    Kind.TURN_STARTED: Transcript.turn,
    Kind.TOOL_STARTED: Transcript.tool,
    Kind.TOOL_UPDATED: Transcript.tool,
    Kind.TOOL_ENDED: Transcript.tool,
    Kind.PLAN_UPDATED: Transcript.plan,
    Kind.CONTEXT_UPDATED: Transcript.window,
    Kind.CHECK_STARTED: Transcript.check,
    Kind.CHECK_ENDED: Transcript.check,
    Kind.SESSION_CREATED: _line(_created),
    Kind.AGENT_STARTED: _line(_agent_start),
    Kind.AGENT_ENDED: _line(
        lambda data: (
            None
            if data.get("reason") == "exited"
            else (f"The agent ended: {_text(data, 'reason').replace('_', ' ')}", "warning", _text(data, "detail"))
        )
    ),
    Kind.MEMORY_LOST: _line(lambda data: ("The agent's memory was lost", "error", _text(data, "reason"))),
    Kind.NETWORK_DECIDED: _line(_network),
    Kind.CONTROL_CHANGED: _line(_control),
    Kind.GOAL_SET: _line(lambda data: ("A goal was set", "plain", _text(data, "text"))),
    Kind.PROMPT_QUEUED: _line(lambda data: (f"Queued by {_text(data, 'by')}", "plain", _text(data, "text"))),
    Kind.PROMPT_WITHDRAWN: _line(lambda data: (f"A queued prompt was withdrawn by {_text(data, 'by')}", "plain")),
    Kind.APPROVAL_ASKED: _line(lambda data: (f"Waits for an answer: {_text(data, 'title')}", "warning")),
    Kind.APPROVAL_ANSWERED: _line(_answered),
    Kind.POLICY_CHANGED: _line(_policy),
    Kind.TURN_ENDED: _line(_turn_end),
    Kind.SNAPSHOT_TAKEN: _line(
        lambda data: (
            (f"Went back to the state after turn {data.get('turn')}", "warning") if data.get("restored") else None
        )
    ),
    Kind.WATCHDOG_FIRED: _line(
        lambda data: (f"Nothing was heard for {data.get('idle')} s: {_text(data, 'act')}", "error")
    ),
    Kind.OUTCOME_REACHED: _line(_outcome),
    Kind.OUTCOME_SEEN: _line(lambda data: (f"The outcome was seen by {_text(data, 'by')}", "plain")),
    Kind.CHANGE_APPLIED: _line(
        lambda data: (f"The change was applied ({_text(data, 'mode')}) {_text(data, 'branch')}".strip(), "good")
    ),
    Kind.NOTICE: _line(_notice),
    Kind.SESSION_ENDED: _line(lambda data: (f"The session was ended by {_text(data, 'by')}", "plain")),
}


def _text(data: Json, key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else "" if value is None else str(value)


def _objects(data: Json, key: str) -> list[Json]:
    value = data.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def pretty(value: object) -> str:
    """A tool's input: its one text where it has only one, else JSON."""
    if isinstance(value, dict) and len(value) == 1 and isinstance(only := next(iter(value.values())), str):
        return only
    return json.dumps(value, ensure_ascii=False, indent=1)
