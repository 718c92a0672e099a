"""What stands beside every page: how much waits for a person, and which sessions are at work."""

from __future__ import annotations

from functools import cache

from msgspec import Struct
from sqlalchemy import BindParameter, Select, bindparam, case, func, select

from handrail.store import approvals, effects, unseen
from handrail.store.engine import Store
from handrail.store.log import Prepared
from handrail.store.rows import as_values
from handrail.store.tables import sessions
from handrail.types import SessionId, SessionState


class Brief(Struct, frozen=True):
    """A session at work, in one line."""

    id: SessionId
    title: str
    state: SessionState
    login: bool
    """a login pays it: nothing here counts what it costs"""
    cost_nano: int
    unpriced: int

    @property
    def heading(self) -> str:
        """What it is called."""
        return self.title or f"Session {self.id}"


class Rail(Struct, frozen=True):
    """What waits in the inbox, and what is at work: those that wait for a person first, then the newest."""

    waiting: int
    running: tuple[Brief, ...]


@cache
def _running(of_one: bool) -> Select[*tuple[object, ...]]:
    held = case((sessions.c.state == SessionState.WAITING, 0), else_=1)
    statement = (
        select(*(sessions.c[name] for name in Brief.__struct_fields__))
        .where(sessions.c.state.in_([SessionState.WAITING, SessionState.RUNNING]))
        .order_by(held, sessions.c.number.desc())
        .limit(bindparam("most"))
    )
    return statement.where(sessions.c.by == bindparam("of_person")) if of_one else statement


@cache
def _waiting(of_one: bool, effects_too: bool, runs_too: bool) -> Select[*tuple[object, ...]]:
    by: BindParameter[str] | None = bindparam("of_person") if of_one else None
    counted = [select(func.count()).where(approvals.waits(by)), select(func.count()).where(unseen.bad_sessions(by))]
    counted += [select(func.count()).where(effects.waits(by))] if effects_too else []
    counted += [select(func.count()).where(unseen.bad_runs(by))] if runs_too else []
    return select(*(one.scalar_subquery() for one in counted))


async def read(store: Store, by: str | None, most: int, *, effects_too: bool, runs_too: bool) -> Rail:
    """What the rail tells; of one person's, where one is named.

    Args:
        store: the database.
        by: whose alone.
        most: how many sessions at the most.
        effects_too: whether effects are counted.
        runs_too: whether runs that ended badly are counted.
    """
    whose = {} if by is None else {"of_person": by}
    waiting, running = await store.at_once(
        Prepared(_waiting(by is not None, effects_too, runs_too), whose),
        Prepared(_running(by is not None), {**whose, "most": most}),
    )
    return Rail(sum(waiting[0]), tuple(as_values(Brief, running)))
