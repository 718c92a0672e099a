"""The outer HTTP side: the providers, over one pooled httpx2 client. Keys are put in here and nowhere else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx2

from handrail.gateway import Provider, Wire
from handrail.gateway.listener import Header, Request
from handrail.gateway.routes import Route, upstream

_DROPPED_FROM_REQUEST = frozenset(
    b"host content-length accept-encoding expect cookie authorization x-api-key x-goog-api-key".split()
)
_DROPPED_FROM_ANSWER = frozenset((b"set-cookie", b"alt-svc", b"strict-transport-security", b"clear-site-data"))
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection".split()
    + b"te trailer transfer-encoding upgrade".split()
)
"""https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1"""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `idle` is the longest silence of a provider, before its answer and within it."""

    connect: float = 10.0
    idle: float = 600.0
    write: float = 60.0


class Client:
    """Sends requests to providers; open from `start` to `close`."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = {
            "connect": timeouts.connect,
            "read": timeouts.idle,
            "write": timeouts.write,
            "pool": timeouts.idle,
        }
        self._client: httpx2.AsyncClient | None = None

    async def open(self) -> httpx2.AsyncClient:
        """The client, made on first use."""
        if self._client is None:
            made = await asyncio.to_thread(_client)
            self._client = self._client or made
        return self._client

    async def send(self, provider: Provider, route: Route, request: Request, body: bytes) -> httpx2.Response:
        """Forward a request with the provider's key; returns once the answer's head is there.

        Raises:
            httpx2.TransportError: it could not be reached, or broke off before answering.
        """
        client = await self.open()
        headers = [*_kept(request.headers, _DROPPED_FROM_REQUEST), _key(provider), (b"accept-encoding", b"identity")]
        outgoing = httpx2.Request(
            request.method,
            upstream(provider, route, request.query),
            headers=headers,
            content=body or None,
            extensions={"timeout": self._timeouts},
        )
        return await client.send(outgoing, stream=True, auth=None)

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        if self._client:
            await self._client.aclose()
            self._client = None


def _client() -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=30.0)
    return httpx2.AsyncClient(trust_env=False, follow_redirects=False, limits=limits)


def answer_headers(response: httpx2.Response) -> list[Header]:
    """The provider's headers as the agent gets them."""
    return _kept([(name.lower(), value) for name, value in response.headers.raw], _DROPPED_FROM_ANSWER)


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
