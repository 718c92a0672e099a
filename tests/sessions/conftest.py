"""A whole room of sessions in process: real store, git, walls, gateway and agent; only the model is played."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from handrail.agents.roster import Roster
from handrail.config import Config
from handrail.egress.proxy import Egress
from handrail.gateway import Provider, Wire
from handrail.gateway.providers import Providers
from handrail.gateway.server import Gateway
from handrail.kinds import Kind
from handrail.sandbox import Backend
from handrail.sandbox.backends import open_backend
from handrail.sessions.rooms import NewSession, Rooms
from handrail.sessions.supervisor import Sessions
from handrail.store import sessions as rows
from handrail.store.engine import Store
from handrail.store.sessions import SessionRow
from handrail.types import Event, Goal, SandboxKind, SessionId, SessionState
from tests.fake_provider import FakeProvider, prompt
from tests.real_agents.fetch import CACHE


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Alice", "-c", "user.email=alice@example.invalid", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "greet.py").write_text('def greet(name):\n    return "Hallo " + name\n')
    (folder / "check.sh").write_text('grep -q "Hello" greet.py\n')
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


@dataclass
class House:
    """One server's rooms over a data directory, and what a test asks of them."""

    sessions: Sessions
    store: Store
    fake: FakeProvider
    repository: Path
    config: Config
    gateway: Gateway
    model: str | None = "claude-sonnet-4-5"

    async def new(self, **options: object) -> SessionId:
        given = NewSession(repository=self.repository, model=self.model)
        return await self.sessions.create(replace(given, **options), "test")

    async def say(self, session: SessionId, steps: Iterable[dict[str, object]], text: str = "") -> None:
        await self.sessions.prompt(session, prompt(list(steps), text), "test")

    async def row(self, session: SessionId) -> SessionRow:
        return await rows.get(self.store, session)

    async def events(self, session: SessionId, *kinds: Kind) -> list[Event]:
        found = await self.store.log.read(session, limit=20_000)
        return [event for event in found if not kinds or event.kind in kinds]

    async def until(self, session: SessionId, *kinds: Kind, count: int = 1, seconds: float = 30) -> Event:
        """Wait for the `count`-th event of these kinds."""
        async with asyncio.timeout(seconds), self.store.log.subscribe(session) as events:
            async for event in events:
                if event.kind in kinds:
                    count -= 1
                    if not count:
                        return event
        raise AssertionError("the log was closed")

    async def rest(self, session: SessionId, seconds: float = 30) -> SessionRow:
        """Wait until nothing runs."""
        async with asyncio.timeout(seconds):
            while (row := await self.row(session)).state not in (SessionState.IDLE, SessionState.ENDED):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return row

    async def hand_off(self, goal: Goal, **options: object) -> SessionId:
        session = await self.new(**options)
        await self.sessions.handoff(session, goal, "test")
        return session

    async def outcome(self, session: SessionId, seconds: float = 40) -> Event:
        return await self.until(session, Kind.OUTCOME_REACHED, seconds=seconds)


Open = Callable[..., AbstractAsyncContextManager[House]]
"""opens the house; what it is given are settings of `Config`, or parts of `Rooms`"""


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    async with FakeProvider() as running:
        yield running


@pytest.fixture
def open_house(tmp_path: Path, repository: Path, fake: FakeProvider) -> Open:
    @asynccontextmanager
    async def opened(**settings: object) -> AsyncIterator[House]:
        egress = settings.pop("egress", None) or Egress()
        assert isinstance(egress, Egress)
        parts = {
            name: settings.pop(name) for name in ("clock", "running", "tell", "settled", "vault") if name in settings
        }
        config = replace(Config(data=tmp_path / "data"), **settings)
        providers = (
            Provider("anthropic", Wire.ANTHROPIC, fake.url, "house-key-5b21c9"),
            Provider("openai", Wire.OPENAI, f"{fake.url}/v1", "house-key-5b21c9"),
            Provider("gemini", Wire.GEMINI, fake.url, "house-key-5b21c9"),
        )
        async with await Store.open(config.place) as store:
            gateway = Gateway(Providers(providers))
            await gateway.start()
            backends = {kind: open_backend(kind) for kind in SandboxKind}

            async def backend(kind: SandboxKind) -> Backend:
                return backends[kind]

            roster = Roster(config.data, {"HANDRAIL_AGENTS_DIR": str(CACHE), **os.environ})
            rooms = Rooms(config, store, roster, gateway, backend, egress, **parts)  # type: ignore[arg-type]
            sessions = Sessions(rooms)
            await sessions.start()
            try:
                yield House(sessions, store, fake, repository, config, gateway)
            finally:
                await sessions.stop()
                await egress.close()
                await gateway.close()
                for walls in backends.values():
                    await walls.close()

    return opened


@pytest.fixture
async def house(open_house: Open) -> AsyncIterator[House]:
    async with open_house() as opened:
        yield opened
