"""The outer HTTP side: what is sent to the providers. Keys are put in here and nowhere else."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote, urlsplit

from handrail.gateway import Provider, Wire
from handrail.gateway.demo import DEMO, Played, play
from handrail.gateway.listener import Header, Request
from handrail.gateway.routes import Route, upstream
from handrail.gateway.upstream import Answer, Origin, Pool, Timeouts

_DROPPED_FROM_REQUEST = frozenset(
    b"host content-length accept-encoding expect cookie authorization x-api-key x-goog-api-key".split()
)
_DROPPED_FROM_ANSWER = frozenset((b"set-cookie", b"alt-svc", b"strict-transport-security", b"clear-site-data"))
_SAFE = "%/:?@!$&'()*+,;=[]~-._|"
"""what may stand in a request's target as it is"""
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection".split()
    + b"te trailer transfer-encoding upgrade".split()
)
"""https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1"""


class Client:
    """Sends requests to providers; open from `open` to `close`."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._pool = Pool(timeouts)

    def open(self) -> None:
        """Begin to make ready what takes its time; done by the first request where not before."""
        self._pool.open()

    async def send(self, provider: Provider, route: Route, request: Request, body: bytes) -> Answer | Played:
        """Forward a request with the provider's key; returns once the answer's head is there.

        Raises:
            BrokenError: it could not be reached, or broke off before answering.
        """
        if provider is DEMO:
            return play(route, body)
        origin, host, target = _place(upstream(provider, route, request.query))
        headers = [
            (b"host", host),
            *_kept(request.headers, _DROPPED_FROM_REQUEST),
            _key(provider),
            (b"accept-encoding", b"identity"),
        ]
        if body or request.method == "POST":
            headers.append((b"content-length", b"%d" % len(body)))
        lines = [b"%b %b HTTP/1.1" % (request.method.encode("latin-1"), target)]
        lines += [b"%b: %b" % header for header in headers]
        return await self._pool.request(origin, b"\r\n".join([*lines, b"", body]))

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        await self._pool.close()


@lru_cache(256)
def _place(url: str) -> tuple[Origin, bytes, bytes]:
    """Where a URL leads, its `Host` header, and the target of its request line."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    host = parts.hostname or ""
    usual = 443 if tls else 80
    named = f"[{host}]" if ":" in host else host
    if parts.port not in (None, usual):
        named = f"{named}:{parts.port}"
    target = quote(parts.path or "/", _SAFE) + (f"?{quote(parts.query, _SAFE)}" if parts.query else "")
    return Origin(host, parts.port or usual, tls), named.encode(), target.encode()


def answer_headers(answer: Answer | Played) -> list[Header]:
    """The provider's headers as the agent gets them."""
    return _kept(answer.headers, _DROPPED_FROM_ANSWER)


def _kept(headers: list[Header], dropped: frozenset[bytes]) -> list[Header]:
    named = [value for name, value in headers if name == b"connection"]
    listed = {token.strip().lower() for value in named for token in value.split(b",")}
    return [
        (name, value)
        for name, value in headers
        if name not in dropped and name not in _HOP_BY_HOP and name not in listed
    ]


def _key(provider: Provider) -> Header:
    key = provider.key.encode()
    if provider.wire is Wire.GEMINI:
        return (b"x-goog-api-key", key)
    # Anthropic's OAuth tokens go as bearer tokens, its keys do not.
    if provider.wire is Wire.ANTHROPIC and not provider.key.startswith("sk-ant-oat"):
        return (b"x-api-key", key)
    return (b"authorization", b"Bearer " + key)
