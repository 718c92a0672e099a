from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.commands.desk import Desk
from tests.commands.desks import Stops, open_desk


@pytest.fixture
def stops() -> Stops:
    return Stops()


@pytest.fixture
async def desk(tmp_path: Path, stops: Stops) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "data", {"ANTHROPIC_API_KEY": "sk-test"}, stops) as opened:
        yield opened
