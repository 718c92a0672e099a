from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.store.engine import Store
from tests import postgres
from tests.store.making import begin


@pytest.fixture(params=postgres.KINDS)
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Path | str:
    """Both kinds of database, empty."""
    return postgres.place(request.param, tmp_path / "data")


@pytest.fixture
async def store(place: Path | str) -> AsyncIterator[Store]:
    async with await Store.open(place) as opened:
        yield opened


@pytest.fixture
async def alice(store: Store) -> Store:
    """A store that holds the session `alice`."""
    await begin(store, "alice")
    return store
