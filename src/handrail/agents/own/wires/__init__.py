"""Wire formats: how a conversation becomes a request, and a stream of events an answer. One sibling file a format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from handrail.agents.own.messages import Answer, Call, Json, Message, arguments, clean
from handrail.errors import ProviderError


class StreamBroken(Exception):
    """The stream said that it failed, or made no sense; the call can be tried again."""


class ModelError(ProviderError):
    """The model cannot be had. `kind` is in Claude Code's words, which drivers know; `too_long`: the window is full."""

    def __init__(self, message: str, kind: str, *, too_long: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.too_long = too_long


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the model is told of it; `parameters` is a JSON schema of the subset that every wire takes."""

    name: str
    description: str
    parameters: Json


@dataclass(slots=True)
class Pending:
    """A call whose arguments still arrive."""

    id: str
    name: str
    raw: str = ""


@dataclass(slots=True)
class Draft:
    """An answer as it grows. `fresh` and `fresh_thought` are what nobody was shown yet."""

    text: str = ""
    thought: str = ""
    fresh: str = ""
    fresh_thought: str = ""
    calls: dict[int, Pending] = field(default_factory=dict)
    native: list[Json] = field(default_factory=list)
    stop: str | None = None
    """set once the provider has said that the answer is whole"""
    input: int = 0
    cached: int = 0
    output: int = 0

    def say(self, text: str) -> None:
        """Add to the answer's text."""
        self.text += text
        self.fresh += text

    def think(self, text: str) -> None:
        """Add to the visible thinking."""
        self.thought += text
        self.fresh_thought += text

    def finish(self, wire: str, native: list[Json], first: int) -> Answer:
        """The answer; its calls are numbered from `first`.

        Raises:
            StreamBroken: the stream ended before the answer did.
        """
        if self.stop is None:
            raise StreamBroken("the answer broke off in mid-stream")
        calls = []
        for number, pending in enumerate(self.calls.values(), first):
            args, fault = arguments(pending.raw)
            calls.append(Call(number, pending.id or f"own_{number}", pending.name, args, fault))
        usage = (self.input, self.cached, self.output)
        text, thought = clean(self.text), clean(self.thought)
        return Answer(text, tuple(calls), thought, self.stop, wire, tuple(native), self.input + self.output, usage)


class Wire(Protocol):
    """One format. Requests are bytes: `head`, the messages with commas between, `tail`; so a history only grows."""

    name: str

    def path(self, model: str) -> str:
        """The path of the URL, with its query."""
        ...

    def headers(self, token: str) -> dict[str, str]:
        """Headers beside the content type."""
        ...

    def head(self, model: str, system: str, tools: tuple[Tool, ...], max_output: int) -> bytes:
        """The request up to its first message."""
        ...

    def message(self, message: Message) -> bytes:
        """One message, without a comma at either end."""
        ...

    def close(self, body: bytearray) -> bytes:
        """The whole request: `body` is the head and the messages."""
        ...

    def read(self, draft: Draft, event: Json) -> None:
        """Take one event of the stream into `draft`.

        Raises:
            StreamBroken: the event tells of a failure.
        """
        ...

    def finish(self, draft: Draft, first: int) -> Answer:
        """The answer of a stream that has ended; calls are numbered from `first`.

        Raises:
            StreamBroken: it is not whole.
        """
        ...
