"""Reading a request: the model, the longest output it allows, and the one change that the gateway makes to a body.

A body carries a session's whole history at each call, so it is read as little as can be: not at all where nothing
depends on it, and else by msgspec's parser, which passes over what is not asked for (0.07 ms for 100 KB, a twentieth of
what `json` takes). What that parser refuses `json` is asked about, which takes a little more: lone surrogates, NaN.
"""

from __future__ import annotations

import json
import re
from typing import Any

from msgspec import UNSET, DecodeError, Struct, convert, field
from msgspec.json import Decoder

from handrail.gateway.routes import Format, Route

DEFAULT_OUTPUT = 4096
"""tokens of output that are reserved for, at the least, where the request sets no maximum"""


class MalformedError(ValueError):
    """The body is not a JSON object."""


class _Head(Struct, frozen=True):
    """The values of a body that the gateway looks at, as they stand; the last of several of one name counts."""

    model: Any = UNSET
    stream: Any = UNSET
    stream_options: Any = UNSET
    max_tokens: Any = UNSET
    max_completion_tokens: Any = UNSET
    max_output_tokens: Any = UNSET
    generation: Any = field(default=UNSET, name="generationConfig")


_HEAD = Decoder(_Head)


class Ask:
    """What a request for an answer says of itself, read once it is wanted; a body that cannot be read says nothing.

    Args:
        route: where it goes.
        body: as it came.
    """

    def __init__(self, route: Route, body: bytes) -> None:
        self.body = body
        """as it is sent on"""
        self._route = route
        self._read: _Head | None = None

    @property
    def model(self) -> str:
        """The model that it names; empty where it names none."""
        named = self._route.model or self._head().model
        return named if isinstance(named, str) else ""

    @property
    def max_output(self) -> int | None:
        """The longest output that it allows, in tokens; None where it sets no maximum."""
        head = self._head()
        if self._route.format is Format.GEMINI:
            config = head.generation
            given = config.get("maxOutputTokens") if isinstance(config, dict) else None
        else:
            said = (getattr(head, name) for name in _MAXIMA[self._route.format])
            given = next((value for value in said if value is not UNSET), None)
        return given if isinstance(given, int) and not isinstance(given, bool) and given >= 0 else None

    def parse(self) -> None:
        """Read the body now.

        A stream of Chat ends with its usage only if `stream_options.include_usage` asks for it, so that is put in;
        every other body stays as it is, byte for byte.

        Raises:
            MalformedError: it cannot be read.
        """
        self._read = head = _parse(self.body)
        if self._route.format is Format.CHAT and head.stream is True:
            self.body = _ask_for_usage(head, self.body)

    def _head(self) -> _Head:
        if self._read is None:
            try:
                self._read = _parse(self.body)
            except MalformedError:
                self._read = _Head()
        return self._read


def read(route: Route, body: bytes, *, whole: bool = True) -> Ask:
    """Read a model call.

    Args:
        route: where it goes.
        body: as it came.
        whole: whether what it says is needed before it is sent on; else only what the gateway changes is looked for,
            and a malformed body may be left for the provider to refuse.

    Raises:
        MalformedError: the body cannot be read.
    """
    ask = Ask(route, body)
    if whole or route.format is Format.CHAT or not (_OPENING.match(body) and body.rstrip().endswith(b"}")):
        ask.parse()
    return ask


def _parse(body: bytes) -> _Head:
    try:
        return _HEAD.decode(body)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        table = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError("the body is not JSON") from error
    if not isinstance(table, dict):
        raise MalformedError("the body is not a JSON object")
    return convert(table, _Head)


_MAXIMA = {
    Format.ANTHROPIC: ("max_tokens",),
    Format.RESPONSES: ("max_output_tokens",),
    Format.CHAT: ("max_completion_tokens", "max_tokens"),
}
_OPENING = re.compile(rb"\s*\{\s*")


def _ask_for_usage(head: _Head, body: bytes) -> bytes:
    options = head.stream_options
    if isinstance(options, dict) and options.get("include_usage") is True:
        return body
    opening = _OPENING.match(body)
    if opening is None or options is not UNSET:
        options = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        table = {**json.loads(body), "stream_options": options}
        return json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    return body[: opening.end()] + b'"stream_options":{"include_usage":true},' + body[opening.end() :]
