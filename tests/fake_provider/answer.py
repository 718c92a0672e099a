"""What the scripted model says in one call, before a wire format gives it its shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.fake_provider.offer import ToolCall

Pieces = list[tuple[float, bytes]]
"""a stream: seconds to wait, then bytes to send"""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Usage in neutral words. `input` counts all input, cached included; `output` all output, thinking included."""

    input: int
    output: int
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the model."""

    id: str
    model: str
    text: str = ""
    chunks: int = 1
    delay: float = 0.0
    thought: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    refused: bool = False
    usage: Tokens = field(default_factory=lambda: Tokens(0, 0))

    def pieces(self) -> Iterator[str]:
        """The text in `chunks` parts of about one size."""
        if not self.text:
            return
        size = max(1, -(-len(self.text) // self.chunks))
        for at in range(0, len(self.text), size):
            yield self.text[at : at + size]


class Wire(Protocol):
    """One wire format."""

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The answer as one JSON object."""
        ...

    def stream(self, answer: Answer, *, usage: bool) -> Pieces:
        """The answer as server-sent events; `usage` says whether the request asked for it (OpenAI Chat)."""
        ...

    def error(self, status: int, message: str) -> dict[str, Any]:
        """The error body of this format."""
        ...


def dumps(value: Any) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"))


def event(data: dict[str, Any], name: str | None = None) -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {dumps(data)}\n\n".encode()


def call_id(answer: Answer, index: int) -> str:
    """The id of a tool call, unique within a session."""
    return f"call_{answer.id}_{index}"
