"""What ended badly, or stopped, and nobody said yet that they know: the part of the inbox that asks nothing."""

from __future__ import annotations

from typing import TypeAlias

from sqlalchemy import BindParameter, ColumnElement, and_, or_, select
from sqlalchemy import update as sql_update

from handrail.automation import RunState, TriggerKind
from handrail.store.automation import runs
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.rows import every
from handrail.store.runs import RunRow
from handrail.store.sessions import SessionRow
from handrail.store.tables import sessions
from handrail.types import NEEDS_A_LOOK, RunId, SessionId, now

By: TypeAlias = str | BindParameter[str] | None
"""whose alone"""
MOST = 100
"""of each, in one list"""


def bad_sessions(by: By) -> ColumnElement[bool]:
    """Those that ended badly and nobody saw.

    Those with a key are left out: who made them tells of the whole, a run of its tasks.
    """
    mine = [] if by is None else [sessions.c.by == by]
    return and_(sessions.c.outcome.in_(NEEDS_A_LOOK), sessions.c.seen.is_(None), sessions.c.key.is_(None), *mine)


def bad_runs(by: By) -> ColumnElement[bool]:
    """Those that ended badly, or stopped, and nobody saw. A rehearsal is left out: its scorecard tells of it."""
    mine = [] if by is None else [runs.c.by == by]
    bad = or_(runs.c.outcome.in_(NEEDS_A_LOOK), runs.c.state == RunState.STOPPED)
    return and_(bad, runs.c.seen.is_(None), runs.c.trigger != TriggerKind.REHEARSAL, *mine)


async def of_sessions(store: Store, by: str | None) -> list[SessionRow]:
    """The sessions, the one that waits longest first."""
    wanted = select(sessions).where(bad_sessions(by)).order_by(sessions.c.updated, sessions.c.number).limit(MOST)
    return await every(store, SessionRow, wanted)


async def of_runs(store: Store, by: str | None) -> list[RunRow]:
    """The runs, the oldest first."""
    return await every(store, RunRow, select(runs).where(bad_runs(by)).order_by(runs.c.number).limit(MOST))


def session_seen(session: SessionId) -> Write:
    """Guard: somebody knows of it."""
    wanted = and_(sessions.c.id == session, bad_sessions(None))
    return sql_update(sessions).where(wanted).values(seen=now()).returning(sessions.c.id)


def run_seen(run: RunId) -> Write:
    """Guard: somebody knows of it."""
    return sql_update(runs).where(runs.c.id == run, bad_runs(None)).values(seen=now()).returning(runs.c.id)
