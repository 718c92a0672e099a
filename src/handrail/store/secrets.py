"""Secrets that tasks need. Values stand here encrypted; this room cannot read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from msgspec.structs import asdict
from sqlalchemy import delete, insert, select

from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.rows import every, first
from handrail.store.tables import secrets
from handrail.types import Veiled


class SecretRow(Veiled, frozen=True):
    """One secret; `value` is sealed."""

    veiled: ClassVar = frozenset({"value"})
    name: str
    host: str
    """host:port that it is sent to"""
    header: str
    """name and template of the header that carries it, such as `Authorization: Bearer {}`"""
    permits: Sequence[str]
    """methods and paths that may be asked with it, such as `GET /v1`; everything where there is none"""
    value: bytes
    created: datetime


async def put(store: Store, row: SecretRow) -> None:
    """Keep a secret in place of the one of that name."""
    await store.log.write(delete(secrets).where(secrets.c.name == row.name), insert(secrets).values(asdict(row)))


def remove(name: str) -> Write:
    """Guard: forget a secret that is there."""
    return delete(secrets).where(secrets.c.name == name).returning(secrets.c.name)


async def get(store: Store, name: str) -> SecretRow | None:
    """One secret, or None."""
    return await first(store, SecretRow, select(secrets).where(secrets.c.name == name))


async def everything(store: Store) -> list[SecretRow]:
    """All secrets by name."""
    return await every(store, SecretRow, select(secrets).order_by(secrets.c.name))
