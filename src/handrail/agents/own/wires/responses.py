"""OpenAI Responses, without state at the provider: https://platform.openai.com/docs/api-reference/responses."""

from __future__ import annotations

from handrail.agents.own.messages import Answer, Json, Message, Results, User, encode
from handrail.agents.own.wires import Draft, Pending, StreamBroken, Tool

_REASONING = ("o1", "o3", "o4", "gpt-5", "codex")
"""models that hand out their reasoning, encrypted; others refuse to be asked for it"""


class Responses:
    """The format; it keeps nothing."""

    name = "openai-responses"

    def path(self, model: str) -> str:  # noqa: ARG002, D102  # Wire
        return "/v1/responses"

    def headers(self, token: str) -> dict[str, str]:  # noqa: D102
        return {"authorization": f"Bearer {token}"}

    def head(self, model: str, system: str, tools: tuple[Tool, ...], max_output: int) -> bytes:  # noqa: ARG002, D102
        request: Json = {"model": model, "stream": True, "store": False, "instructions": system}
        if model.startswith(_REASONING):
            request["include"] = ["reasoning.encrypted_content"]
        if tools:
            request["tools"] = [
                {"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters}
                | {"strict": False}
                for t in tools
            ]
        return encode(request)[:-1].encode() + b',"input":['

    def message(self, message: Message) -> bytes:  # noqa: D102
        match message:
            case User():
                items: list[Json] = [_said("user", "input_text", message.text)]
            case Answer():
                items = list(message.native) if message.wire == self.name and message.native else _items(message)
            case Results():
                items = [{"type": "function_call_output", "call_id": r.id, "output": r.text} for r in message.items]
        return ",".join(map(encode, items)).encode()

    def close(self, body: bytearray) -> bytes:  # noqa: D102
        return b"".join((body, b"]}"))

    def read(self, draft: Draft, event: Json) -> None:  # noqa: D102
        match event.get("type"):
            case "response.output_text.delta":
                draft.say(event["delta"])
            case "response.refusal.delta":
                draft.say(event["delta"])
                draft.native.append({"type": "refusal"})
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                draft.think(event["delta"])
            case "response.output_item.done":
                _item(draft, event["item"])
            case "response.completed" | "response.incomplete":
                response = event["response"]
                reason = (response.get("incomplete_details") or {}).get("reason")
                refused = reason == "content_filter" or {"type": "refusal"} in draft.native
                draft.stop = "refusal" if refused else "length" if reason else "end"
                usage = response.get("usage") or {}
                draft.input, draft.output = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
                draft.cached = (usage.get("input_tokens_details") or {}).get("cached_tokens", 0)
            case "response.failed" | "error":
                error = event.get("response", event).get("error") or event
                raise StreamBroken(error.get("message") or "the provider failed in mid-answer")

    def finish(self, draft: Draft, first: int) -> Answer:  # noqa: D102
        return draft.finish(self.name, [item for item in draft.native if item["type"] != "refusal"], first)


def _said(role: str, kind: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def _items(answer: Answer) -> list[Json]:
    said = [_said("assistant", "output_text", answer.text)] if answer.text else []
    return said + [
        {"type": "function_call", "call_id": c.id, "name": c.name, "arguments": encode(c.args)} for c in answer.calls
    ]


def _item(draft: Draft, item: Json) -> None:
    """Keep an item for the next request, without its id: nothing is stored there that it could name."""
    match item["type"]:
        case "message":
            text = "".join(part.get("text", "") for part in item["content"])
            if text:
                draft.native.append(_said("assistant", "output_text", text))
        case "reasoning" if item.get("encrypted_content"):
            kept = ("type", "summary", "encrypted_content")
            draft.native.append({key: item[key] for key in kept if key in item})
        case "function_call":
            draft.calls[len(draft.calls)] = Pending(item["call_id"], item["name"], item["arguments"])
            draft.native.append({key: item[key] for key in ("type", "call_id", "name", "arguments")})
