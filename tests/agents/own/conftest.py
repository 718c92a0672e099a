"""An agent process pointed at a scripted provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.agents.own.driver import Own
from tests.fake_provider import FakeProvider

MakeOwn = Callable[..., Own]


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    async with FakeProvider() as provider:
        yield provider


@pytest.fixture
def make(fake: FakeProvider, tmp_path: Path) -> MakeOwn:
    """Makes agents that share a home and a workspace; keyword arguments are further `HANDRAIL_*` settings."""
    home, cwd = tmp_path / "home", tmp_path / "workspace"
    home.mkdir()
    cwd.mkdir()

    def own(**more: str) -> Own:
        env = {"WIRE": "openai-chat", "MODEL_URL": fake.url, "TOKEN": "t-1", "MODEL": "fake-model", "BACKOFF": "0.02"}
        return Own(home, cwd, {f"HANDRAIL_{name}": value for name, value in (env | more).items()})

    return own
