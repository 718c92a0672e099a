"""What stands between a broker's secret and the inside: what may be asked, and what must not come back."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from msgspec import Struct

from handrail.egress import BROKERS, Broker, HostPort, Refused, names
from handrail.egress.heads import Field, Head

_PLAIN = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_AMBIGUOUS = re.compile(r"(?i)%(?:2e|2f|5c|25|00)|//|/\.\.?(?:/|$)|;")
"""spellings that an upstream may read as another path than a prefix check does"""


class Upstream(Struct, frozen=True):
    """Where a request to a broker goes."""

    place: HostPort
    tls: bool
    target: str


def upstream_of(broker: Broker, head: Head, path: str) -> Upstream:
    """Where `path` of a broker leads.

    Raises:
        Refused: the broker does not let this method or path through.
    """
    plain, mark, query = path.partition("?")
    inside = broker.name + BROKERS
    if not _PLAIN.fullmatch(plain) or _AMBIGUOUS.search(plain):
        raise Refused(f"{inside} takes plain paths only", 403, inside, 80)
    if not any(
        permit.method in ("*", head.method) and _below(plain, permit.path.rstrip("/")) for permit in broker.permits
    ):
        raise Refused(f"{inside} does not let {head.method} {plain[:200]} through", 403, inside, 80)
    url = urlsplit(broker.upstream)
    tls = url.scheme == "https"
    host = url.hostname or ""
    place = HostPort(names.host(f"[{host}]" if ":" in host else host), url.port or (443 if tls else 80))
    return Upstream(place, tls, url.path.rstrip("/") + plain + mark + query)


def _below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def with_secret(broker: Broker, fields: Iterable[Field]) -> list[Field]:
    """The fields with the broker's in place of whatever stood there; the answer must come uncompressed."""
    name = broker.header.lower().encode()
    kept = [(field, value) for field, value in fields if field.lower() not in (name, b"accept-encoding")]
    return [*kept, (broker.header.encode(), broker.value.encode()), (b"Accept-Encoding", b"identity")]


class Scrubber:
    """Takes a secret out of what an upstream answers, as it streams by, without changing its length.

    It finds the secret as it is, in URL and in base64 spelling, and the header's whole value. An upstream that turns a
    secret into something else (reversed, hashed, in pieces) is not caught: a broker's upstream is trusted that far.
    """

    def __init__(self, broker: Broker) -> None:
        secret = broker.secret
        spellings = {
            secret,
            quote(secret, safe=""),
            base64.b64encode(secret.encode()).decode(),
            base64.urlsafe_b64encode(secret.encode()).decode(),
        }
        self._needles = sorted((word.encode() for word in spellings), key=len, reverse=True)
        self._held = b""

    def text(self, data: bytes) -> bytes:
        """A whole text without the secret."""
        for needle in self._needles:
            if needle in data:
                data = data.replace(needle, b"*" * len(needle))
        return data

    def feed(self, data: bytes) -> bytes:
        """The next piece of a body; what could be the beginning of a secret waits for the piece after it."""
        data = self.text(self._held + data)
        keep = max((_overlap(data, needle) for needle in self._needles), default=0)
        cut = len(data) - keep
        self._held = data[cut:]
        return data[:cut]

    def end(self) -> bytes:
        """What waited, at the end of the body."""
        held, self._held = self._held, b""
        return held


def _overlap(data: bytes, needle: bytes) -> int:
    """How many bytes at the end of `data` are the beginning of `needle`."""
    for size in range(min(len(needle) - 1, len(data)), 0, -1):
        if data.endswith(needle[:size]):
            return size
    return 0
