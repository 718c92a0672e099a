"""Snapshots: the commits that hold a workspace as it was after each turn. Turn 0 is before the first."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from msgspec import Struct
from sqlalchemy import Insert, Select, bindparam, select
from sqlalchemy import insert as sql_insert

from handrail.store.engine import Store
from handrail.store.log import Prepared, Write
from handrail.store.rows import every, first
from handrail.store.tables import snapshots
from handrail.types import SessionId, now


class SnapshotRow(Struct, frozen=True):
    """One snapshot; `id` orders them. A turn can have several: going back to an earlier state makes a new one."""

    id: int
    session: SessionId
    turn: int
    commit: str
    time: datetime


def insert(session: SessionId, turn: int, commit: str) -> Write:
    """Keep a snapshot."""
    return Prepared(_insert(), {"session": session, "turn": turn, "commit": commit, "time": now()})


@cache
def _insert() -> Insert:
    return sql_insert(snapshots)


async def latest(store: Store, session: SessionId) -> SnapshotRow | None:
    """The newest snapshot of a session."""
    return await first(store, SnapshotRow, Prepared(_latest(), {"of_session": session}))


async def before(store: Store, session: SessionId, turn: int) -> SnapshotRow | None:
    """The state that `turn` began with: the newest snapshot of an earlier turn."""
    return await first(store, SnapshotRow, _newest().where(snapshots.c.session == session, snapshots.c.turn < turn))


async def after(store: Store, session: SessionId, turn: int) -> SnapshotRow | None:
    """The state that `turn` ended with: the newest snapshot of that turn."""
    return await first(store, SnapshotRow, _newest().where(snapshots.c.session == session, snapshots.c.turn == turn))


async def of(store: Store, session: SessionId) -> list[SnapshotRow]:
    """A session's snapshots, the newest first."""
    return await every(store, SnapshotRow, Prepared(_all(), {"of_session": session}))


@cache
def _latest() -> Select[*tuple[object, ...]]:
    return _all().limit(1)


@cache
def _all() -> Select[*tuple[object, ...]]:
    return _newest().where(snapshots.c.session == bindparam("of_session"))


def _newest() -> Select[*tuple[object, ...]]:
    return select(snapshots).order_by(snapshots.c.id.desc())
