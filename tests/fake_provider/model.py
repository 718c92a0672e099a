"""The scripted model: from the bytes of a request to what is answered."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.fake_provider.answer import Answer, Pieces, Tokens, Wire, dumps
from tests.fake_provider.offer import Offer, Parsed, calls, fill, offered
from tests.fake_provider.script import Script, ScriptError, Step, find, rounds

_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]*)"')
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_INCLUDE_USAGE = re.compile(rb'"include_usage"\s*:\s*true')
_FORCED = re.compile(rb'"tool_choice"\s*:\s*\{')
_SCHEMA = re.compile(
    rb'"(?:response_format|response_?[sS]chema|responseJsonSchema|output_format|json_schema|format)"\s*:\s*\{'
)
_JSON_ASKED = re.compile(rb'"(?:application/json|json_object)"')

_MESSAGES = {
    "429": "scripted rate limit",
    "500": "scripted server error",
    "401": "scripted wrong key",
    "400": "scripted malformed request",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes out: one JSON object or the pieces of a stream; `fault` breaks it on the way."""

    status: int
    body: dict[str, Any] | Pieces
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    fault: str | None = None


@dataclass(slots=True)
class Model:
    """Remembers scripts (with the faults they served) and tool lists it has parsed."""

    default: Script | None = None
    """used where no prompt carries a script, counted over the whole conversation"""
    scripts: dict[bytes, Script] = field(default_factory=dict)
    tools: Parsed = field(default_factory=dict)

    def reply(self, wire: Wire, body: bytes, *, model: str | None, stream: bool | None) -> Reply:
        """Answer one request. `model` and `stream` are given where the path says them (Gemini)."""
        try:
            step, offer = self._next(body)
        except (ScriptError, ValueError) as error:
            return Reply(400, wire.error(400, str(error)))
        streaming = stream if stream is not None else _STREAM.search(body) is not None
        fault = None if step.get("fault") == "refuse" else step.get("fault")
        if fault in _MESSAGES:
            headers = {"retry-after": str(step["retry_after"])} if "retry_after" in step else {}
            return Reply(int(fault), wire.error(int(fault), step.get("text", _MESSAGES[fault])), headers)
        if fault:
            step = {"text": "a partial answer that breaks off", "chunks": 8, **step}
        answer = _answer(step, body, offer, model or _match(_MODEL, body) or "fake-model")
        if streaming:
            usage = b'"include_usage"' in body and _INCLUDE_USAGE.search(body) is not None
            return Reply(200, wire.stream(answer, usage=usage), fault=fault)
        return Reply(200, wire.whole(answer), delay=answer.delay * answer.chunks, fault=fault)

    def _next(self, body: bytes) -> tuple[Step, Offer]:
        offer = offered(body, self.tools)
        if offer and b'"tool_choice"' in body and _FORCED.search(body) and (step := _forced(json.loads(body), offer)):
            return step, offer
        found = find(body, self.scripts) if offer else None
        if found is None and offer and self.default is not None:
            found = self.default, 0
        if found is None:
            return {"text": _side_answer(body)}, offer
        script, end = found
        return script.step(rounds(body, end)) or {"text": "done"}, offer


def _match(pattern: re.Pattern[bytes], body: bytes) -> str | None:
    match = pattern.search(body)
    return match[1].decode() if match else None


def _forced(request: dict[str, Any], offer: Offer) -> Step | None:
    """A classifier that must call one tool gets that call, with the least arguments."""
    choice = request.get("tool_choice", {})
    name = choice.get("name") or choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    return {"tool": name, "args": fill(offer[name].schema)} if name in offer else None


def _side_answer(body: bytes) -> str:
    if not _SCHEMA.search(body) and not _JSON_ASKED.search(body):
        return "ok"
    request = json.loads(body)
    config = request.get("generationConfig", {})
    asked = (
        request.get("response_format")
        or request.get("text", {}).get("format")
        or request.get("output_format")
        or request.get("output_config", {}).get("format")
        or config.get("responseJsonSchema")
        or config.get("responseSchema")
    )
    if asked is None:
        return "{}" if config.get("responseMimeType") == "application/json" else "ok"
    if asked.get("type") == "text":
        return "ok"
    schema = asked.get("json_schema", asked)
    return dumps(fill(schema.get("schema", {} if schema is asked and asked.get("type") == "json_object" else schema)))


def _answer(step: Step, body: bytes, offer: Offer, model: str) -> Answer:
    made = calls(step, offer)
    text, thought = step.get("text", ""), step.get("think", "")
    size = len(text) + len(thought) + sum(len(call.name) + len(call.text or dumps(call.args)) for call in made)
    usage: dict[str, int] = {"input": len(body) // 4, "output": max(1, size // 4), **step.get("usage", {})}
    return Answer(
        id=hashlib.blake2b(body, digest_size=6).hexdigest(),
        model=step.get("model", model),
        text=text,
        chunks=step.get("chunks", 1),
        delay=step.get("delay", 0.0),
        thought=thought,
        calls=made,
        refused=step.get("fault") == "refuse",
        usage=Tokens(**usage),
    )
