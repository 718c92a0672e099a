"""OpenAI Chat Completions: https://platform.openai.com/docs/api-reference/chat and its streaming chunks."""

from __future__ import annotations

from typing import Any

from tests.fake_provider.answer import Answer, Pieces, call_id, dumps, event

_ERRORS = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
_CREATED = 1_790_000_000


def _usage(answer: Answer) -> dict[str, Any]:
    tokens = answer.usage
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
    }


def _tool_call(answer: Answer, index: int) -> dict[str, Any]:
    call = answer.calls[index]
    function = {"name": call.name, "arguments": dumps(call.args)}
    return {"id": call_id(answer, index), "type": "function", "function": function}


def _stop(answer: Answer) -> str:
    return "content_filter" if answer.refused else "tool_calls" if answer.calls else "stop"


def whole(answer: Answer) -> dict[str, Any]:
    """The completion in one object."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.refused:
        message["refusal"] = "I cannot help with that."
    if answer.thought:
        message["reasoning_content"] = answer.thought
    if answer.calls:
        message["tool_calls"] = [_tool_call(answer, index) for index in range(len(answer.calls))]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _stop(answer)}
    return {**_head(answer, "chat.completion"), "choices": [choice], "usage": _usage(answer)}


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{answer.id}", "object": kind, "created": _CREATED, "model": answer.model}


def stream(answer: Answer, *, usage: bool) -> Pieces:
    """The completion as chunks; the last one carries the usage if `stream_options.include_usage` asked for it."""
    head = _head(answer, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    out: Pieces = [(0.0, chunk({"role": "assistant", "content": ""}))]
    if answer.thought:
        out.append((0.0, chunk({"reasoning_content": answer.thought})))
    out.extend((answer.delay, chunk({"content": text})) for text in answer.pieces())
    if answer.refused:
        out.append((0.0, chunk({"refusal": "I cannot help with that."})))
    for index in range(len(answer.calls)):
        call = {**_tool_call(answer, index), "index": index}
        arguments = call["function"]["arguments"]
        first = {**call, "function": {**call["function"], "arguments": ""}}
        out.append((0.0, chunk({"tool_calls": [first]})))
        out.append((0.0, chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})))
    out.append((0.0, chunk({}, _stop(answer))))
    if usage:
        out.append((0.0, event({**head, "choices": [], "usage": _usage(answer)})))
    out.append((0.0, b"data: [DONE]\n\n"))
    return out


def error(status: int, message: str) -> dict[str, Any]:
    """The error object of this API (Responses uses the same)."""
    kind = _ERRORS.get(status, "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": _CODES.get(status)}}
