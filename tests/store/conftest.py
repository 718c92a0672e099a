from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.store.engine import Store
from tests.store.making import begin


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path / "data" / "handrail.db") as opened:
        yield opened


@pytest.fixture
async def alice(store: Store) -> Store:
    """A store that holds the session `alice`."""
    await begin(store, "alice")
    return store
