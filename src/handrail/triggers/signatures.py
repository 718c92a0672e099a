"""The checks that senders share: shared secrets, HMACs, ages. All compare in constant time."""

from __future__ import annotations

import hmac
from datetime import datetime

from handrail.triggers import Hook, Unverified

OLDEST = 300.0
"""seconds that a signed time may be away from ours, as Slack and Standard Webhooks advise"""


def same(given: str, wanted: str) -> bool:
    """Whether two texts are the same, in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))


def header(hook: Hook, name: str) -> str:
    """A header that must be there.

    Raises:
        Unverified: it is not.
    """
    given = hook.headers.get(name.lower())
    if not given:
        raise Unverified(f"The header {name} is missing: set the secret of this source at the sender too.")
    return given


def shared(hook: Hook, name: str, secret: str) -> None:
    """A header that holds the secret itself.

    Raises:
        Unverified: it holds something else.
    """
    if not same(header(hook, name), secret):
        raise Unverified(f"The header {name} does not hold the secret of this source.")


def hmac_hex(hook: Hook, name: str, secret: str, *, prefix: str = "") -> None:
    """A header that holds the hexadecimal HMAC-SHA256 of the body.

    Raises:
        Unverified: it does not.
    """
    given = header(hook, name)
    wanted = prefix + hmac.digest(secret.encode(), hook.body, "sha256").hex()
    if not same(given, wanted):
        raise Unverified(f"The signature in {name} is not that of this body and secret.")


def fresh(stamp: str, received: datetime, name: str) -> None:
    """A signed time in whole seconds since 1970 that is near ours, so that an old message cannot be sent again.

    Raises:
        Unverified: it is none, or too far away.
    """
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
        raise Unverified(f"The header {name} holds no time in seconds.")
    if abs(received.timestamp() - int(stamp)) > OLDEST:
        raise Unverified(f"The time in {name} is more than {OLDEST:.0f} s away from this machine's clock.")
