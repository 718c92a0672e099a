"""Prices of models that a person gave: they win over the price list."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import delete, insert, select

from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.rows import every
from handrail.store.tables import prices


class PriceRow(Struct, frozen=True):
    """US dollars for a million tokens, as decimal text. `model` is a name or `provider/name`, `*` allowed."""

    model: str
    input: str
    output: str
    cached: str | None
    cache_written: str | None
    created: datetime


def put(row: PriceRow) -> tuple[Write, Write]:
    """Keep a price in place of the one of that model."""
    return delete(prices).where(prices.c.model == row.model), insert(prices).values(asdict(row))


def remove(model: str) -> Write:
    """Guard: forget a price that is there."""
    return delete(prices).where(prices.c.model == model).returning(prices.c.model)


async def everything(store: Store) -> list[PriceRow]:
    """All prices by model."""
    return await every(store, PriceRow, select(prices).order_by(prices.c.model))
