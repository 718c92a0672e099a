"""Anthropic Messages: https://docs.anthropic.com/en/api/messages, /messages-streaming and /prompt-caching."""

from __future__ import annotations

import re

from handrail import providers
from handrail.agents.own.messages import Json, Message, arguments
from handrail.agents.own.wires import Draft, StreamBroken, Wire

_STOPS = {"max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "refusal"}
_PIECES = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
_ID = re.compile(r"[^a-zA-Z0-9_-]")
_MARK = {"cache_control": {"type": "ephemeral"}}


def _head(model: str, system: str, tools: list[Json], max_output: int) -> Json:
    request: Json = {"model": model, "max_tokens": max_output, "stream": True}
    # Tools come before the system text in what is cached, so this mark covers both.
    request["system"] = [{"type": "text", "text": system, **_MARK}]
    names = {"name": "name", "description": "description", "parameters": "input_schema"}
    return request | {"tools": [{names[key]: tool[key] for key in names} for tool in tools], "messages": []}


def _items(message: Message, native: list[Json]) -> list[Json]:
    text = [{"type": "text", "text": message.text}] if message.text.strip() else []
    if message.role == "user":
        return [{"role": "user", "content": text}]
    calls = [(_ID.sub("_", call.id), call) for call in message.calls]
    uses = [{"type": "tool_use", "id": one, "name": call.name, "input": call.args} for one, call in calls]
    results = [
        {"type": "tool_result", "tool_use_id": one, "content": call.result} | ({} if call.ok else {"is_error": True})
        for one, call in calls
    ]
    said: list[Json] = [{"role": "assistant", "content": native or text + uses}]
    return [*said, {"role": "user", "content": results}] if results else said


def _read(draft: Draft, event: Json) -> None:
    match event.get("type"):
        case "content_block_delta":
            delta, at = event["delta"], event["index"]
            if delta["type"] == "input_json_delta":
                draft.calls[at][2] += delta["partial_json"]
            elif piece := _PIECES.get(delta["type"]):
                draft.native[at][piece] = draft.native[at].get(piece, "") + delta[piece]
                draft.say(delta.get("text", ""))
                draft.think(delta.get("thinking", ""))
        case "content_block_start":
            block = event["content_block"]
            if block["type"] == "tool_use":
                block = {key: block[key] for key in ("type", "id", "name", "input")}
                draft.calls[event["index"]] = [block["id"], block["name"], ""]
            draft.native.append(block)
        case "message_start":
            draft.count(event["message"].get("usage"))
        case "message_delta":
            draft.count(event.get("usage"))
            if reason := event["delta"].get("stop_reason"):
                draft.stop = _STOPS.get(reason, "end")
                _settle(draft)
        case "error":
            raise StreamBroken(event["error"].get("message", "the provider failed in mid-answer"))


def _settle(draft: Draft) -> None:
    """The blocks as they can be handed back: with the input of calls, without those that hold nothing."""
    for index, (_, _, raw) in draft.calls.items():
        draft.native[index]["input"] = arguments(raw)[0]
    whole = {"tool_use", "redacted_thinking"}
    draft.native = [
        block
        for block in draft.native
        if block["type"] in whole or block.get("text", "").strip() or block.get("signature")
    ]


_HEADERS = {"x-api-key": "{}", "anthropic-version": "2023-06-01"}
# A second mark goes on the newest block, whose message ends in `}]}`; the provider finds the older ones itself.
_TAIL = b',"cache_control":{"type":"ephemeral"}}]}]}'
ANTHROPIC = Wire("anthropic", "/v1/messages", _HEADERS, _head, _items, _read, providers.anthropic, 3, _TAIL)
