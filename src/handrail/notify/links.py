"""Links that answer one approval in one way: signed, limited in time, good for one use.

A token is `base64url(payload) . base64url(HMAC-SHA256)`; the key is derived from the master secret, so that a link
outlives a restart of the server. Whoever holds a link can answer: it goes only to the channels that a person set up.
Showing its page does nothing, so that a mail scanner or a chat's preview that follows it answers nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from handrail.clock import JUMP
from handrail.errors import Forbidden
from handrail.types import ApprovalId

_LONGEST = 2000
LINK_LIFE = timedelta(days=14)


class Link(Struct, frozen=True):
    """What a token says."""

    approval: ApprovalId
    decision: str
    """allow or deny"""
    channel: str
    """where it was sent"""
    expires: datetime
    nonce: str


class Links:
    """Signs and reads tokens.

    Args:
        master: the master secret of the data directory.
    """

    def __init__(self, master: bytes) -> None:
        self._key = hmac.digest(master, b"handrail approval links", hashlib.sha256)

    def sign(self, message: str, approval: ApprovalId, decision: str, channel: str, expires: datetime) -> str:
        """The token of a link; for one message it is always the same, so that a second try says what the first did."""
        nonce = _text(hmac.digest(self._key, f"nonce {message} {decision}".encode(), hashlib.sha256)[:12])
        payload = json.dumps([approval, decision, channel, int(expires.timestamp()), nonce]).encode()
        return f"{_text(payload)}.{_text(self._mac(payload))}"

    def read(self, token: str, at: datetime) -> Link:
        """What a token says.

        Raises:
            Forbidden: it was not signed here, or its time is over, or has not begun: a clock was set back.
        """
        payload, _, mac = token[:_LONGEST].partition(".")
        signed = _bytes(payload)
        if not hmac.compare_digest(self._mac(signed), _bytes(mac)):
            raise Forbidden("This link is not one of this server: answer in the inbox.")
        approval, decision, channel, expires, nonce = json.loads(signed)
        link = Link(ApprovalId(approval), decision, channel, datetime.fromtimestamp(expires, UTC), nonce)
        if not at < link.expires <= at + LINK_LIFE + JUMP:
            raise Forbidden("The time of this link is over: answer in the inbox.")
        return link

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, b"link " + payload, hashlib.sha256)


def _text(given: bytes) -> str:
    return base64.urlsafe_b64encode(given).rstrip(b"=").decode()


def _bytes(given: str) -> bytes:
    try:
        return base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
