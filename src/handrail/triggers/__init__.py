"""What starts a workflow: schedules, events from outside, polls, and how they are matched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from handrail.errors import HandrailError
from handrail.types import Json

DAY = timedelta(days=1)


class Unverified(HandrailError):
    """A message that does not prove who sent it; nothing of it was kept."""

    code = "unverified"
    status = 401
    exit_code = 2


class Hook(Struct, frozen=True):
    """A request from outside, before anything is believed.

    Args:
        headers: by lower-case name.
        body: as it came over the wire: what is signed.
        received: when.
    """

    headers: Mapping[str, str]
    body: bytes
    received: datetime


class Message(Struct, frozen=True):
    """What a verified request says, in the words that all senders share.

    Args:
        event: the kind of thing (`pull_request`, `push`, `alert` …), as the sender names it.
        payload: the whole of it, as it came.
        delivery: the sender's own id of this delivery; None where it gives none.
        meaning: the same for two deliveries that tell of one thing.
        action: what happened to it, where the sender says so.
        sender: who did it, by the sender's name for them.
        repository: `owner/name`.
        number: of the pull request or issue that it is about.
        ref: the branch or commit that it is about.
        text: what a person (or program) wrote, where there is such: our own acts are known by their mark in it.
        window: for how long a second message of the same meaning is the same thing.
        reply: what must be answered at once instead of storing anything (Slack's handshake).
    """

    event: str
    payload: Json
    delivery: str | None
    meaning: str
    action: str | None = None
    sender: str | None = None
    repository: str | None = None
    number: int | None = None
    ref: str | None = None
    text: str = ""
    window: timedelta = DAY
    reply: Json | None = None


class Settings(Struct, frozen=True):
    """How a source is verified beyond its secret, and whose acts are our own.

    Args:
        header: the header that holds the shared secret or the signature (`generic`, `datadog`).
        prefix: what stands before a signature in it, such as `sha256=`.
        signed: `header` holds an HMAC-SHA256 of the body instead of the secret itself.
        account: who Handrail is at that source; None where it is nobody there.
    """

    header: str | None = None
    prefix: str = ""
    signed: bool = False
    account: str | None = None


class Sender(Protocol):
    """One kind of sender: a module of `senders` with these two functions."""

    def verify(self, hook: Hook, secret: str, settings: Settings) -> None:
        """Believe the request, or raise `Unverified`. Reads nothing of the body but its bytes."""
        ...

    def read(self, hook: Hook, payload: Json) -> Message:
        """What a verified request says. Lenient: fields that are missing stay None."""
        ...
