"""Reading what a call used from the bytes that pass by: whole answers and streams of the four formats.

Where the figures stand is told in `handrail.providers`. A stream that breaks off keeps what it said; what it did not
say is estimated: a token an event of output, and a token for each 4 bytes of the request.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from msgspec import Struct, field

from handrail import providers
from handrail.gateway.routes import Format

_KEEP = 32 << 20
"""bytes of one answer or one event held for reading; beyond, the figures are estimated"""


class Reading(Struct, frozen=True):
    """What was read of one answer. `raw` is the provider's own usage object, for the price list to read in full."""

    model: str | None = None
    input: int = 0
    """all input, cached included"""
    cached: int = 0
    cache_written: int = 0
    output: int = 0
    raw: dict[str, Any] = field(default_factory=dict)
    terms: dict[str, str] = field(default_factory=dict)
    """what the answer says of itself that changes its price: `service_tier`, `speed`"""
    partial: bool = False


class Reader:
    """Fed with the answer's bytes in order; never raises for what they hold.

    Args:
        form: the wire format.
        sse: whether the answer is a stream of server-sent events.
        encoding: its content encoding; what is neither identity, gzip nor deflate cannot be read.
    """

    def __init__(self, form: Format, *, sse: bool, encoding: str = "identity") -> None:
        self._form = form
        self._sse = sse
        self._held: list[bytes] = []
        self._size = 0
        self._usage: dict[str, Any] = {}
        self._model: str | None = None
        self._terms: dict[str, str] = {}
        self._events = 0
        self._ended = False
        self._readable = encoding in ("", "identity", "gzip", "deflate")
        self._inflate = zlib.decompressobj(47) if encoding in ("gzip", "deflate") else None

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if not self._readable:
            return
        if self._inflate:
            try:
                data = self._inflate.decompress(data, _KEEP)
            except zlib.error:
                self._readable = False
                return
        self._size += len(data)
        self._held.append(data)
        if self._size > _KEEP:
            self._readable, self._held = False, []
            return
        if not self._sse or b"\n" not in data:
            return
        lines = b"".join(self._held).split(b"\n")
        self._held = [lines.pop()]
        self._size = len(self._held[0])
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line)

    def _event(self, line: bytes) -> None:
        self._events += 1
        # Events without any of these words carry output alone: they are counted, not parsed.
        if (b'"usage' not in line or b'"usage":null' in line) and b'"message_stop"' not in line:
            return
        try:
            event = json.loads(line[5:])
        except ValueError:
            return
        if isinstance(event, dict):
            self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        holder: Any = event
        if self._form is Format.ANTHROPIC:
            holder = event.get("message", event)
            self._ended = self._ended or kind in ("message_stop", "message")
        elif self._form is Format.RESPONSES:
            holder = event.get("response", event)
            self._ended = self._ended or kind in _FINAL or event.get("object") == "response"
        if not isinstance(holder, dict):
            return
        usage = holder.get("usageMetadata" if self._form is Format.GEMINI else "usage")
        model = holder.get("modelVersion" if self._form is Format.GEMINI else "model")
        if isinstance(model, str):
            self._model = model
        if not isinstance(usage, dict):
            return
        for term in ("service_tier", "speed"):
            value = usage.get(term, holder.get(term))
            if isinstance(value, str):
                self._terms[term] = value
        self._usage |= {key: value for key, value in usage.items() if value is not None}
        if self._form is Format.CHAT:
            self._ended = True
        elif self._form is Format.GEMINI:
            candidates = holder.get("candidates")
            first = candidates[0] if isinstance(candidates, list) and candidates else {}
            self._ended = self._ended or not candidates or (isinstance(first, dict) and "finishReason" in first)

    def result(self, *, request: int, broken: bool = False) -> Reading:
        """The figures after the last byte.

        Args:
            request: bytes of the request, for the estimate where the provider said nothing.
            broken: the answer did not come to its end.
        """
        if not self._sse and self._held:
            try:
                body = json.loads(b"".join(self._held))
            except ValueError:
                body = None
            for part in body if isinstance(body, list) else [body]:
                if isinstance(part, dict):
                    self._take(part)
        self._held = []
        given, cached, written, made = _READ[self._form](self._usage)
        partial = broken or not self._ended or not self._usage
        if partial:
            given, made = given or request // 4, max(made, self._events)
        # More from the cache than was given at all would make a price below nothing, and give a budget back.
        possible = providers.sane(self._usage) and cached + written <= given
        cached = min(cached, given)
        written = min(written, given - cached)
        raw = self._usage if possible else {}
        return Reading(self._model, given, cached, written, made, raw=raw, terms=self._terms, partial=partial)


_FINAL = ("response.completed", "response.incomplete", "response.failed")


_READ = {
    Format.ANTHROPIC: providers.anthropic,
    Format.RESPONSES: providers.responses,
    Format.CHAT: providers.chat,
    Format.GEMINI: providers.gemini,
}
