"""The gateway: the one door to model providers. Keys live here alone; agents hold a session's token.

It speaks Anthropic Messages (`/v1/messages`, `/v1/messages/count_tokens`), OpenAI Responses (`/v1/responses`), OpenAI
Chat (`/v1/chat/completions`), `/v1/models` and Gemini (`/v1beta/models/*`), forwards bodies byte for byte, swaps the
key, and reads usage from the stream without delaying it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol

from msgspec import Struct

from handrail.types import NanoUSD, Scope, SessionId, Veiled


class Wire(StrEnum):
    """A wire format that a provider speaks."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"  # Responses and Chat
    GEMINI = "gemini"


class Provider(Veiled, frozen=True):
    """A model provider. `name` is the user's word for it (`anthropic`, `openai`, `gemini`, or their own)."""

    veiled: ClassVar = frozenset({"key"})
    name: str
    wire: Wire
    base_url: str
    key: str
    model: str | None = None
    """used when nobody names a model"""


class ModelCall(Struct, frozen=True):
    """One call as it was metered. Costs are None where the model has no known price: unpriced, never 0."""

    session: SessionId
    turn: int | None
    time: datetime
    provider: str
    wire: Wire
    model: str
    status: int
    """HTTP status that the agent saw; 0 when the connection broke"""
    input_tokens: int = 0
    """all input, cached included"""
    cached_tokens: int = 0
    output_tokens: int = 0
    cost: NanoUSD | None = None
    partial: bool = False
    """the stream broke off; figures are what was known until then"""
    seconds: float = 0.0
    error: str | None = None


OnCall = Callable[[ModelCall], Awaitable[None]]
"""Told of each call once it has ended, in order; what waits for it is said in `accounts`."""


class Grant(Struct, frozen=True):
    """What one session may call. `budget` counts from the grant; None is no limit."""

    session: SessionId
    token: str
    budget: NanoUSD | None = None


class Meter(Protocol):
    """The gateway as the sessions see it."""

    def grant(
        self,
        session: SessionId,
        *,
        budget: NanoUSD | None,
        spent: NanoUSD,
        on_call: OnCall,
        turn_budget: NanoUSD | None = None,
        scopes: Sequence[Scope] = (),
        models: bool = True,
    ) -> Grant:
        """Open the door for a session: a fresh token. `spent` is what the ledger already holds for it.

        Without `models` it opens none, and only what else stands behind the door.

        At a cap (the session's own, its turn's, or one of its scopes') no further call leaves; the agent sees its
        provider's own error shape.
        """
        ...

    def set_budget(self, session: SessionId, budget: NanoUSD | None) -> None:
        """Change the cap of a live grant."""
        ...

    def revoke(self, session: SessionId) -> None:
        """The session's token is dead from now on. Idempotent."""
        ...

    def exhausted(self, session: SessionId) -> str | None:
        """Which budget is spent, as a sentence's subject, so that calls were or would be refused; None while not."""
        ...

    async def told(self, session: SessionId) -> None:
        """Wait until the ledger knows every call of the session that has ended.

        Raises:
            HandrailError: the ledger could not be written; it is told again before the next call.
        """
        ...
