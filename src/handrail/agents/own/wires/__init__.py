"""Wire formats: how a conversation becomes a request, and a stream of events an answer. One sibling file a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from handrail.agents.own.messages import Call, Json, Message, arguments, clean, encode


class StreamBroken(Exception):
    """The stream said that it failed, or made no sense; the call can be tried again."""


@dataclass
class Draft:
    """An answer as it grows. `calls` is index → id, name and JSON of the arguments so far."""

    text: str = ""
    thought: str = ""
    calls: dict[int, list[str]] = field(default_factory=dict)
    native: list[Json] = field(default_factory=list)
    stop: str | None = None  # set once the provider has said that the answer is whole
    usage: list[int] = field(default_factory=lambda: [0, 0, 0])

    def finish(self, wire: str, first: int) -> Message:
        """The answer, its calls numbered from `first`; StreamBroken where the stream ended before it did."""
        if self.stop is None:
            raise StreamBroken("the answer broke off in mid-stream")
        calls = [
            Call(number, identity or f"own_{number}", name, *arguments(raw))
            for number, (identity, name, raw) in enumerate(self.calls.values(), first)
        ]
        text, thought = clean(self.text), clean(self.thought)
        return Message("agent", text, calls, thought, self.stop, wire, self.native, self.usage)


@dataclass(frozen=True, slots=True)
class Wire:
    """One format, as a table. A request is a head, messages with commas between, a tail; so a history only grows."""

    name: str
    path: str  # `{}` is the model
    headers: Mapping[str, str]  # `{}` is the token
    head: Callable[[str, str, list[Json], int], Json]
    """(model, system, tools, most tokens of output) → the request; its last value is the list of messages"""
    items: Callable[[Message, list[Json]], list[Json]]
    """(message, what this wire itself said then) → what stands for it in the list"""
    read: Callable[[Draft, Json], None]
    """take one event of the stream; StreamBroken where it tells of a failure"""
    cut: int = 0
    tail: bytes = b"]}"
    """how a request ends, and how much of its last message gives way to that"""

    def begin(self, model: str, system: str, tools: list[Json], max_output: int) -> bytes:
        """The request up to its first message."""
        request = self.head(model, system, tools, max_output)
        return encode({key: value for key, value in request.items() if value or key != "tools"})[:-2].encode()

    def message(self, message: Message) -> bytes:
        """One message, without a comma at either end."""
        native = message.native if message.wire == self.name else []
        return ",".join(map(encode, self.items(message, native))).encode()

    def close(self, body: bytearray) -> bytes:
        """The whole request: `body` is the head and the messages."""
        return b"".join((memoryview(body)[: len(body) - self.cut], self.tail))
