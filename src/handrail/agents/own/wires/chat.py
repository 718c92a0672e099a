"""OpenAI Chat Completions, and the many servers that speak it: https://platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

from handrail import providers
from handrail.agents.own.messages import Json, Message, encode
from handrail.agents.own.wires import Draft, StreamBroken, Wire

_STOPS = {"length": "length", "content_filter": "refusal"}


def _head(model: str, system: str, tools: list[Json], _: int) -> Json:
    request: Json = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
    request["tools"] = [{"type": "function", "function": tool} for tool in tools]
    return request | {"messages": [{"role": "system", "content": system}]}


def _items(message: Message, _: list[Json]) -> list[Json]:
    if message.role == "user":
        return [{"role": "user", "content": message.text}]
    said: Json = {"role": "assistant", "content": message.text or None}
    if message.calls:
        functions = [(call.id, {"name": call.name, "arguments": encode(call.args)}) for call in message.calls]
        said["tool_calls"] = [{"id": one, "type": "function", "function": function} for one, function in functions]
    return [said, *({"role": "tool", "tool_call_id": call.id, "content": call.result} for call in message.calls)]


def _read(draft: Draft, event: Json) -> None:
    if error := event.get("error"):
        raise StreamBroken(error.get("message", error) if isinstance(error, dict) else error)
    draft.count(event.get("usage"))
    for choice in event.get("choices", ()):
        delta = choice.get("delta") or {}
        draft.say(delta.get("content") or delta.get("refusal") or "")
        draft.think(delta.get("reasoning_content") or delta.get("reasoning") or "")
        for piece in delta.get("tool_calls") or ():
            # Some servers leave the index out and send each call whole, with an id.
            index = piece.get("index", len(draft.calls) - (0 if piece.get("id") else 1))
            identity, name, raw = draft.calls.get(index, ("", "", ""))
            function = piece.get("function") or {}
            raw += function.get("arguments") or ""
            draft.calls[index] = [piece.get("id") or identity, function.get("name") or name, raw]
        if reason := choice.get("finish_reason"):
            draft.stop = _STOPS.get(reason, "end")


CHAT = Wire("openai-chat", "/v1/chat/completions", {"authorization": "Bearer {}"}, _head, _items, _read, providers.chat)
