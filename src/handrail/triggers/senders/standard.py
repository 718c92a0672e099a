"""Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from handrail.triggers import Hook, Message, Settings, Unverified
from handrail.triggers.fields import digest, text
from handrail.triggers.signatures import fresh, header, same
from handrail.types import Json

_PREFIX = "whsec_"


def verify(hook: Hook, secret: str, settings: Settings) -> None:  # noqa: ARG001
    """`webhook-signature` holds, among others, `v1,` and the base64 HMAC-SHA256 of id, time and body."""
    identity, stamp = header(hook, "webhook-id"), header(hook, "webhook-timestamp")
    fresh(stamp, hook.received, "webhook-timestamp")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = secret.encode()
    digested = hmac.new(key, f"{identity}.{stamp}.".encode() + hook.body, hashlib.sha256).digest()
    wanted = "v1," + base64.b64encode(digested).decode()
    if not any(same(given, wanted) for given in header(hook, "webhook-signature").split(" ")):
        raise Unverified("No signature in webhook-signature is that of this body and secret.")


def read(hook: Hook, payload: Json) -> Message:
    """See `Sender.read`."""
    return Message(
        event=text(payload, "type") or "webhook",
        payload=payload,
        delivery=hook.headers.get("webhook-id"),
        meaning=digest(payload),
        action=text(payload, "action"),
    )
