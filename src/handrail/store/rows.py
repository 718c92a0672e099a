"""Rows as frozen values: the few lines that every family module shares."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import Executable

from handrail.store.database import Rows
from handrail.store.engine import Store
from handrail.store.log import Prepared

T = TypeVar("T")


def as_values(kind: type[T], found: Rows) -> list[T]:
    """Rows of one statement as values of `kind`, a Struct whose fields are the rows' columns."""
    if not found:
        return []
    names = found[0]._fields  # read once: it is made anew each time
    return [kind(**dict(zip(names, row, strict=True))) for row in found]


async def every(store: Store, kind: type[T], statement: Executable | Prepared) -> list[T]:
    """What a statement finds, as values of `kind`."""
    return as_values(kind, await store.rows(statement))


async def first(store: Store, kind: type[T], statement: Executable | Prepared) -> T | None:
    """The first that a statement finds, or None."""
    return next(iter(as_values(kind, (await store.rows(statement))[:1])), None)
