"""OpenAI Responses, without state at the provider: https://platform.openai.com/docs/api-reference/responses."""

from __future__ import annotations

from handrail import providers
from handrail.agents.own.messages import Json, Message, encode
from handrail.agents.own.wires import Draft, StreamBroken, Wire

_REASONING = ("o1", "o3", "o4", "gpt-5", "codex")
"""models that hand out their reasoning, encrypted; others refuse to be asked for it"""


def _head(model: str, system: str, tools: list[Json], _: int) -> Json:
    request: Json = {"model": model, "stream": True, "store": False, "instructions": system}
    if model.startswith(_REASONING):
        request["include"] = ["reasoning.encrypted_content"]
    return request | {"tools": [{"type": "function", **tool, "strict": False} for tool in tools], "input": []}


def _items(message: Message, native: list[Json]) -> list[Json]:
    if message.role == "user":
        return [_said("user", "input_text", message.text)]
    said = native or [_said("assistant", "output_text", message.text)] * bool(message.text) + [
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": encode(call.args)}
        for call in message.calls
    ]
    results = ({"type": "function_call_output", "call_id": call.id, "output": call.result} for call in message.calls)
    return [*said, *results]


def _said(role: str, kind: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def _read(draft: Draft, event: Json) -> None:
    match event.get("type"):
        case "response.output_text.delta":
            draft.say(event["delta"])
        case "response.refusal.delta":
            draft.say(event["delta"])
            draft.stop = "refusal"
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
            draft.think(event["delta"])
        case "response.output_item.done":
            _item(draft, event["item"])
        case "response.completed" | "response.incomplete":
            reason = (event["response"].get("incomplete_details") or {}).get("reason")
            ended = "refusal" if reason == "content_filter" else "length" if reason else "end"
            draft.stop = draft.stop or ended
            draft.count(event["response"].get("usage"))
        case "response.failed" | "error":
            error = event.get("response", event).get("error") or event
            raise StreamBroken(error.get("message") or "the provider failed in mid-answer")


def _item(draft: Draft, item: Json) -> None:
    """Keep an item for the next request, without its id: nothing is stored there that it could name."""
    match item["type"]:
        case "message":
            if text := "".join(part.get("text", "") for part in item["content"]):
                draft.native.append(_said("assistant", "output_text", text))
        case "reasoning" if item.get("encrypted_content"):
            kept = ("type", "summary", "encrypted_content")
            draft.native.append({key: item[key] for key in kept if key in item})
        case "function_call":
            draft.calls[len(draft.calls)] = [item["call_id"], item["name"], item["arguments"]]
            draft.native.append({key: item[key] for key in ("type", "call_id", "name", "arguments")})


RESPONSES = Wire(
    "openai-responses", "/v1/responses", {"authorization": "Bearer {}"}, _head, _items, _read, providers.responses
)
