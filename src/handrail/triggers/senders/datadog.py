"""Datadog's webhook integration (https://docs.datadoghq.com/integrations/webhooks/).

Its body is a template that the user writes, and it signs nothing: give it `TEMPLATE`, and a custom header with the
secret.
"""

from __future__ import annotations

from handrail.triggers import Hook, Message, Settings
from handrail.triggers.fields import digest, text, word
from handrail.triggers.signatures import shared
from handrail.types import Json

HEADER = "X-Handrail-Secret"
TEMPLATE = """{
  "id": "$ID", "transition": "$ALERT_TRANSITION", "key": "$AGGREG_KEY", "date": "$DATE",
  "title": "$EVENT_TITLE", "message": "$EVENT_MSG", "link": "$LINK", "status": "$ALERT_STATUS",
  "metric": "$ALERT_METRIC", "query": "$ALERT_QUERY", "host": "$HOSTNAME", "tags": "$TAGS", "priority": "$PRIORITY"
}
"""
_ACTIONS = {
    "Triggered": "firing", "Re-Triggered": "firing", "Warn": "warning", "Re-Warn": "warning", "No Data": "no_data",
    "Re-No Data": "no_data", "Recovered": "resolved", "Renotify": "firing",
}  # fmt: skip


def verify(hook: Hook, secret: str, settings: Settings) -> None:
    """A custom header holds the secret."""
    shared(hook, settings.header or HEADER, secret)


def read(hook: Hook, payload: Json) -> Message:  # noqa: ARG001
    """See `Sender.read`."""
    transition = text(payload, "transition") or ""
    identity, key = word(payload, "id"), word(payload, "key")
    meaning = f"alert:{key}:{transition}:{identity}" if identity or key else f"alert:{digest(payload)}"
    return Message(
        event="alert",
        payload=payload,
        delivery=None,
        meaning=meaning,
        action=_ACTIONS.get(transition, transition.lower() or None),
        sender=text(payload, "host"),
        text=text(payload, "title") or "",
    )
