"""Ticks: what became of each due time of a schedule. Ticks that were missed in a row are one row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import delete, select
from sqlalchemy import insert as sql_insert

from handrail.automation import TickState
from handrail.store.automation import ticks
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.rows import every
from handrail.types import RunId


class TickRow(Struct, frozen=True, kw_only=True):
    """One tick, or several that were missed in a row."""

    workflow: str
    trigger: int
    """which of the workflow's schedules, from 0"""
    due: datetime
    since: datetime | None = None
    """of several missed in a row, the first; `due` is the last of them"""
    count: int = 1
    state: TickState
    reason: str | None = None
    run: RunId | None = None
    time: datetime
    """when it was decided"""


def insert(row: TickRow) -> tuple[Write, ...]:
    """Record a tick. It takes the place of one that was recorded as missed, before a clock was set back.

    Any other one of that schedule and time is a Conflict.
    """
    c = ticks.c
    before = (c.workflow == row.workflow, c.trigger == row.trigger, c.due == row.due, c.state == TickState.MISSED)
    values = asdict(row)
    return delete(ticks).where(*before), sql_insert(ticks).values(values)


async def settled(store: Store, workflow: str, after: datetime) -> set[datetime]:
    """Due times of a workflow later than `after` that were decided for good: fired, queued or skipped."""
    c = ticks.c
    statement = select(c.due).where(c.workflow == workflow, c.due > after, c.state != TickState.MISSED)
    return {row[0] for row in await store.rows(statement)}


async def newest(store: Store, workflow: str, limit: int = 50, states: Sequence[TickState] = ()) -> list[TickRow]:
    """Ticks of a workflow, the newest first."""
    statement = select(ticks).where(ticks.c.workflow == workflow).order_by(ticks.c.due.desc(), ticks.c.trigger)
    if states:
        statement = statement.where(ticks.c.state.in_(states))
    return await every(store, TickRow, statement.limit(limit))
