"""Anthropic Messages: https://docs.anthropic.com/en/api/messages, /messages-streaming and /prompt-caching."""

from __future__ import annotations

import re
from dataclasses import replace

from handrail.agents.own.messages import Answer, Json, Message, Results, User, encode
from handrail.agents.own.wires import Draft, Pending, StreamBroken, Tool

_CACHE = {"type": "ephemeral"}
_STOPS = {"max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "refusal"}
_ID = re.compile(r"[^a-zA-Z0-9_-]")


class Anthropic:
    """The format; it keeps nothing."""

    name = "anthropic"

    def path(self, model: str) -> str:  # noqa: ARG002, D102  # Wire
        return "/v1/messages"

    def headers(self, token: str) -> dict[str, str]:  # noqa: D102
        return {"x-api-key": token, "anthropic-version": "2023-06-01"}

    def head(self, model: str, system: str, tools: tuple[Tool, ...], max_output: int) -> bytes:  # noqa: D102
        request: Json = {"model": model, "max_tokens": max_output, "stream": True}
        # Tools come before the system text in what is cached, so this mark covers both.
        request["system"] = [{"type": "text", "text": system, "cache_control": _CACHE}]
        if tools:
            request["tools"] = [
                {"name": t.name, "description": t.description, "input_schema": t.parameters} for t in tools
            ]
        return encode(request)[:-1].encode() + b',"messages":['

    def message(self, message: Message) -> bytes:  # noqa: D102
        match message:
            case User():
                return _turn("user", [{"type": "text", "text": message.text}])
            case Answer():
                native = message.wire == self.name and message.native
                return _turn("assistant", list(message.native) if native else _blocks(message))
            case Results():
                results: list[Json] = [
                    {"type": "tool_result", "tool_use_id": _ID.sub("_", r.id), "content": r.text}
                    | ({} if r.ok else {"is_error": True})
                    for r in message.items
                ]
                return _turn("user", results)

    def close(self, body: bytearray) -> bytes:  # noqa: D102
        # A second mark goes on the newest block, whose message ends in `}]}`; the provider finds the older ones itself.
        return b"".join((memoryview(body)[:-3], b',"cache_control":{"type":"ephemeral"}}]}]}'))

    def read(self, draft: Draft, event: Json) -> None:  # noqa: D102
        match event.get("type"):
            case "content_block_delta":
                _delta(draft, event["index"], event["delta"])
            case "content_block_start":
                block = event["content_block"]
                draft.native.append(block)
                if block["type"] == "tool_use":
                    draft.calls[event["index"]] = Pending(block["id"], block["name"])
            case "message_start":
                usage = event["message"].get("usage") or {}
                draft.cached = usage.get("cache_read_input_tokens") or 0
                written = usage.get("cache_creation_input_tokens") or 0
                draft.input = usage.get("input_tokens", 0) + draft.cached + written
            case "message_delta":
                draft.output = (event.get("usage") or {}).get("output_tokens", 0)
                if reason := event["delta"].get("stop_reason"):
                    draft.stop = _STOPS.get(reason, "end")
            case "error":
                raise StreamBroken(event["error"].get("message", "the provider failed in mid-answer"))

    def finish(self, draft: Draft, first: int) -> Answer:  # noqa: D102
        answer = draft.finish(self.name, [], first)
        inputs = iter(answer.calls)
        native = []
        for block in draft.native:
            if block["type"] == "tool_use":
                native.append({"type": "tool_use", **{k: block[k] for k in ("id", "name")}, "input": next(inputs).args})
            elif block.get("text", "").strip() or block.get("signature") or block["type"] == "redacted_thinking":
                native.append(block)
        return replace(answer, native=tuple(native))


def _turn(role: str, content: list[Json]) -> bytes:
    return encode({"role": role, "content": content}).encode()


def _blocks(answer: Answer) -> list[Json]:
    said: list[Json] = [{"type": "text", "text": answer.text}] if answer.text.strip() else []
    return said + [
        {"type": "tool_use", "id": _ID.sub("_", call.id), "name": call.name, "input": call.args}
        for call in answer.calls
    ]


def _delta(draft: Draft, index: int, delta: Json) -> None:
    match delta["type"]:
        case "text_delta":
            draft.native[index]["text"] += delta["text"]
            draft.say(delta["text"])
        case "input_json_delta":
            draft.calls[index].raw += delta["partial_json"]
        case "thinking_delta":
            draft.native[index]["thinking"] += delta["thinking"]
            draft.think(delta["thinking"])
        case "signature_delta":
            draft.native[index]["signature"] = delta["signature"]
