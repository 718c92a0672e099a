"""Anthropic Messages: https://docs.anthropic.com/en/api/messages and /messages-streaming."""

from __future__ import annotations

from typing import Any

from tests.fake_provider.answer import Answer, Pieces, call_id, dumps, event

_ERRORS = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
_REFUSAL = "I cannot help with that."


def _usage(answer: Answer) -> dict[str, Any]:
    tokens = answer.usage
    return {
        "input_tokens": tokens.input - tokens.cached - tokens.cache_write,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation_input_tokens": tokens.cache_write,
        "output_tokens": tokens.output,
    }


def _stop(answer: Answer) -> str:
    return "refusal" if answer.refused else "tool_use" if answer.calls else "end_turn"


def _message(answer: Answer) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**_usage(answer), "output_tokens": 1},
    }


def _tool_use(answer: Answer, index: int) -> dict[str, Any]:
    call = answer.calls[index]
    return {"type": "tool_use", "id": f"toolu_{call_id(answer, index)}", "name": call.name, "input": call.args}


def whole(answer: Answer) -> dict[str, Any]:
    """The message in one object."""
    content: list[dict[str, Any]] = []
    if answer.thought:
        content.append({"type": "thinking", "thinking": answer.thought, "signature": "scripted"})
    if answer.text or answer.refused:
        content.append({"type": "text", "text": answer.text or _REFUSAL})
    content += [_tool_use(answer, index) for index in range(len(answer.calls))]
    return {**_message(answer), "content": content, "stop_reason": _stop(answer), "usage": _usage(answer)}


def stream(answer: Answer, *, usage: bool) -> Pieces:  # noqa: ARG001  # always told here
    """The message as events: start, one block after the other, delta with the usage, stop."""
    out: Pieces = [(0.0, event({"type": "message_start", "message": _message(answer)}, "message_start"))]
    index = 0

    def block(start: dict[str, Any], deltas: list[dict[str, Any]], delay: float) -> None:
        nonlocal index
        name = "content_block_start"
        out.append((0.0, event({"type": name, "index": index, "content_block": start}, name)))
        name = "content_block_delta"
        out.extend((delay, event({"type": name, "index": index, "delta": delta}, name)) for delta in deltas)
        name = "content_block_stop"
        out.append((0.0, event({"type": name, "index": index}, name)))
        index += 1

    if answer.thought:
        deltas = [
            {"type": "thinking_delta", "thinking": answer.thought},
            {"type": "signature_delta", "signature": "scripted"},
        ]
        block({"type": "thinking", "thinking": "", "signature": ""}, deltas, 0.0)
    texts = [_REFUSAL] if answer.refused and not answer.text else list(answer.pieces())
    if texts:
        block({"type": "text", "text": ""}, [{"type": "text_delta", "text": text} for text in texts], answer.delay)
    for number, call in enumerate(answer.calls):
        start = {**_tool_use(answer, number), "input": {}}
        block(start, [{"type": "input_json_delta", "partial_json": dumps(call.args)}], 0.0)
    delta = {"stop_reason": _stop(answer), "stop_sequence": None}
    out.append((0.0, event({"type": "message_delta", "delta": delta, "usage": _usage(answer)}, "message_delta")))
    out.append((0.0, event({"type": "message_stop"}, "message_stop")))
    return out


def error(status: int, message: str) -> dict[str, Any]:
    """The error object of this API."""
    return {"type": "error", "error": {"type": _ERRORS.get(status, "api_error"), "message": message}}
