"""Forges that a person has set up. Their secrets stand here encrypted; this room cannot read them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from msgspec.structs import asdict
from sqlalchemy import delete, insert, select, update

from handrail.store.automation import forges
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.rows import every, first
from handrail.types import Json, Veiled


class ForgeRow(Veiled, frozen=True):
    """One forge; `secret` is sealed."""

    veiled: ClassVar = frozenset({"secret", "settings"})
    name: str
    kind: str
    url: str
    account: str | None
    """whose credential it is, as the last check found"""
    settings: Json
    secret: bytes | None
    created: datetime
    ends: datetime | None = None
    """when its credential ends, as the last check found"""
    trouble: str | None = None
    """why its credential was not taken by the last check"""


async def put(store: Store, row: ForgeRow) -> None:
    """Keep a forge in place of the one of that name."""
    await store.log.write(delete(forges).where(forges.c.name == row.name), insert(forges).values(asdict(row)))


async def note(store: Store, name: str, *, account: str | None, ends: datetime | None, trouble: str | None) -> None:
    """Keep what a check of its credential found; who it belongs to stays known when it is not taken any more."""
    found = {"ends": ends, "trouble": trouble} | ({"account": account} if account else {})
    await store.log.write(update(forges).where(forges.c.name == name).values(found))


def remove(name: str) -> Write:
    """Guard: forget a forge that is there."""
    return delete(forges).where(forges.c.name == name).returning(forges.c.name)


async def get(store: Store, name: str) -> ForgeRow | None:
    """One forge, or None."""
    return await first(store, ForgeRow, select(forges).where(forges.c.name == name))


async def everything(store: Store) -> list[ForgeRow]:
    """All forges by name."""
    return await every(store, ForgeRow, select(forges).order_by(forges.c.name))
