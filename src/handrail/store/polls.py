"""Repositories whose forge is asked for news: how often, how far it was read, and what the last look came to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import ColumnElement, delete, func, insert, select, update

from handrail.store.automation import polls
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.rows import every as rows_of
from handrail.types import Json


class PollRow(Struct, frozen=True, kw_only=True):
    """One repository that is polled."""

    source: str
    repository: str
    every: float
    """seconds"""
    due: datetime
    seen: Json
    looked: datetime | None = None
    failures: int = 0
    error: str | None = None
    epoch: int = 0
    created: datetime


def replace(source: str, wanted: Sequence[PollRow], known: Sequence[PollRow]) -> list[Write]:
    """Poll `wanted` of a source and nothing else. What was polled before goes on from where it was."""
    c, names, before = polls.c, [row.repository for row in wanted], {row.repository for row in known}
    writes: list[Write] = [delete(polls).where(c.source == source, c.repository.not_in(names))]
    for row in wanted:
        if row.repository in before:
            again = update(polls).where(c.source == source, c.repository == row.repository)
            writes.append(again.values(every=row.every, due=row.due))
        else:
            writes.append(insert(polls).values(asdict(row)))
    return writes


def claim(row: PollRow, at: datetime, lease: timedelta) -> Write:
    """Guard: look at a repository that is due, unless another server does; after `lease` another may."""
    ours = update(polls).where(*_is(row), polls.c.epoch == row.epoch, polls.c.due <= at)
    return ours.values(epoch=row.epoch + 1, due=at + lease).returning(polls.c.source)


def succeed(row: PollRow, seen: Json, at: datetime, due: datetime) -> Write:
    """Guard: keep the watermark of the look that `claim` began, unless another has begun meanwhile."""
    ours = update(polls).where(*_is(row), polls.c.epoch == row.epoch + 1)
    return ours.values(seen=seen, looked=at, due=due, failures=0, error=None).returning(polls.c.source)


def fail(row: PollRow, error: str, due: datetime) -> Write:
    """Guard: note why the look that `claim` began came to nothing."""
    ours = update(polls).where(*_is(row), polls.c.epoch == row.epoch + 1)
    return ours.values(error=error, failures=row.failures + 1, due=due).returning(polls.c.source)


async def everything(store: Store, source: str | None = None) -> list[PollRow]:
    """All that is polled, by source and repository."""
    statement = select(polls).order_by(polls.c.source, polls.c.repository)
    return await rows_of(store, PollRow, statement if source is None else statement.where(polls.c.source == source))


async def ready(store: Store, at: datetime) -> list[PollRow]:
    """What is due, the longest overdue first."""
    return await rows_of(store, PollRow, select(polls).where(polls.c.due <= at).order_by(polls.c.due))


async def following(store: Store) -> datetime | None:
    """When something is due next; None where nothing is polled."""
    found = await store.rows(select(func.min(polls.c.due)))
    moment: datetime | None = found[0][0] if found else None
    return moment


def _is(row: PollRow) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return polls.c.source == row.source, polls.c.repository == row.repository
