"""Reading a request: the model, the longest output it allows, and the one change that the gateway makes to a body."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from handrail.gateway.routes import Format, Route

DEFAULT_OUTPUT = 4096
"""tokens of output that are reserved for where the request sets no maximum"""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request for an answer says of itself."""

    model: str
    body: bytes
    """as it is sent on"""
    max_output: int


class MalformedError(ValueError):
    """The body is not a JSON object."""


def read(route: Route, body: bytes) -> Ask:
    """Read a model call.

    A stream of Chat ends with its usage only if `stream_options.include_usage` asks for it, so that is put in; every
    other body stays as it is, byte for byte.

    Raises:
        MalformedError: the body cannot be read.
    """
    try:
        table = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError("the body is not JSON") from error
    if not isinstance(table, dict):
        raise MalformedError("the body is not a JSON object")
    named = route.model or table.get("model")
    if route.format is Format.CHAT and table.get("stream") is True:
        body = _ask_for_usage(table, body)
    return Ask(named if isinstance(named, str) else "", body, _max_output(route.format, table))


def _max_output(form: Format, table: dict[str, Any]) -> int:
    if form is Format.GEMINI:
        config = table.get("generationConfig")
        given = config.get("maxOutputTokens") if isinstance(config, dict) else None
    else:
        given = next((table[name] for name in _MAXIMA[form] if name in table), None)
    return given if isinstance(given, int) and not isinstance(given, bool) and given >= 0 else DEFAULT_OUTPUT


_MAXIMA = {
    Format.ANTHROPIC: ("max_tokens",),
    Format.RESPONSES: ("max_output_tokens",),
    Format.CHAT: ("max_completion_tokens", "max_tokens"),
}
_OPENING = re.compile(rb"\s*\{\s*")


def _ask_for_usage(table: dict[str, Any], body: bytes) -> bytes:
    options = table.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage") is True:
        return body
    if "stream_options" in table:
        options = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return json.dumps({**table, "stream_options": options}, ensure_ascii=False, separators=(",", ":")).encode()
    opening = _OPENING.match(body)
    start = opening.end() if opening else 0
    return body[:start] + b'"stream_options":{"include_usage":true},' + body[start:]
