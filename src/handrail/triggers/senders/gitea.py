"""Gitea and Forgejo webhooks (https://docs.gitea.com/usage/webhooks): GitHub's shape, signed without a prefix."""

from __future__ import annotations

from dataclasses import replace

from handrail.triggers import Hook, Message, Settings, Unverified
from handrail.triggers.senders import github
from handrail.triggers.signatures import hmac_hex
from handrail.types import Json

_PREFIXES = ("x-forgejo", "x-gitea", "x-gogs")


def verify(hook: Hook, secret: str, settings: Settings) -> None:  # noqa: ARG001
    """X-Gitea-Signature or X-Forgejo-Signature: the HMAC-SHA256 of the body, hexadecimal."""
    hmac_hex(hook, _named(hook, "signature"), secret)


def read(hook: Hook, payload: Json) -> Message:
    """See `Sender.read`."""
    event = hook.headers[_named(hook, "event")]
    seen = github.message(event, payload, hook.headers.get(_named(hook, "delivery")))
    return replace(seen, event="issue_comment" if event == "pull_request_comment" else event)


def _named(hook: Hook, what: str) -> str:
    for prefix in _PREFIXES:
        if f"{prefix}-{what}" in hook.headers:
            return f"{prefix}-{what}"
    raise Unverified(f"The header X-Gitea-{what.title()} is missing: this is no webhook of Gitea or Forgejo.")
