"""Reads ACP's updates from raw JSON. Lenient: a missing, unknown or mistyped field never raises.

Shapes: https://agentclientprotocol.com/protocol/schema, and what the agents of the catalogue really send.
"""

from __future__ import annotations

import math
import time

from msgspec import Struct, field

from handrail.agents import (
    Capabilities,
    Context,
    Diff,
    Failure,
    Other,
    PermissionOption,
    PermissionRequest,
    Plan,
    PlanEntry,
    Text,
    ToolUpdate,
    Update,
)
from handrail.types import Json

OUTPUT_LIMIT = 1 << 20
"""characters of a streamed output that are kept; the middle is left out"""
OUTPUT_PAUSE = 0.5
"""seconds between two updates of a streamed output: each one carries the whole of it"""

KINDS = frozenset({"read", "edit", "delete", "move", "search", "execute", "think", "fetch", "switch_mode", "other"})
STATUSES = frozenset({"pending", "in_progress", "completed", "failed"})


def obj(value: object) -> Json:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def arr(value: object) -> list[object]:
    """`value` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str | None:
    """`value` if it is a string, else None."""
    return value if isinstance(value, str) else None


def number(value: object) -> float | None:
    """`value` if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def dig(value: object, *keys: str) -> object:
    """The value under `keys`, one object inside the other; None where one is missing."""
    for key in keys:
        value = obj(value).get(key)
    return value


def sentence(value: object, limit: int = 500) -> str:
    """A message of an agent on one line, at most `limit` characters, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class _Stream(Struct):
    """The output of one command as it grows."""

    parts: list[str] = field(default_factory=list)
    size: int = 0
    told: float = 0.0

    def add(self, piece: str) -> None:
        self.parts.append(piece)
        self.size += len(piece)
        if self.size > 2 * OUTPUT_LIMIT:
            self.parts = [self.whole()]
            self.size = len(self.parts[0])

    def whole(self) -> str:
        joined = "".join(self.parts)
        if len(joined) <= OUTPUT_LIMIT:
            return joined
        half = OUTPUT_LIMIT // 2
        return f"{joined[:half]}\n… output left out …\n{joined[-half:]}"


class Decoder:
    """Turns `session/update` into our values; keeps what a tool call streams."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self._open: dict[str, ToolUpdate] = {}
        self._noticed: set[str] = set()

    def begin(self) -> None:
        """Forget the tool calls of the last turn."""
        self._streams.clear()
        self._open.clear()

    def update(self, raw: Json) -> Update | None:
        """One `update` object; None where it says nothing new."""
        match raw.get("sessionUpdate"):
            case "agent_message_chunk":
                return _chunk(raw, thought=False)
            case "agent_thought_chunk":
                # Handrail's own agent tells of a failed attempt so: other clients show it as a thought.
                return failure(raw.get("_meta")) or _chunk(raw, thought=True)
            case "tool_call" | "tool_call_update":
                return self._tool(raw)
            case "plan":
                return Plan(tuple(_plan_entry(obj(item)) for item in arr(raw.get("entries"))))
            case "usage_update":
                return _context(raw)
            case "session_info_update":
                return self._failure(raw)
            case kind:
                return Other(str(kind), raw)

    def permission(self, params: Json) -> PermissionRequest:
        """The parameters of `session/request_permission`."""
        call = _tool(obj(params.get("toolCall")))
        if call.input is None and call.call_id not in self._open and len(self._open) == 1:
            # OpenHands asks to "Confirm Agent Actions" under an id of its own: show the call that is meant.
            call = next(iter(self._open.values()))
        else:
            call = self._open[call.call_id] = _fold(self._open.get(call.call_id), call)
        options = tuple(
            PermissionOption(
                id=str(option.get("optionId", "")),
                name=sentence(option.get("name") or option.get("optionId") or "", 200),
                kind=str(option.get("kind", "")),
            )
            for option in map(obj, arr(params.get("options")))
        )
        return PermissionRequest(call, options)

    def _failure(self, raw: Json) -> Update | None:
        told = failure(raw.get("_meta"))
        if told is None:
            return Other("session_info_update", raw)
        if told.retrying and told.category == "unknown":
            # Codex repeats its notices (a model that it does not know) at every turn.
            if told.title in self._noticed:
                return None
            self._noticed.add(told.title)
        return told

    def _tool(self, raw: Json) -> ToolUpdate | None:
        update = _tool(raw)
        meta = raw.get("_meta")
        piece = next(
            (
                data
                for key in ("terminal_output_delta", "terminal_output")
                if (data := text(dig(meta, key, "data"))) is not None
            ),
            None,
        )
        ended = update.status in {"completed", "failed"} or dig(meta, "terminal_exit") is not None
        output = update.output
        if piece is not None or update.call_id in self._streams:
            output = output if output is not None else self._stream(update.call_id, piece, ended=ended)
        if update.status in {"completed", "failed"}:
            self._streams.pop(update.call_id, None)
            self._open.pop(update.call_id, None)
        else:
            self._open[update.call_id] = _fold(self._open.get(update.call_id), update)
        if output is not update.output:
            update = ToolUpdate(
                update.call_id,
                update.title,
                update.kind,
                update.status,
                update.input,
                output,
                update.diffs,
                update.paths,
            )
        return None if update == ToolUpdate(update.call_id) else update

    def _stream(self, call: str, piece: str | None, *, ended: bool) -> str | None:
        stream = self._streams.setdefault(call, _Stream())
        if piece is not None:
            stream.add(piece)
        now = time.monotonic()
        if not stream.parts or not (ended or (piece is not None and now - stream.told >= OUTPUT_PAUSE)):
            return None
        stream.told = now
        return stream.whole()


def capabilities(result: Json, fallback: str) -> Capabilities:
    """The answer to `initialize`; `fallback` names an agent that gives no `agentInfo`."""
    agent = obj(result.get("agentCapabilities"))
    sessions = obj(agent.get("sessionCapabilities"))
    info = obj(result.get("agentInfo"))
    return Capabilities(
        name=sentence(info.get("name") or fallback, 100),
        version=sentence(info.get("version") or "", 100),
        load=agent.get("loadSession") is True,
        resume=_offered(sessions.get("resume")),
        close=_offered(sessions.get("close")),
        images=dig(agent, "promptCapabilities", "image") is True,
        mcp_http=dig(agent, "mcpCapabilities", "http") is True,
        raw=result,
    )


def mode_of(result: Json, option: str = "mode") -> str | None:
    """The mode that a `session/new`, a `session/load` or an update says is current; None where it says nothing."""
    current = text(dig(result, "modes", "currentModeId")) or text(result.get("currentModeId"))
    if current is not None:
        return current
    for item in map(obj, arr(result.get("configOptions"))):
        if item.get("id") == option:
            return text(item.get("currentValue"))
    return None


def failure(meta: object) -> Failure | None:
    """What `_meta` of an update or a result tells of a failure: JetBrains' `sessionFailure`, or Codex's own `error`."""
    air = dig(meta, "jetbrains", "air", "sessionFailure")
    if isinstance(air, dict):
        title = sentence(air.get("title") or air.get("message") or "the agent reported a failure")
        return Failure(title, str(air.get("category") or "other"), retrying=air.get("severity", "error") != "error")
    codex = dig(meta, "codex", "error")
    if isinstance(codex, dict):
        message = dig(codex, "error", "message") or codex.get("message") or "Codex reported an error"
        return Failure(sentence(message), "other", retrying=codex.get("willRetry") is True)
    return None


def _offered(value: object) -> bool:
    return value is True or isinstance(value, dict)


def _chunk(raw: Json, *, thought: bool) -> Update | None:
    said = _block(obj(raw.get("content")))
    return Text(said, thought, text(raw.get("messageId"))) if said else None


def _block(content: Json) -> str:
    match content.get("type"):
        case "resource_link":
            return text(content.get("uri")) or ""
        case "resource":
            return text(dig(content, "resource", "text")) or text(dig(content, "resource", "uri")) or ""
        case "image" | "audio" as kind:
            return f"[{kind}]"
        case _:
            return text(content.get("text")) or ""


def _context(raw: Json) -> Update:
    used, size = number(raw.get("used")), number(raw.get("size"))
    if used is None or size is None:
        return Other("usage_update", raw)
    dollars = (text(dig(raw, "cost", "currency")) or "USD") == "USD"
    return Context(int(used), int(size), number(dig(raw, "cost", "amount")) if dollars else None)


def _plan_entry(entry: Json) -> PlanEntry:
    return PlanEntry(
        sentence(entry.get("content") or "", 2000), str(entry.get("status") or "pending"), text(entry.get("priority"))
    )


def _tool(raw: Json) -> ToolUpdate:
    kind, status = text(raw.get("kind")), text(raw.get("status"))
    contents = [obj(item) for item in arr(raw.get("content"))]
    diffs = tuple(
        Diff(str(item.get("path") or ""), text(item.get("oldText")), text(item.get("newText")) or "")
        for item in contents
        if item.get("type") == "diff"
    )
    paths = [path for item in arr(raw.get("locations")) if (path := text(obj(item).get("path")))]
    paths += [diff.path for diff in diffs if diff.path not in paths]
    title = text(raw.get("title"))
    return ToolUpdate(
        call_id=str(raw.get("toolCallId") or "call"),
        title=sentence(title, 2000) if title else None,
        kind=None if kind is None else kind if kind in KINDS else "other",
        status=status if status in STATUSES else None,
        input=_input(raw.get("rawInput")),
        output=_output(contents, raw.get("rawOutput")),
        diffs=diffs or None,
        paths=tuple(paths) or None,
    )


def _input(value: object) -> Json | None:
    if isinstance(value, dict):
        return value or None
    return None if value is None else {"value": value}


def _output(contents: list[Json], raw: object) -> str | None:
    said = [
        piece
        for item in contents
        if text(item.get("type")) not in {"diff", "terminal"}
        and (piece := _block(obj(item.get("content"))) or text(item.get("text")))
    ]
    return "\n".join(said) if said else _raw_output(raw)


def _raw_output(raw: object) -> str | None:
    if isinstance(raw, str):
        return raw
    if isinstance(raw, list):
        return "\n".join(piece for item in raw if (piece := _block(obj(item)))) or None
    for key in ("formatted_output", "output", "stdout", "text", "message", "error"):
        if (said := text(dig(raw, key))) is not None:
            return said
    return None


def _fold(known: ToolUpdate | None, news: ToolUpdate) -> ToolUpdate:
    if known is None:
        return news
    return ToolUpdate(
        news.call_id,
        news.title or known.title,
        news.kind or known.kind,
        news.status or known.status,
        news.input or known.input,
        None,
        news.diffs or known.diffs,
        news.paths or known.paths,
    )
