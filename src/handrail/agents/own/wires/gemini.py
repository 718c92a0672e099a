"""Gemini: https://ai.google.dev/api/generate-content, streamed as server-sent events."""

from __future__ import annotations

from handrail import providers
from handrail.agents.own.messages import Call, Json, Message, encode
from handrail.agents.own.wires import Draft, StreamBroken, Wire

_STOPS = {"STOP": "end", "MAX_TOKENS": "length"}


def _head(_model: str, system: str, tools: list[Json], _max_output: int) -> Json:
    told = {"systemInstruction": {"parts": [{"text": system}]}, "tools": tools and [{"functionDeclarations": tools}]}
    return told | {"contents": []}


def _items(message: Message, native: list[Json]) -> list[Json]:
    text: list[Json] = [{"text": message.text}] if message.text else []
    if message.role == "user":
        return [{"role": "user", "parts": text}]
    uses: list[Json] = [{"functionCall": {"name": call.name, "args": call.args}} for call in message.calls]
    said: list[Json] = [{"role": "model", "parts": native or text + uses}]
    results = [{"functionResponse": _response(call)} for call in message.calls]
    return [*said, {"role": "user", "parts": results}] if results else said


def _response(call: Call) -> Json:
    response: Json = {"name": call.name, "response": {"output" if call.ok else "error": call.result}}
    return response if call.id.startswith("own_") else {"id": call.id, **response}  # that id was ours, not Gemini's


def _read(draft: Draft, event: Json) -> None:
    if error := event.get("error"):
        raise StreamBroken(error.get("message", "the provider failed in mid-answer"))
    draft.count(event.get("usageMetadata"))
    if (event.get("promptFeedback") or {}).get("blockReason"):
        draft.stop = "refusal"
    for candidate in event.get("candidates", ()):
        for part in (candidate.get("content") or {}).get("parts", ()):
            _part(draft, part)
        if reason := candidate.get("finishReason"):
            if reason == "MALFORMED_FUNCTION_CALL":
                raise StreamBroken("the model wrote a tool call that its provider cannot read")
            draft.stop = _STOPS.get(reason, "refusal")


def _part(draft: Draft, part: Json) -> None:
    """Take one part; a signature of thinking must come back exactly where it stood."""
    if part.get("thought"):
        draft.think(part.get("text", ""))
        return
    draft.say(part.get("text", ""))
    if call := part.get("functionCall"):
        draft.calls[len(draft.calls)] = [call.get("id", ""), call["name"], encode(call.get("args") or {})]
    if draft.native and set(draft.native[-1]) == set(part) == {"text"}:
        draft.native[-1]["text"] += part["text"]
    elif call or part.get("text") or part.get("thoughtSignature"):
        draft.native.append(part)


_PATH = "/v1beta/models/{}:streamGenerateContent?alt=sse"
GEMINI = Wire("gemini", _PATH, {"x-goog-api-key": "{}"}, _head, _items, _read, providers.gemini)
