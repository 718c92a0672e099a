from __future__ import annotations

import pytest
from msgspec.structs import replace

from handrail.errors import Conflict
from handrail.store import providers
from handrail.store.engine import Store
from handrail.store.providers import ProviderRow
from handrail.types import now


async def test_a_provider_is_kept_replaced_and_forgotten(store: Store) -> None:
    row = ProviderRow("anthropic", "anthropic", "https://api.anthropic.com", None, b"\x00sealed\xff", now())
    await providers.put(store, row)
    assert await providers.get(store, "anthropic") == row
    newer = replace(row, key=b"other", model="opus")
    await providers.put(store, newer)
    await providers.put(store, replace(row, name="a"))
    assert [kept.name for kept in await providers.everything(store)] == ["a", "anthropic"]
    assert await providers.get(store, "anthropic") == newer
    await store.log.write(guard=providers.remove("anthropic"))
    assert await providers.get(store, "anthropic") is None
    with pytest.raises(Conflict):
        await store.log.write(guard=providers.remove("anthropic"))


def test_a_key_is_never_printed() -> None:
    assert "sealed" not in repr(ProviderRow("a", "openai", "https://a", None, b"sealed", now()))
