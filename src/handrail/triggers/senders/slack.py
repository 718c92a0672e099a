"""Slack's Events API and slash commands (https://docs.slack.dev/apis/events-api/)."""

from __future__ import annotations

import hashlib
import hmac

from handrail.triggers import Hook, Message, Settings, Unverified
from handrail.triggers.fields import at, digest, text, word
from handrail.triggers.signatures import fresh, header, same
from handrail.types import Json


def verify(hook: Hook, secret: str, settings: Settings) -> None:  # noqa: ARG001
    """X-Slack-Signature (https://docs.slack.dev/authentication/verifying-requests-from-slack)."""
    stamp = header(hook, "X-Slack-Request-Timestamp")
    fresh(stamp, hook.received, "X-Slack-Request-Timestamp")
    signed = b"v0:" + stamp.encode() + b":" + hook.body
    wanted = "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    if not same(header(hook, "X-Slack-Signature"), wanted):
        raise Unverified("The signature in X-Slack-Signature is not that of this body and secret.")


def read(hook: Hook, payload: Json) -> Message:  # noqa: ARG001
    """See `Sender.read`. The handshake of a new address is answered and not stored."""
    if text(payload, "type") == "url_verification":
        challenge = {"challenge": text(payload, "challenge") or ""}
        return Message("url_verification", payload, None, "url_verification", reply=dict(challenge))
    command = text(payload, "command")
    if command is not None:
        meaning = f"command:{word(payload, 'trigger_id') or digest(payload)}"
        said = text(payload, "text") or ""
        return Message("command", payload, None, meaning, command, text(payload, "user_name"), text=said)
    event = at(payload, "event")
    kind = text(event, "type") or text(payload, "type") or "unknown"
    meaning = ":".join([kind, word(event, "channel"), word(event, "ts") or word(event, "event_ts")])
    return Message(
        event=kind,
        payload=payload,
        delivery=text(payload, "event_id"),
        meaning=meaning if meaning != f"{kind}::" else f"{kind}:{digest(payload)}",
        action=text(event, "subtype"),
        sender=text(event, "user") or text(event, "bot_id"),
        text=text(event, "text") or "",
    )
