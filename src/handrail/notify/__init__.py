"""Notify: tells people what waits for them and what came out, on the channels that they named.

`settings` reads `notify.toml`, `wording` says a notice in words, `links` signs the links that answer an approval,
`post` takes notices from the outbox and delivers them; each kind of channel is a file of its own. This module holds
the shapes that they share.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct, field

from handrail.types import ApprovalId, Json, SessionId


class Occasion(StrEnum):
    """What people are told of."""

    ASKED = "approval.asked"
    ESCALATED = "approval.escalated"
    OUTCOME = "outcome.reached"
    EFFECT = "effect.waits"
    FAILED = "effect.failed"  # one that a person approved and that belongs to no run
    RUN = "run.ended"
    IDLE = "workflow.idle"
    TRUST = "trust.fell"  # of a workflow, by what the world says of something that it delivered
    CREDENTIAL = "credential.ends"
    MESSAGE = "message"  # an effect: what an agent or a workflow has to say
    TEST = "test"


class Notice(Struct, frozen=True):
    """What there is to tell, before it is worded for a channel; kept in the outbox as JSON."""

    occasion: Occasion
    title: str
    """one line: what is asked for, or what was handed off"""
    detail: str = ""
    """why it is asked, or why it ended so"""
    session: SessionId | None = None
    agent: str = ""
    approval: ApprovalId | None = None
    outcome: str | None = None
    times: int = 0
    """how often people were told before"""
    facts: Mapping[str, object] = field(default_factory=dict)
    """more for programs"""

    def as_json(self) -> Json:
        """For the outbox."""
        return {
            "occasion": self.occasion.value,
            "title": self.title,
            "detail": self.detail,
            "session": self.session,
            "agent": self.agent,
            "approval": self.approval,
            "outcome": self.outcome,
            "times": self.times,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, kept: Json) -> Notice:
        """From the outbox."""
        return cls(**{**kept, "occasion": Occasion(str(kept["occasion"]))})  # type: ignore[arg-type]


class Message(Struct, frozen=True):
    """A notice in words, for one channel."""

    id: str
    """the same at every try, so that the far side can tell a second delivery from a second message"""
    occasion: Occasion
    time: datetime
    subject: str
    """one line"""
    text: str
    urgent: bool
    page: str
    """address of the session's page"""
    allow: str | None
    """address of the page that allows what is asked; None where nothing is asked"""
    deny: str | None
    data: Json
    """for programs"""


class Failure(Struct, frozen=True):
    """Why a message was not delivered."""

    reason: str
    lasting: bool = False
    """another try would fail as well"""
    wait: float = 0.0
    """seconds that the far side asks us to wait"""
    unsure: bool = False
    """no answer came: it may have been taken all the same"""


class Channel(Protocol):
    """One way to reach people: a frozen dataclass whose fields are its settings."""

    async def send(self, message: Message) -> Failure | None:
        """Deliver, within 30 seconds; None when the far side has taken it."""
        ...
