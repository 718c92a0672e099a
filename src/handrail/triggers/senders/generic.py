"""Any other sender of JSON: a header holds the secret, or an HMAC-SHA256 of the body."""

from __future__ import annotations

from datetime import timedelta

from handrail.triggers import Hook, Message, Settings
from handrail.triggers.fields import digest, text
from handrail.triggers.signatures import hmac_hex, shared
from handrail.types import Json

HEADER = "X-Handrail-Secret"
_IDS = ("idempotency-key", "x-request-id", "x-delivery-id", "webhook-id")
_WINDOW = timedelta(minutes=5)
"""two messages with the same content are one thing for so long: a retry, not the deploy of the next day"""


def verify(hook: Hook, secret: str, settings: Settings) -> None:
    """The header of the settings, or `X-Handrail-Secret`."""
    name = settings.header or HEADER
    if settings.signed:
        hmac_hex(hook, name, secret, prefix=settings.prefix)
    else:
        shared(hook, name, settings.prefix + secret)


def read(hook: Hook, payload: Json) -> Message:
    """See `Sender.read`."""
    delivery = next((hook.headers[name] for name in _IDS if hook.headers.get(name)), None)
    return Message(
        event=text(payload, "event") or text(payload, "type") or "webhook",
        payload=payload,
        delivery=delivery,
        meaning=delivery or digest(payload),
        action=text(payload, "action"),
        sender=text(payload, "sender"),
        repository=text(payload, "repository"),
        window=_WINDOW,
    )
