"""Gemini: https://ai.google.dev/api/generate-content."""

from __future__ import annotations

from typing import Any

from tests.fake_provider.answer import Answer, Pieces, event

_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


def _usage(answer: Answer) -> dict[str, Any]:
    tokens = answer.usage
    return {
        "promptTokenCount": tokens.input,
        "cachedContentTokenCount": tokens.cached,
        "candidatesTokenCount": tokens.output - tokens.reasoning,
        "thoughtsTokenCount": tokens.reasoning,
        "totalTokenCount": tokens.input + tokens.output,
    }


def _candidates(answer: Answer, parts: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": answer.model, "responseId": answer.id}


def _parts(answer: Answer) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    thought = [{"text": answer.thought, "thought": True}] if answer.thought else []
    texts = [{"text": text} for text in answer.pieces()]
    calls = [{"functionCall": {"name": call.name, "args": call.args}} for call in answer.calls]
    return thought, texts, calls


def _finish(answer: Answer) -> str:
    return "SAFETY" if answer.refused else "STOP"


def whole(answer: Answer) -> dict[str, Any]:
    """The response in one object."""
    thought, _, calls = _parts(answer)
    text = [{"text": answer.text}] if answer.text else []
    return {**_candidates(answer, thought + text + calls, _finish(answer)), "usageMetadata": _usage(answer)}


def stream(answer: Answer, *, usage: bool) -> Pieces:  # noqa: ARG001  # always told here, growing
    """The response as chunks; each carries the usage so far, the last one all of it."""
    thought, texts, calls = _parts(answer)
    out: Pieces = []
    usage_now = {**_usage(answer), "candidatesTokenCount": 0, "totalTokenCount": answer.usage.input}
    for part in thought:
        out.append((0.0, event({**_candidates(answer, [part], None), "usageMetadata": usage_now})))
    for part in texts:
        out.append((answer.delay, event({**_candidates(answer, [part], None), "usageMetadata": usage_now})))
    last = {**_candidates(answer, calls or [{"text": ""}], _finish(answer)), "usageMetadata": _usage(answer)}
    out.append((0.0, event(last)))
    return out


def error(status: int, message: str) -> dict[str, Any]:
    """The error object of Google APIs."""
    return {"error": {"code": status, "message": message, "status": _STATUS.get(status, "INTERNAL")}}
