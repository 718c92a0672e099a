"""OpenAI Responses: https://platform.openai.com/docs/api-reference/responses and /responses-streaming."""

from __future__ import annotations

from typing import Any

from tests.fake_provider import openai_chat
from tests.fake_provider.answer import Answer, Pieces, call_id, dumps, event

_CREATED = 1_790_000_000
_REFUSAL = "I cannot help with that."
error = openai_chat.error


def _usage(answer: Answer) -> dict[str, Any]:
    tokens = answer.usage
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }


def _items(answer: Answer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if answer.thought:
        summary = [{"type": "summary_text", "text": answer.thought}]
        items.append({"type": "reasoning", "id": f"rs_{answer.id}", "summary": summary})
    if answer.text or answer.refused:
        part = {"type": "output_text", "text": answer.text, "annotations": []}
        if answer.refused:
            part = {"type": "refusal", "refusal": _REFUSAL}
        items.append(_item("message", f"msg_{answer.id}", role="assistant", content=[part]))
    for index, call in enumerate(answer.calls):
        identity, reference = f"fc_{answer.id}_{index}", call_id(answer, index)
        if call.text is not None:
            items.append(_item("custom_tool_call", identity, call_id=reference, name=call.name, input=call.text))
        else:
            extra = {"namespace": call.namespace} if call.namespace else {}
            arguments = dumps(call.args)
            item = _item("function_call", identity, call_id=reference, name=call.name, arguments=arguments, **extra)
            items.append(item)
    return items


def _item(kind: str, identity: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "id": identity, "status": "completed", **more}


def _response(answer: Answer, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": _CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": _usage(answer) if status == "completed" else None,
    }


def whole(answer: Answer) -> dict[str, Any]:
    """The response in one object."""
    return _response(answer, "completed", _items(answer))


def stream(answer: Answer, *, usage: bool) -> Pieces:  # noqa: ARG001  # always told here, at the very end
    """The response as events; usage comes with `response.completed` alone."""
    out: Pieces = []

    def say(kind: str, delay: float = 0.0, **more: Any) -> None:
        out.append((delay, event({"type": kind, "sequence_number": len(out), **more}, kind)))

    say("response.created", response=_response(answer, "in_progress", []))
    items = _items(answer)
    for index, item in enumerate(items):
        at = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            open_item = {**item, "status": "in_progress", "content": []}
            say("response.output_item.added", output_index=index, item=open_item)
            part = item["content"][0]
            say("response.content_part.added", **at, content_index=0, part={**part, part["type"].split("_")[-1]: ""})
            if answer.refused:
                say("response.refusal.delta", **at, content_index=0, delta=_REFUSAL)
                say("response.refusal.done", **at, content_index=0, refusal=_REFUSAL)
            for text in answer.pieces() if not answer.refused else ():
                say("response.output_text.delta", answer.delay, **at, content_index=0, delta=text, logprobs=[])
            if not answer.refused:
                say("response.output_text.done", **at, content_index=0, text=answer.text, logprobs=[])
            say("response.content_part.done", **at, content_index=0, part=part)
        elif item["type"] == "reasoning":
            say("response.output_item.added", output_index=index, item={**item, "summary": []})
            part = item["summary"][0]
            say("response.reasoning_summary_part.added", **at, summary_index=0, part={**part, "text": ""})
            say("response.reasoning_summary_text.delta", **at, summary_index=0, delta=part["text"])
            say("response.reasoning_summary_text.done", **at, summary_index=0, text=part["text"])
            say("response.reasoning_summary_part.done", **at, summary_index=0, part=part)
        else:
            field, name = _ARGUMENTS[item["type"]]
            say("response.output_item.added", output_index=index, item={**item, "status": "in_progress", field: ""})
            say(f"response.{name}.delta", **at, delta=item[field])
            say(f"response.{name}.done", **at, **{field: item[field]})
        say("response.output_item.done", output_index=index, item=item)
    say("response.completed", response=_response(answer, "completed", items))
    return out


_ARGUMENTS = {
    "function_call": ("arguments", "function_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
}
