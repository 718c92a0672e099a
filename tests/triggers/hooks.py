"""Requests as their senders make them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from handrail.triggers import Hook
from handrail.types import Json

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
SECRET = "It's a Secret to Everybody"


def hook(body: bytes | Json, headers: Mapping[str, str], at: datetime = NOW) -> Hook:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Hook({name.lower(): value for name, value in headers.items()}, raw, at)


def hexed(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def github(event: str, payload: Json, *, delivery: str = "d-1", secret: str = SECRET) -> Hook:
    raw = json.dumps(payload).encode()
    headers = {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + hexed(raw, secret),
        "Content-Type": "application/json",
    }
    return hook(raw, headers)


def slack(body: bytes, *, stamp: int, secret: str = SECRET, kind: str = "application/json") -> Hook:
    signed = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "X-Slack-Request-Timestamp": str(stamp),
        "X-Slack-Signature": f"v0={signed}",
        "Content-Type": kind,
    }
    return hook(body, headers)


def bearer(payload: Json, secret: str = SECRET) -> Hook:
    return hook(payload, {"Authorization": f"Bearer {secret}"})


def key(raw: bytes) -> str:
    return "whsec_" + base64.b64encode(raw).decode()
