"""Gitea and Forgejo webhooks (https://docs.gitea.com/usage/webhooks): GitHub's shape, signed without a prefix."""

from __future__ import annotations

from handrail.triggers import Hook, Message, Settings, Unverified
from handrail.triggers.fields import text
from handrail.triggers.senders import github
from handrail.triggers.signatures import hmac_hex
from handrail.types import Json

_EVENTS = {"pull_request_comment": "issue_comment", "pull_request_sync": "pull_request"}
_ACTIONS = {"synchronized": "synchronize"}
_PREFIXES = ("x-forgejo", "x-gitea", "x-gogs")


def verify(hook: Hook, secret: str, settings: Settings) -> None:  # noqa: ARG001
    """X-Gitea-Signature or X-Forgejo-Signature: the HMAC-SHA256 of the body, hexadecimal."""
    hmac_hex(hook, _named(hook, "signature"), secret)


def read(hook: Hook, payload: Json) -> Message:
    """See `Sender.read`."""
    return message(hook.headers[_named(hook, "event")], payload, hook.headers.get(_named(hook, "delivery")))


def message(event: str, payload: Json, delivery: str | None) -> Message:
    """What a payload of this event says, in GitHub's words; polls make the same payloads, and so the same meanings."""
    action = text(payload, "action")
    named = payload if action not in _ACTIONS else {**payload, "action": _ACTIONS[action]}
    return github.message(_EVENTS.get(event, event), named, delivery)


def _named(hook: Hook, what: str) -> str:
    for prefix in _PREFIXES:
        if f"{prefix}-{what}" in hook.headers:
            return f"{prefix}-{what}"
    raise Unverified(f"The header X-Gitea-{what.title()} is missing: this is no webhook of Gitea or Forgejo.")
