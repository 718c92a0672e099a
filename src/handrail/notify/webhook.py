"""A webhook of your own, signed as https://www.standardwebhooks.com asks for (symmetric signatures, `v1`)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from handrail.errors import InvalidInput
from handrail.notify import Failure, Message, web
from handrail.types import now

_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True, repr=False)
class Webhook:
    """A POST of JSON to `url`: `type`, `timestamp`, `data`; the timestamp of the signature is that of the try."""

    url: str
    secret: str
    """`whsec_` and 24 to 64 random bytes in base64"""
    clock: Callable[[], datetime] = field(default=now, metadata={"given": False})

    def __post_init__(self) -> None:
        web.require_url("url", self.url)
        self._key()

    async def send(self, message: Message) -> Failure | None:
        """See `Channel.send`."""
        body = json.dumps(
            {
                "type": message.occasion.value,
                "timestamp": message.time.isoformat(),
                "data": {
                    "subject": message.subject,
                    "text": message.text,
                    "page": message.page,
                    "allow": message.allow,
                    "deny": message.deny,
                    **message.data,
                },
            },
            ensure_ascii=False,
        ).encode("utf-8", "replace")
        timestamp = str(int(self.clock().timestamp()))
        answer = await web.post(
            self.url,
            body,
            {
                "content-type": "application/json",
                "webhook-id": message.id,
                "webhook-timestamp": timestamp,
                "webhook-signature": signature(self._key(), message.id, timestamp, body),
            },
        )
        return answer if isinstance(answer, Failure) else None

    def _key(self) -> bytes:
        mend = f"give {_PREFIX} and 24 to 64 random bytes in base64 (`echo {_PREFIX}$(openssl rand -base64 32)`)"
        try:
            key = base64.b64decode(self.secret.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not self.secret.startswith(_PREFIX) or not 24 <= len(key) <= 64:
            raise InvalidInput("secret", "…", mend)
        return key


def signature(key: bytes, message: str, timestamp: str, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64."""
    signed = f"{message}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
