"""Prometheus Alertmanager (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config)."""

from __future__ import annotations

from handrail.triggers import Hook, Message, Settings
from handrail.triggers.fields import at, text, word
from handrail.triggers.signatures import shared
from handrail.types import Json


def verify(hook: Hook, secret: str, settings: Settings) -> None:
    """Alertmanager signs nothing: `http_config.authorization` sends the secret as a bearer token."""
    if settings.header is None:
        shared(hook, "Authorization", f"Bearer {secret}")
    else:
        shared(hook, settings.header, secret)


def read(hook: Hook, payload: Json) -> Message:  # noqa: ARG001
    """See `Sender.read`. It tells of the same alert again and again (`repeat_interval`): that is one thing."""
    alerts = at(payload, "alerts")
    each = alerts if isinstance(alerts, list) else []
    marks = sorted(
        f"{word(alert, 'fingerprint')}@{word(alert, 'startsAt')}" for alert in each if word(alert, "status") == "firing"
    )
    status = text(payload, "status")
    return Message(
        event="alert",
        payload=payload,
        delivery=None,
        meaning=":".join(["alert", status or "", word(payload, "groupKey"), *marks]),
        action=status,
        sender=text(payload, "receiver"),
        text=text(payload, "commonAnnotations", "summary") or text(payload, "commonAnnotations", "description") or "",
    )
