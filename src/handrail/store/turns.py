"""Turns: one row a prompt that was given to an agent."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from msgspec import Struct
from sqlalchemy import Insert, Select, Update, bindparam, select, update
from sqlalchemy import insert as sql_insert

from handrail.store.engine import Store
from handrail.store.log import Prepared, Write
from handrail.store.rows import every, first
from handrail.store.tables import turns
from handrail.types import SessionId, StopReason


class TurnRow(Struct, frozen=True):
    """One turn; `ended` is None while it is under way, or when the server died in it."""

    session: SessionId
    turn: int
    text: str
    by: str
    snapshot: str | None
    """commit of the workspace before it"""
    started: datetime
    ended: datetime | None
    seconds: float | None
    """how long it took, by a clock that nobody sets"""
    stop_reason: str | None
    error: str | None
    cost_nano: int
    unpriced: int
    """calls without a price"""


def insert(
    session: SessionId, turn: int, *, text: str, by: str, started: datetime, snapshot: str | None = None
) -> Write:
    """Keep a turn that begins."""
    values = {
        "session": session, "turn": turn, "text": text, "by": by, "started": started, "snapshot": snapshot,
        "cost_nano": 0, "unpriced": 0,
    }  # fmt: skip
    return Prepared(_insert(), values)


@cache
def _insert() -> Insert:
    return sql_insert(turns)


def end(
    session: SessionId,
    turn: int,
    *,
    ended: datetime,
    stop_reason: str,
    error: str | None = None,
    cost_nano: int = 0,
    unpriced: int = 0,
    seconds: float | None = None,
) -> Write:
    """Keep how a turn ended."""
    values = {
        "of_session": session, "of_turn": turn, "ended": ended, "stop_reason": str(stop_reason), "error": error,
        "cost_nano": cost_nano, "unpriced": unpriced, "seconds": seconds,
    }  # fmt: skip
    return Prepared(_update(), values)


@cache
def _update() -> Update:
    return update(turns).where(turns.c.session == bindparam("of_session"), turns.c.turn == bindparam("of_turn"))


async def get(store: Store, session: SessionId, turn: int) -> TurnRow | None:
    """One turn, or None."""
    return await first(store, TurnRow, select(turns).where(turns.c.session == session, turns.c.turn == turn))


async def of(store: Store, session: SessionId) -> list[TurnRow]:
    """A session's turns, in order."""
    return await every(store, TurnRow, select(turns).where(turns.c.session == session).order_by(turns.c.turn))


async def begun_by(store: Store, session: SessionId, turn: int) -> int:
    """The first of the turns that lead to `turn` without a break: those before it were parked or cut off."""
    if turn == 1:
        return 1
    found = await store.rows(Prepared(_broken_off(), {"of_session": session, "of_turn": turn}))
    return int(found[0][0]) + 1 if found else 1


@cache
def _broken_off() -> Select[*tuple[object, ...]]:
    before = (turns.c.session == bindparam("of_session"), turns.c.turn < bindparam("of_turn"))
    ended = turns.c.stop_reason.not_in([StopReason.PARKED, StopReason.INTERRUPTED])
    return select(turns.c.turn).where(*before, ended).order_by(turns.c.turn.desc()).limit(1)
