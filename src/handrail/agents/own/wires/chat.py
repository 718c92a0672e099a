"""OpenAI Chat Completions, and the many servers that speak it: https://platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

from handrail.agents.own.messages import Answer, Json, Message, Results, User, encode
from handrail.agents.own.wires import Draft, Pending, StreamBroken, Tool

STOPS = {"length": "length", "content_filter": "refusal"}


class Chat:
    """The format; it keeps nothing."""

    name = "openai-chat"

    def path(self, model: str) -> str:  # noqa: ARG002, D102  # Wire
        return "/v1/chat/completions"

    def headers(self, token: str) -> dict[str, str]:  # noqa: D102
        return {"authorization": f"Bearer {token}"}

    def head(self, model: str, system: str, tools: tuple[Tool, ...], max_output: int) -> bytes:  # noqa: ARG002, D102
        request: Json = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
        if tools:
            functions = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in tools]
            request["tools"] = [{"type": "function", "function": function} for function in functions]
        request["messages"] = [{"role": "system", "content": system}]
        return encode(request)[:-2].encode() + b","

    def message(self, message: Message) -> bytes:  # noqa: D102
        match message:
            case User():
                return encode({"role": "user", "content": message.text}).encode()
            case Answer():
                said: Json = {"role": "assistant", "content": message.text or None}
                if message.calls:
                    functions = [{"name": c.name, "arguments": encode(c.args)} for c in message.calls]
                    said["tool_calls"] = [
                        {"id": call.id, "type": "function", "function": function}
                        for call, function in zip(message.calls, functions, strict=True)
                    ]
                return encode(said).encode()
            case Results():
                results = ({"role": "tool", "tool_call_id": r.id, "content": r.text} for r in message.items)
                return ",".join(map(encode, results)).encode()

    def close(self, body: bytearray) -> bytes:  # noqa: D102
        return b"".join((body, b"]}"))

    def read(self, draft: Draft, event: Json) -> None:  # noqa: D102
        if error := event.get("error"):
            raise StreamBroken(error.get("message", error) if isinstance(error, dict) else error)
        if usage := event.get("usage"):
            draft.input, draft.output = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
            draft.cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        for choice in event.get("choices", ()):
            delta = choice.get("delta") or {}
            if text := delta.get("content") or delta.get("refusal"):
                draft.say(text)
            if thought := delta.get("reasoning_content") or delta.get("reasoning"):
                draft.think(thought)
            for piece in delta.get("tool_calls") or ():
                self._call(draft, piece)
            if reason := choice.get("finish_reason"):
                draft.stop = STOPS.get(reason, "end")

    def _call(self, draft: Draft, piece: Json) -> None:
        # Some servers leave the index out and send each call whole, with an id.
        index = piece.get("index", len(draft.calls) - (0 if piece.get("id") else 1))
        function = piece.get("function") or {}
        pending = draft.calls.setdefault(index, Pending("", ""))
        pending.id = piece.get("id") or pending.id
        pending.name = function.get("name") or pending.name
        pending.raw += function.get("arguments") or ""

    def finish(self, draft: Draft, first: int) -> Answer:  # noqa: D102
        return draft.finish(self.name, [], first)
