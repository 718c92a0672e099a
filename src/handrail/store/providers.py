"""Model providers that a person has set up. Keys stand here encrypted; this room cannot read them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from msgspec.structs import asdict
from sqlalchemy import delete, insert, select

from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.rows import every, first
from handrail.store.tables import providers
from handrail.types import Veiled


class ProviderRow(Veiled, frozen=True):
    """One provider; `key` is sealed."""

    veiled: ClassVar = frozenset({"key"})
    name: str
    wire: str
    base_url: str
    model: str | None
    key: bytes
    created: datetime


async def put(store: Store, row: ProviderRow) -> None:
    """Keep a provider in place of the one of that name."""
    await store.log.write(delete(providers).where(providers.c.name == row.name), insert(providers).values(asdict(row)))


def remove(name: str) -> Write:
    """Guard: forget a provider that is there."""
    return delete(providers).where(providers.c.name == name).returning(providers.c.name)


async def get(store: Store, name: str) -> ProviderRow | None:
    """One provider, or None."""
    return await first(store, ProviderRow, select(providers).where(providers.c.name == name))


async def everything(store: Store) -> list[ProviderRow]:
    """All providers by name."""
    return await every(store, ProviderRow, select(providers).order_by(providers.c.name))
