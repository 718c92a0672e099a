"""Rows as frozen values: the few lines that every family module shares."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Executable, Row

from handrail.store.engine import Store

T = TypeVar("T")


def as_value(kind: type[T], row: Row[*tuple[Any, ...]]) -> T:
    """A row as a value of `kind`, a Struct whose fields are the row's columns."""
    return kind(**row._mapping)  # noqa: SLF001  # the public name of a row's mapping (SQLAlchemy: Row._mapping)


async def every(store: Store, kind: type[T], statement: Executable) -> list[T]:
    """What a statement finds, as values of `kind`."""
    return [as_value(kind, row) for row in await store.rows(statement)]


async def first(store: Store, kind: type[T], statement: Executable) -> T | None:
    """The first that a statement finds, or None."""
    found = await store.rows(statement)
    return as_value(kind, found[0]) if found else None
