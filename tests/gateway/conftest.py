from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal

import httpx2
import pytest

from handrail.gateway import Grant, ModelCall, Provider, Wire
from handrail.gateway.prices import Price
from handrail.gateway.providers import Providers
from handrail.gateway.server import Gateway
from handrail.gateway.upstream import Timeouts
from handrail.types import NanoUSD, SessionId
from tests.fake_provider import FakeProvider
from tests.fake_provider.forms import Format

REAL_KEY = "sk-real-key-of-the-provider"
SESSION = SessionId("s1")
PRICE = Price(input=Decimal(3), output=Decimal(15), cached=Decimal("0.3"))


@dataclass
class Lab:
    """A fake provider, a gateway before it with one door, one session with its ledger."""

    fake: FakeProvider
    gateway: Gateway
    url: str
    client: httpx2.AsyncClient
    ledger: list[ModelCall] = field(default_factory=list)
    token: str = ""

    async def note(self, call: ModelCall) -> None:
        self.ledger.append(call)

    def grant(self, budget: int | None = None, spent: int = 0) -> Grant:
        cap = None if budget is None else NanoUSD(budget)
        grant = self.gateway.grant(SESSION, budget=cap, spent=NanoUSD(spent), on_call=self.note)
        self.token = grant.token
        return grant

    async def ask(self, form: Format, text: str, *, stream: bool = False) -> httpx2.Response:
        url = form.url(self.url, stream=stream)
        return await self.client.post(url, content=form.body(text, stream=stream), headers=form.headers(self.token))

    async def told(self, count: int = 1) -> list[ModelCall]:
        """The ledger, once it holds `count` calls."""
        await until(lambda: len(self.ledger) >= count)
        return self.ledger


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not ready():  # noqa: ASYNC110  # asks what has no event
            await asyncio.sleep(0.005)


def listening() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    return sock


def providers(url: str) -> Providers:
    return Providers(tuple(Provider(wire.value, wire, url, REAL_KEY) for wire in Wire))


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with FakeProvider(key=REAL_KEY) as fake, httpx2.AsyncClient(trust_env=False, timeout=10) as client:
        prices = {"anthropic/claude-sonnet-4-5": PRICE, "gpt-4o": PRICE, "gpt-5": PRICE, "gemini-*": PRICE}
        gateway = Gateway(providers(fake.url), prices, Timeouts(connect=2, idle=2))
        sock = listening()
        await gateway.serve(sock)
        made = Lab(fake, gateway, f"http://127.0.0.1:{sock.getsockname()[1]}", client)
        made.grant()
        try:
            yield made
        finally:
            await gateway.close()
