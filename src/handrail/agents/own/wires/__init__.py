"""Wire formats: how a conversation becomes a request, and a stream of events an answer. One sibling file a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from handrail.agents.own.messages import Call, Json, Message, arguments, encode
from handrail.providers import Tokens
from handrail.text import whole


class StreamBroken(Exception):
    """The stream said that it failed, or made no sense; the call can be tried again."""


@dataclass
class Draft:
    """An answer as it grows, its calls numbered from `first`; `told` is called with the ACP kind of each new piece."""

    first: int = 1
    told: Callable[[str, str], None] = field(default=lambda _kind, _text: None)
    text: str = ""
    thought: str = ""
    calls: dict[int, list[str]] = field(default_factory=dict)  # index → id, name and JSON of the arguments so far
    native: list[Json] = field(default_factory=list)
    stop: str | None = None  # set once the provider has said that the answer is whole
    usage: Json = field(default_factory=dict)  # as the provider tells it

    def say(self, text: str) -> None:
        """Take the next piece of the answer's text."""
        if text:
            self.text += text
            self.told("agent_message_chunk", text)

    def think(self, text: str) -> None:
        """Take the next piece of what the model thinks."""
        if text:
            self.thought += text
            self.told("agent_thought_chunk", text)

    def count(self, usage: Json | None) -> None:
        """Take figures, which may come in several pieces."""
        self.usage |= {name: value for name, value in (usage or {}).items() if value is not None}

    def finish(self, wire: Wire) -> Message:
        """The answer; StreamBroken where the stream ended before it did."""
        if self.stop is None:
            raise StreamBroken("the answer broke off in mid-stream")
        calls = [
            Call(number, identity or f"own_{number}", name, *arguments(raw))
            for number, (identity, name, raw) in enumerate(self.calls.values(), self.first)
        ]
        text, thought, used = whole(self.text), whole(self.thought), wire.tokens(self.usage)
        usage = [used.input, used.cached, used.output]
        return Message("agent", text, calls, thought, self.stop, wire.name, self.native, usage)


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
    tokens: Callable[[Json], Tokens]
    """what the provider's figures say"""
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
        return encode(self.items(message, native))[1:-1].encode()

    def close(self, head: bytes, messages: list[bytes]) -> bytes:
        """The whole request."""
        body = head + (b"" if head.endswith(b"[") else b",") + b",".join(messages)
        return body[: len(body) - self.cut] + self.tail
