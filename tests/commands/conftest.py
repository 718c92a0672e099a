from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.commands import forges
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.commands.forges import Given
from tests.commands.desks import Stops, open_desk
from tests.fake_github import FakeGitHub


@pytest.fixture
def stops() -> Stops:
    return Stops()


@pytest.fixture
async def desk(tmp_path: Path, stops: Stops) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "data", {"ANTHROPIC_API_KEY": "sk-test"}, stops) as opened:
        yield opened


@pytest.fixture
async def github(desk: Desk, tmp_path: Path) -> AsyncIterator[FakeGitHub]:
    async with FakeGitHub(tmp_path / "github") as github:
        shop = await github.create("acme/shop")
        shop.add("Prices", "Too low", "alice")
        await forges.put(desk, OWNER, "hub", Given("github", github.url, github.token))
        yield github
    assert github.violations == []
