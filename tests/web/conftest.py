from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from handrail.commands.desk import Desk
from handrail.identity import YOU
from handrail.web.app import create_app
from handrail.web.guard import Guard, Keys
from handrail.web.stream import Closing
from tests.commands.desks import Stops, open_desk

TOKEN = "a-token-for-tests-that-is-long-enough"
BASE = "http://127.0.0.1:7171"


@pytest.fixture
def stops() -> Stops:
    return Stops()


@pytest.fixture
def keys() -> Keys:
    return Keys(TOKEN)


@pytest.fixture
async def desk(tmp_path: Path, stops: Stops) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "data", {"ANTHROPIC_API_KEY": "sk-test"}, stops) as opened:
        yield opened


@pytest.fixture
def app(desk: Desk) -> Guard:
    return create_app(desk, TOKEN, Closing())


@pytest.fixture
async def stranger(app: Guard) -> AsyncIterator[httpx2.AsyncClient]:
    """A client over TCP that nobody let in."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE) as client:
        yield client


@pytest.fixture
async def client(app: Guard) -> AsyncIterator[httpx2.AsyncClient]:
    """A program with the token."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE, headers=headers) as opened:
        yield opened


@pytest.fixture
async def browser(app: Guard, desk: Desk) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser that was let in by its link: a cookie, and an Origin with what it posts."""
    headers = {"accept": "text/html", "origin": BASE}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE, headers=headers) as opened:
        opened.cookies.set("handrail", await desk.roll.sign_in(YOU))
        yield opened
