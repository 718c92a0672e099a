"""Events of a session (`handrail.kinds`) as lines for a terminal.

`Transcript.feed` takes one event after another and gives back what to show. It writes nothing itself, so `chat`, `do`,
`attach` and `log` look alike and every look is held by a golden test. All text of agents passes `clean` or `reveal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from handrail.cli.clean import clean, one_line, reveal, split_open
from handrail.cli.layout import (
    NOT_METERED,
    Line,
    Span,
    cost,
    diff_lines,
    diff_size,
    dollars,
    duration,
    fit,
    indented,
    line,
)
from handrail.kinds import Kind
from handrail.types import SCRIPTED

Data = Mapping[str, Any]


class Glyphs(Struct, frozen=True):
    """The signs in front of lines; `ASCII` is for terminals that cannot show the others."""

    tool: str = "●"
    good: str = "✓"
    bad: str = "✗"
    turn: str = "──"
    doing: str = "▸"
    open: str = "○"
    dot: str = "·"
    prompt: str = ">"


UNICODE = Glyphs()
ASCII = Glyphs(tool="*", good="ok", bad="FAILED", turn="--", doing="->", open="o", dot="-")


class Stream(Struct, frozen=True):
    """Text that goes on where the last one stopped, without a line end of its own."""

    text: str
    style: str = ""


Out = Line | Stream


class _Call(Struct):
    title: str = ""
    tool: str = ""
    diffs: list[Data] = field(default_factory=list)
    output: str = ""
    paths: list[str] = field(default_factory=list)


class Transcript:
    """The visible course of one session.

    Args:
        glyphs: `UNICODE` or `ASCII`.
        thoughts: show the agent's thoughts too, dimmed.
        columns: width of the terminal, which folded lines keep to.
    """

    def __init__(self, *, glyphs: Glyphs = UNICODE, thoughts: bool = False, columns: int = 100) -> None:
        self.glyphs = glyphs
        self.columns = columns
        self.last_seq = 0
        self.doing = ""
        """what goes on now, in a few words; empty between turns"""
        self._working = ""
        self._thoughts = thoughts
        self._calls: dict[str, _Call] = {}
        self._held = ""
        self._message: tuple[str, object] | None = None
        self._plan: list[str] = []
        self._reviewed: set[str] = set()

    def feed(self, event: Data) -> list[Out]:
        """What to show for `event`; nothing for one that was fed before, or of an unknown kind."""
        seq = int(event.get("seq") or 0)
        if seq and seq <= self.last_seq:
            return []
        self.last_seq = max(seq, self.last_seq)
        kind, data = str(event.get("kind")), event.get("data") or {}
        self._follow(kind, data)
        if kind == Kind.AGENT_TEXT:
            return self._text(data, "")
        if kind == Kind.AGENT_THOUGHT:
            return self._text(data, "dim") if self._thoughts else []
        rows: Sequence[Out]
        if kind in {Kind.TOOL_STARTED, Kind.TOOL_UPDATED, Kind.TOOL_ENDED}:
            rows = self._tool(kind, data)
        elif kind == Kind.PLAN_UPDATED:
            rows = self._planned(data)
        else:
            shown = _LINES.get(kind)
            rows = shown(data, self.glyphs) if shown else []
        # what shows nothing, such as a cost that is told in mid-sentence, ends no line of the agent's
        return [*self._flush(), *rows] if rows else []

    def _follow(self, kind: str, data: Data) -> None:
        if kind in {Kind.TURN_STARTED, Kind.TOOL_ENDED}:
            self.doing = self._working = "working"
        elif kind == Kind.TOOL_STARTED:
            self.doing = self._working = one_line(f"{data.get('tool') or 'tool'} {data.get('title') or ''}", 60)
        elif kind == Kind.APPROVAL_ANSWERED:
            self.doing = self._working
        elif kind == Kind.APPROVAL_ASKED:
            self.doing = "waits for your answer"
            if data.get("diffs"):
                self._reviewed.add(str(data.get("call")))
        elif kind == Kind.CHECK_STARTED:
            self.doing = one_line(f"check {data.get('command')}", 60)
        elif kind in {Kind.TURN_ENDED, Kind.OUTCOME_REACHED, Kind.SESSION_ENDED, Kind.CHECK_ENDED}:
            self.doing = ""

    def _text(self, data: Data, style: str) -> list[Out]:
        message = (style, data.get("message"))
        tail = self._flush() if self._message not in {None, message} else []
        self._message = message
        ready, self._held = split_open(self._held + str(data.get("text") or ""))
        text = clean(ready)
        return [*tail, Stream(text, style)] if text else tail

    def _flush(self) -> list[Out]:
        """End a streamed message."""
        if self._message is None:
            return []
        held, style = clean(self._held), self._message[0]
        self._held, self._message = "", None
        return [Stream(held, style), Stream("\n")] if held else [Stream("\n")]

    def _tool(self, kind: str, data: Data) -> list[Out]:
        call = self._calls.setdefault(str(data.get("call")), _Call())
        call.title = str(data.get("title") or call.title)
        call.tool = str(data.get("tool") or call.tool)
        call.diffs = list(data.get("diffs") or call.diffs)
        call.output = str(data.get("output") or call.output)
        call.paths = list(data.get("paths") or call.paths)
        if kind != Kind.TOOL_ENDED:
            return []
        name = str(data.get("call"))
        self._calls.pop(name, None)
        row, rest = _folded(call, data, self.glyphs, self.columns)
        # who has just read the diff in the question needs no second look at it
        return [row, *([] if name in self._reviewed else diff_lines(call.diffs)), *rest]

    def _planned(self, data: Data) -> list[Out]:
        entries = list(data.get("entries") or [])
        texts = [one_line(str(entry.get("text") or "")) for entry in entries]
        known, self._plan = self._plan == texts, texts
        states = [str(entry.get("status")) for entry in entries]
        if known:
            current = next((text for text, state in zip(texts, states, strict=True) if state == "in_progress"), "")
            done = states.count("completed")
            return [line(Span(f"plan {done}/{len(texts)} {current}".rstrip(), "dim"))] if texts else []
        marks = {"completed": self.glyphs.good, "in_progress": self.glyphs.doing}
        rows: list[Out] = [line(Span("plan", "dim"))] if texts else []
        for text, state in zip(texts, states, strict=True):
            style = "dim" if state == "completed" else ""
            rows.append(line(f"  {marks.get(state, self.glyphs.open)} ", Span(text, style)))
        return rows


def question(approval: Data, *, full: bool = False) -> list[Line]:
    """A question that waits for a person: what the agent wants to do. `full` spells out all input and diffs.

    Nothing in it is taken away: what acts or hides is spelled out, so that what is read is what will run.
    """
    tool, title = str(approval.get("tool") or "tool"), str(approval.get("title") or "")
    rows = [line(Span("? ", "loud"), Span(f"{tool} ", "yellow"), Span(one_line(title, 400), "bold"))]
    if why := approval.get("why"):
        rows.append(line(Span(f"    why: {one_line(str(why), 300)}", "dim")))
    given = approval.get("input")
    if isinstance(given, Mapping):
        for key, value in given.items():
            text = reveal(value if isinstance(value, str) else repr(value))
            parts = text.split("\n") if full else [one_line(text, 160)]
            if not full and parts[0] and parts[0] in title:
                continue
            rows += [line(Span(f"    {one_line(str(key))}: ", "dim"), parts[0])]
            rows += [line(f"      {part}") for part in parts[1:]]
    rows += diff_lines(approval.get("diffs") or [], limit=None if full else 12)
    return rows


def answers(approval: Data) -> Line:
    """The keys that answer `approval`; options that last beyond this call are listed by the names the agent gives."""
    row = line("  ", Span("a", "bold"), " allow  ", Span("d", "bold"), " deny (d WHY tells the agent)  ")
    row += line(Span("s", "bold"), " show all")
    for number, option in enumerate(approval.get("options") or [], 1):
        if str(option.get("kind")).endswith("_always"):
            row += line("  ", Span(str(number), "bold"), " ", one_line(str(option.get("name")), 60))
    return row


def walls(data: Data) -> list[Line]:
    """What stands between the agent and the machine, loud when nothing does, and what secret stands inside with it."""
    rows = []
    if data.get("sandbox") == "none":
        rows.append(
            line(Span("NO SANDBOX: this agent runs with your own rights and sees your files and network", "loud"))
        )
    else:
        holds = ", ".join(str(name).replace("_", " ") for name in data.get("holds") or [])
        rows.append(line(Span(f"walls: {data.get('sandbox')}" + (f", holding {holds}" if holds else ""), "dim")))
    if data.get("provider") == SCRIPTED:
        rows.append(line(Span("NO MODEL: a script plays here, and costs nothing, until a key is set up", "loud")))
        rows.append(line(Span("  handrail providers set anthropic --wire anthropic --key-stdin", "dim")))
    if data.get("untrusted"):
        rows += _set_aside(data)
    if data.get("login"):
        places = ", ".join(map(str, data.get("network") or []))
        rows += [
            line(
                Span("HOLDS A SECRET: a copy of your login is in there, and whatever runs inside can read it", "loud")
            ),
            line(Span(f"  open to the network for it: {one_line(places, 300)}; its calls are not metered", "dim")),
        ]
    return rows


def _set_aside(data: Data) -> list[Line]:
    """Which files of an untrusted ref no agent sees."""
    files = [one_line(str(name), 100) for name in data.get("set_aside") or []]
    shown = ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
    said = "untrusted ref: its settings for agents are not used"
    return [line(Span(f"{said}: {shown}" if files else f"{said}; it has none", "yellow" if files else "dim"))]


def _folded(call: _Call, data: Data, glyphs: Glyphs, columns: int) -> tuple[Line, list[Line]]:
    """A finished tool call on one line, and the end of its output when it failed."""
    status = str(data.get("status"))
    good = status == "completed"
    size = diff_size(call.diffs)
    title = call.title or " ".join(map(str, call.paths)) or "(no title)"
    tail = duration(data.get("seconds"))
    name = fit(one_line(title, 400), max(20, columns - len(call.tool) - len(tail) - len(size) - 16))
    mark = Span(glyphs.good, "green") if good else Span(f"{glyphs.bad} {status}", "red")
    row = line(Span(glyphs.tool, "green" if good else "red"), " ", Span(call.tool or "tool", "cyan"), f" {name} ")
    if size:
        row += line(Span(f"{size} ", "dim"))
    row += line(mark, Span(f" {tail}" if tail else "", "dim"))
    return row, indented(call.output, last=6) if not good and call.output else []


def _created(data: Data, glyphs: Glyphs) -> list[Line]:
    agent = " ".join(str(data[key]) for key in ("agent", "model") if data.get(key))
    where = f"{data.get('repository')} on {data.get('branch')}"
    return [line(Span(f"{agent} {glyphs.dot} {one_line(where)}", "bold")), *walls(data)]


def _started_agent(data: Data, glyphs: Glyphs) -> list[Line]:
    how = str(data.get("how"))
    if how == "new":
        return []
    return [line(Span(f"{glyphs.dot} agent started again, conversation {how}", "dim"))]


def _ended_agent(data: Data, glyphs: Glyphs) -> list[Line]:
    reason = str(data.get("reason"))
    detail = one_line(str(data.get("detail") or ""))
    if reason == "exited" and not data.get("code"):
        return []
    return [line(Span(f"{glyphs.bad} the agent ended: {reason.replace('_', ' ')} {detail}".rstrip(), "red"))]


def _memory(data: Data, _: Glyphs) -> list[Line]:
    reason = one_line(str(data.get("reason") or ""))
    return [
        line(Span("MEMORY LOST: the agent was told a summary and no longer knows the conversation itself", "loud")),
        line(Span(f"  {reason}", "dim")),
    ]


def _control(data: Data, glyphs: Glyphs) -> list[Line]:
    holder = "the agent works on its own" if data.get("control") == "agent" else "you hold the session"
    return [line(Span(f"{glyphs.dot} {holder} (by {data.get('by')})", "cyan"))]


def _goal(data: Data, glyphs: Glyphs) -> list[Line]:
    limits = [f"{data['turns']} turns" if data.get("turns") else ""]
    limits += [dollars(data["budget_nano"]) if data.get("budget_nano") else "", duration(data.get("seconds"))]
    told = ", ".join(part for part in limits if part) or "no limits"
    rows = [line(Span(f"goal {glyphs.dot} {one_line(str(data.get('text')), 400)}", "bold"))]
    rows += [line(Span(f"  check: {one_line(str(check))}", "dim")) for check in data.get("checks") or []]
    return [*rows, line(Span(f"  limits: {told}", "dim"))]


def _queued(data: Data, glyphs: Glyphs) -> list[Line]:
    return [
        line(Span(f"{glyphs.dot} queued, it is sent when this turn ends: {one_line(str(data.get('text')))}", "dim"))
    ]


def _turn(data: Data, glyphs: Glyphs) -> list[Line]:
    text = clean(str(data.get("text") or "")).strip()
    if data.get("by") != "you":
        return [line(Span(f"{glyphs.prompt} turn {data.get('turn')} ({data.get('by')}): {one_line(text, 120)}", "dim"))]
    rows = text.split("\n")
    more = [f"… {len(rows) - 8} more lines"] if len(rows) > 8 else []
    return [line(), *(line(Span(f"{glyphs.prompt} {row}", "bold")) for row in [*rows[:8], *more])]


def _turn_ended(data: Data, glyphs: Glyphs) -> list[Line]:
    rows = []
    reason = str(data.get("stop_reason") or "end_turn")
    if error := data.get("error"):
        rows.append(line(Span(f"{glyphs.bad} {one_line(str(error), 600)}", "red")))
    tools = int(data.get("tools") or 0)
    parts = [f"turn {data.get('turn')}", f"{tools} tool{'' if tools == 1 else 's'}", duration(data.get("seconds"))]
    metered = data.get("metered", True)
    parts.append(cost(data.get("cost_nano"), int(data.get("unpriced") or 0)) if metered else NOT_METERED)
    ended = "" if reason == "end_turn" else reason.replace("_", " ")
    told = f" {glyphs.dot} ".join(part for part in [*parts, ended] if part)
    return [*rows, line(Span(f"{glyphs.turn} {told}", "red" if ended and ended != "cancelled" else "dim"))]


def _answered(data: Data, glyphs: Glyphs) -> list[Line]:
    decision = str(data.get("decision"))
    if decision == "allow" and data.get("by") == "policy":
        return []  # nobody was asked
    word = {"allow": "allowed", "deny": "denied"}.get(decision, decision)
    why = f": {one_line(str(data['because']))}" if data.get("because") else ""
    good = decision == "allow"
    mark, style = (glyphs.good, "green") if good else (glyphs.bad, "yellow")
    return [line(Span(f"  {mark} {word} by {data.get('by')}{why}", style))]


def _escalated(data: Data, glyphs: Glyphs) -> list[Line]:
    return [line(Span(f"{glyphs.dot} told its people again that the question waits ({data.get('times')})", "yellow"))]


def _policy(data: Data, glyphs: Glyphs) -> list[Line]:
    rules = one_line("; ".join(str(rule) for rule in data.get("rules") or []), 400)
    return [line(Span(f"{glyphs.dot} this session now allows (by {data.get('by')}): {rules}", "cyan"))]


def _network(data: Data, glyphs: Glyphs) -> list[Line]:
    if data.get("verdict") == "allowed":
        return []
    times = f" {data['times']} times" if int(data.get("times") or 1) > 1 else ""
    told = f"{glyphs.bad} network {data.get('verdict')}{times}: {data.get('host')}:{data.get('port')}"
    return [line(Span(one_line(f"{told} ({data.get('reason')})", 300), "yellow"))]


def _model(data: Data, glyphs: Glyphs) -> list[Line]:
    if not data.get("error"):
        return []
    told = f"{glyphs.bad} model call failed ({data.get('model')}): {one_line(str(data['error']), 400)}"
    return [line(Span(told, "yellow"))]


def _check(data: Data, glyphs: Glyphs) -> list[Line]:
    passed = bool(data.get("passed"))
    ended = "timed out" if data.get("timed_out") else f"exit {data.get('code')}"
    mark = Span(glyphs.good, "green") if passed else Span(f"{glyphs.bad} {ended}", "red")
    told = f" {duration(data.get('seconds'))}"
    row = line("check ", Span(one_line(str(data.get("command"))), "bold"), " ", mark, Span(told, "dim"))
    return [row] if passed else [row, *indented(str(data.get("output") or ""), last=8)]


def _snapshot(data: Data, glyphs: Glyphs) -> list[Line]:
    if not data.get("restored"):
        return []
    state = f"after turn {data['to']}" if data.get("to") else "at the start"
    return [line(Span(f"{glyphs.dot} the workspace is as it was {state}", "cyan"))]


def _watchdog(data: Data, glyphs: Glyphs) -> list[Line]:
    told = f"{glyphs.bad} no sign of the agent for {duration(data.get('idle'))}: {data.get('act')}"
    return [line(Span(told, "yellow"))]


def _outcome(data: Data, glyphs: Glyphs) -> list[Line]:
    outcome = str(data.get("outcome"))
    good = outcome in {"done", "nothing_to_do"}
    style = "green" if good else "yellow" if outcome in {"needs_person", "cancelled"} else "red"
    mark = glyphs.good if good else glyphs.bad
    reason = one_line(str(data.get("reason") or ""), 600)
    return [
        line(Span(f"{mark} {outcome.replace('_', ' ')}", style), f"{': ' if reason else ''}{reason}"),
        *(_receipt(check, glyphs) for check in data.get("checks") or []),
        *([line("  the agent said last: ", one_line(str(data["summary"]), 600))] if data.get("summary") else []),
    ]


def _receipt(check: Data, glyphs: Glyphs) -> Line:
    mark = Span(glyphs.good, "green") if check.get("passed") else Span(f"{glyphs.bad} exit {check.get('code')}", "red")
    return line("  ", mark, f" {one_line(str(check.get('command')))}")


def _applied(data: Data, glyphs: Glyphs) -> list[Line]:
    files = data.get("files")
    count = files if isinstance(files, int) else len(files or [])
    where = f"branch {data['branch']}" if data.get("branch") else "uncommitted changes"
    return [line(Span(f"{glyphs.good} applied as {where}, {count} file{'' if count == 1 else 's'}", "green"))]


def _notice(data: Data, glyphs: Glyphs) -> list[Line]:
    style = {"warning": "yellow", "error": "red"}.get(str(data.get("level")), "dim")
    return [line(Span(f"{glyphs.dot} {one_line(str(data.get('text')), 600)}", style))]


def _asked(data: Data, _: Glyphs) -> list[Line]:
    return question(data)


def _withdrawn(_: Data, glyphs: Glyphs) -> list[Line]:
    return [line(Span(f"{glyphs.dot} a queued prompt was withdrawn", "dim"))]


def _known(data: Data, glyphs: Glyphs) -> list[Line]:
    return [line(Span(f"{glyphs.dot} the outcome was seen by {data.get('by')}", "dim"))]


def _closed(data: Data, glyphs: Glyphs) -> list[Line]:
    return [line(Span(f"{glyphs.dot} session ended by {data.get('by')}", "dim"))]


_LINES: Mapping[str, Callable[[Data, Glyphs], Sequence[Line]]] = {
    Kind.SESSION_CREATED: _created,
    Kind.AGENT_STARTED: _started_agent,
    Kind.AGENT_ENDED: _ended_agent,
    Kind.MEMORY_LOST: _memory,
    Kind.CONTROL_CHANGED: _control,
    Kind.GOAL_SET: _goal,
    Kind.PROMPT_QUEUED: _queued,
    Kind.PROMPT_WITHDRAWN: _withdrawn,
    Kind.TURN_STARTED: _turn,
    Kind.TURN_ENDED: _turn_ended,
    Kind.APPROVAL_ASKED: _asked,
    Kind.APPROVAL_ANSWERED: _answered,
    Kind.APPROVAL_ESCALATED: _escalated,
    Kind.POLICY_CHANGED: _policy,
    Kind.NETWORK_DECIDED: _network,
    Kind.MODEL_CALLED: _model,
    Kind.CHECK_ENDED: _check,
    Kind.SNAPSHOT_TAKEN: _snapshot,
    Kind.WATCHDOG_FIRED: _watchdog,
    Kind.OUTCOME_REACHED: _outcome,
    Kind.OUTCOME_SEEN: _known,
    Kind.CHANGE_APPLIED: _applied,
    Kind.NOTICE: _notice,
    Kind.SESSION_ENDED: _closed,
}
