"""Gemini: https://ai.google.dev/api/generate-content, streamed as server-sent events."""

from __future__ import annotations

from handrail.agents.own.messages import Answer, Json, Message, Results, User, encode
from handrail.agents.own.wires import Draft, Pending, StreamBroken, Tool

_STOPS = {"STOP": "end", "MAX_TOKENS": "length"}
_OWN = "own_"
"""ids that we gave to calls without one"""


class Gemini:
    """The format; it keeps nothing."""

    name = "gemini"

    def path(self, model: str) -> str:  # noqa: D102  # Wire
        return f"/v1beta/models/{model.removeprefix('models/')}:streamGenerateContent?alt=sse"

    def headers(self, token: str) -> dict[str, str]:  # noqa: D102
        return {"x-goog-api-key": token}

    def head(self, model: str, system: str, tools: tuple[Tool, ...], max_output: int) -> bytes:  # noqa: ARG002, D102
        request: Json = {"systemInstruction": {"parts": [{"text": system}]}}
        if tools:
            functions = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in tools]
            request["tools"] = [{"functionDeclarations": functions}]
        return encode(request)[:-1].encode() + b',"contents":['

    def message(self, message: Message) -> bytes:  # noqa: D102
        match message:
            case User():
                return _turn("user", [{"text": message.text}])
            case Answer():
                native = message.wire == self.name and message.native
                return _turn("model", list(message.native) if native else _parts(message))
            case Results():
                return _turn(
                    "user", [{"functionResponse": _response(r.id, r.name, r.text, r.ok)} for r in message.items]
                )

    def close(self, body: bytearray) -> bytes:  # noqa: D102
        return b"".join((body, b"]}"))

    def read(self, draft: Draft, event: Json) -> None:  # noqa: D102
        if error := event.get("error"):
            raise StreamBroken(error.get("message", "the provider failed in mid-answer"))
        if usage := event.get("usageMetadata"):
            draft.input, draft.cached = usage.get("promptTokenCount", 0), usage.get("cachedContentTokenCount", 0)
            draft.output = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
        if (event.get("promptFeedback") or {}).get("blockReason"):
            draft.stop = "refusal"
        for candidate in event.get("candidates", ()):
            for part in (candidate.get("content") or {}).get("parts", ()):
                _part(draft, part)
            if reason := candidate.get("finishReason"):
                if reason == "MALFORMED_FUNCTION_CALL":
                    raise StreamBroken("the model wrote a tool call that its provider cannot read")
                draft.stop = _STOPS.get(reason, "refusal")

    def finish(self, draft: Draft, first: int) -> Answer:  # noqa: D102
        return draft.finish(self.name, draft.native, first)


def _turn(role: str, parts: list[Json]) -> bytes:
    return encode({"role": role, "parts": parts}).encode()


def _parts(answer: Answer) -> list[Json]:
    said: list[Json] = [{"text": answer.text}] if answer.text else []
    return said + [{"functionCall": {"name": call.name, "args": call.args}} for call in answer.calls]


def _response(identity: str, name: str, text: str, ok: bool) -> Json:
    response: Json = {"name": name, "response": {"output" if ok else "error": text}}
    return response if identity.startswith(_OWN) else {"id": identity, **response}


def _part(draft: Draft, part: Json) -> None:
    """Take one part; a signature of thinking must come back exactly where it stood."""
    if call := part.get("functionCall"):
        draft.calls[len(draft.calls)] = Pending(call.get("id", ""), call["name"], encode(call.get("args") or {}))
        draft.native.append(part)
    elif part.get("thought"):
        draft.think(part.get("text", ""))
    elif text := part.get("text", ""):
        draft.say(text)
        if draft.native and set(draft.native[-1]) == set(part) == {"text"}:
            draft.native[-1]["text"] += text
        else:
            draft.native.append(part)
    elif part.get("thoughtSignature"):
        draft.native.append(part)
