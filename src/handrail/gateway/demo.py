"""A script in the place of a model, for a Handrail that has no key yet: nothing leaves the machine, nothing costs.

It speaks Anthropic Messages (https://docs.anthropic.com/en/api/messages-streaming), as a provider does, so that all
round it is as it will be with a model: the walls, the questions, the change, the ledger. It says at once what it is.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from msgspec import Struct, field

from handrail.gateway import Provider, Wire
from handrail.gateway.listener import Header
from handrail.gateway.routes import Action, Format, Route
from handrail.types import SCRIPTED

DEMO = Provider(SCRIPTED, Wire.ANTHROPIC, "http://demo.invalid", "none", "scripted")
"""named in no list of providers, since it is none; `sessions.models` says when it plays"""
FILE = "handrail-demo.md"
"""what the script writes, in the session's own clone"""
PACE = 0.015
"""seconds between two words, so that a person sees them come"""

_HELLO = """\
**I am not a model.** No key of a model provider is set up here, so a short script plays, and it costs nothing. \
Everything else is real: the walls round me, the questions, the change beside this text.

First I look round in your repository, which needs no leave."""
_ASK = (
    "Now I write one file, `{file}`, into this session’s own clone. Your checkout is not touched. You are asked first."  # noqa: RUF001
)
_DONE = "{verdict} That was the whole script. {next}"
_MADE = "You see the file under *Changes*; *undo* takes it back, *apply* would bring it home."
_REFUSED = "You refused it, so it was not written: that is all it takes."
_NEXT = """\
To work with a model, give Handrail one of these, then start a **new** session:

- a key that it keeps encrypted: `handrail providers set anthropic --wire anthropic --key-stdin`
- a key in the environment: `export ANTHROPIC_API_KEY=…` (or `OPENAI_API_KEY`, `GEMINI_API_KEY`), then `handrail down` \
and any verb
- an agent that you are logged in to already: `handrail agents` lists them"""
_AGAIN = "This is still the script, which knows one part only: it cannot answer that. {next}"
_NOTE = """\
# A note of Handrail’s demo script

No model was asked. You wrote:

{prompt}
"""  # noqa: RUF001


class Played:
    """An answer, from its head on: read as one of a provider (`upstream.Answer`) is.

    Args:
        pieces: its body.
        pace: seconds before each piece but the first.
        sse: whether it is a stream of events; else JSON.
    """

    status = 200

    def __init__(self, pieces: list[bytes], *, pace: float = 0.0, sse: bool = False) -> None:
        kind = b"text/event-stream" if sse else b"application/json"
        self.headers: list[Header] = [(b"content-type", kind)]
        """names in lower case"""
        self._pieces = pieces
        self._pace = pace
        self._at = 0

    def header(self, name: bytes) -> str:
        """A header's first value, empty where there is none."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")

    async def read(self) -> bytes:
        """The next bytes; empty at the end."""
        if self._at == len(self._pieces):
            return b""
        if self._at:
            await asyncio.sleep(self._pace)
        self._at += 1
        return self._pieces[self._at - 1]

    def drop(self) -> None:
        """There is nothing to give back."""


class _Part(Struct):
    """What one answer of the script is: some text, then at most one call of a tool."""

    text: str
    tool: str = ""
    args: dict[str, Any] = field(default_factory=dict)


def play(route: Route, body: bytes) -> Played:
    """Answer a request that was routed to the script."""
    asked = _read(body)
    if route.action is Action.LOOK or route.format is not Format.ANTHROPIC:
        listed = {
            "data": [{"type": "model", "id": DEMO.model, "display_name": "A script, no model"}],
            "has_more": False,
        }
        counted = {"input_tokens": len(body) // 4}
        return Played([_dump(counted if route.endpoint.endswith("count_tokens") else listed)])
    part = _part(asked)
    usage = {"input_tokens": len(body) // 4, "output_tokens": max(1, len(part.text) // 4)}
    if asked.get("stream") is True:
        return Played(_stream(part, usage), pace=PACE, sse=True)
    content: list[dict[str, Any]] = [{"type": "text", "text": part.text}]
    if part.tool:
        content.append({**_use(part), "input": part.args})
    stop = "tool_use" if part.tool else "end_turn"
    return Played([_dump({**_message(usage), "content": content, "stop_reason": stop})])


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        found = {}
    return found if isinstance(found, dict) else {}


def _part(asked: dict[str, Any]) -> _Part:
    """Which part comes now: the conversation so far says it, since a script remembers nothing."""
    prompts: list[str] = []
    rounds, refused = 0, False
    for message in _tables(asked.get("messages")):
        if message.get("role") == "assistant":
            rounds += 1
            continue
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else _tables(content)
        results = [block for block in blocks if block.get("type") == "tool_result"]
        refused = any(block.get("is_error") is True for block in results) if results else refused
        said = [str(block.get("text", "")) for block in blocks if block.get("type") == "text"]
        if said and not results:
            prompts.append("\n".join(said).strip())
            rounds = 0
    tools = {str(tool.get("name")) for tool in _tables(asked.get("tools"))}
    if len(prompts) != 1 or not {"search", "write"} <= tools:
        return _Part(_AGAIN.format(next=_NEXT) if len(prompts) > 1 else f"{_HELLO.split(chr(10), 1)[0]} {_NEXT}")
    if rounds == 0:
        return _Part(_HELLO, "search", {"path": "."})
    if rounds == 1:
        quoted = "\n".join(f"> {line}" for line in prompts[0][:2000].splitlines())
        return _Part(_ASK.format(file=FILE), "write", {"path": FILE, "content": _NOTE.format(prompt=quoted)})
    return _Part(_DONE.format(verdict=_REFUSED if refused else _MADE, next=_NEXT))


def _tables(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _use(part: _Part) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_demo_{part.tool}", "name": part.tool, "input": {}}


def _message(usage: dict[str, int]) -> dict[str, Any]:
    head = {"id": "msg_demo", "type": "message", "role": "assistant", "model": DEMO.model}
    return {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}


def _stream(part: _Part, usage: dict[str, int]) -> list[bytes]:
    """The events of an answer, a word at a time."""
    words = part.text.split(" ")
    pieces = [word + " " for word in words[:-1]] + words[-1:]
    told = [_event("message_start", message=_message({**usage, "output_tokens": 1}))]
    told += _block(0, {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces])
    if part.tool:
        told += _block(1, _use(part), [{"type": "input_json_delta", "partial_json": json.dumps(part.args)}])
    stop = {"stop_reason": "tool_use" if part.tool else "end_turn", "stop_sequence": None}
    ending = _event("message_delta", delta=stop, usage=usage) + _event("message_stop")
    return [*told, ending]


def _block(index: int, start: dict[str, Any], deltas: list[dict[str, Any]]) -> list[bytes]:
    """One block; its first event goes with its first piece, and its last with its last, since each is a wait."""
    found = [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
    found[0] = _event("content_block_start", index=index, content_block=start) + found[0]
    found[-1] += _event("content_block_stop", index=index)
    return found


def _event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data}, ensure_ascii=False)}\n\n".encode()


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
