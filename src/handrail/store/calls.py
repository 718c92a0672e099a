"""The ledger: every call to a model provider and its cost. A call without a known price is unpriced, never free."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Protocol

from msgspec import Struct
from sqlalchemy import ColumnElement, Insert, Select, and_, bindparam, case, extract, func, or_, select, true
from sqlalchemy import insert as sql_insert

from handrail.store.database import Rows
from handrail.store.engine import Store
from handrail.store.log import Prepared, Write
from handrail.store.rows import every
from handrail.store.tables import calls, scopes, sessions
from handrail.types import Scope, SessionId

DAYS = 366
"""days that a sum by day goes back, at the most"""


class Call(Protocol):
    """A metered call, as `handrail.gateway.ModelCall` has it: rooms above share their shape, not their import."""

    @property
    def session(self) -> SessionId: ...  # noqa: D102
    @property
    def turn(self) -> int | None: ...  # noqa: D102
    @property
    def time(self) -> datetime: ...  # noqa: D102
    @property
    def provider(self) -> str: ...  # noqa: D102
    @property
    def wire(self) -> str: ...  # noqa: D102
    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> int: ...  # noqa: D102
    @property
    def input_tokens(self) -> int: ...  # noqa: D102
    @property
    def cached_tokens(self) -> int: ...  # noqa: D102
    @property
    def output_tokens(self) -> int: ...  # noqa: D102
    @property
    def cost(self) -> int | None: ...  # noqa: D102
    @property
    def partial(self) -> bool: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def error(self) -> str | None: ...  # noqa: D102


class CallRow(Struct, frozen=True):
    """One call as it stands in the ledger."""

    id: int
    session: SessionId
    turn: int | None
    time: datetime
    provider: str
    wire: str
    model: str
    status: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_nano: int | None
    partial: bool
    seconds: float
    error: str | None


class Totals(Struct, frozen=True):
    """Sums over calls; `unpriced` counts those that used tokens and have no price, so that `cost_nano` is a minimum."""

    calls: int = 0
    cost_nano: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class Spend(Struct, frozen=True):
    """What was spent, in all and by what; the dearest first."""

    total: Totals
    by_model: dict[str, Totals]
    by_session: dict[SessionId, Totals]
    by_scope: dict[Scope, Totals]
    """by what sessions share; a call counts in each scope of its session"""
    by_agent: dict[str, Totals]
    by_workflow: dict[str, Totals]
    by_member: dict[str, Totals]
    """by who started it; for a run that nobody did, by who kept the version of its workflow"""
    by_day: dict[str, Totals]
    """by the day (UTC) on which calls began, the newest first"""
    not_metered: int = 0
    """sessions whose agent has a login of the user, of whose calls nothing is known"""


def insert(call: Call, turn: int | None = None) -> Write:
    """Keep a call; `turn` where the gateway could not know it."""
    values = {
        "session": call.session,
        "turn": call.turn if turn is None else turn,
        "time": call.time,
        "provider": call.provider,
        "wire": str(call.wire),
        "model": call.model,
        "status": call.status,
        "input_tokens": call.input_tokens,
        "cached_tokens": call.cached_tokens,
        "output_tokens": call.output_tokens,
        "cost_nano": call.cost,
        "partial": call.partial,
        "seconds": call.seconds,
        "error": call.error,
    }
    return Prepared(_insert(), values)


@cache
def _insert() -> Insert:
    return sql_insert(calls)


async def of(store: Store, session: SessionId) -> list[CallRow]:
    """A session's calls, in order."""
    return await every(store, CallRow, select(calls).where(calls.c.session == session).order_by(calls.c.id))


async def totals(store: Store, session: SessionId | None = None) -> Totals:
    """The sums of one session, or of all."""
    wanted = true() if session is None else calls.c.session == session
    return Totals(*(await store.rows(select(*_SUMS).where(wanted)))[0])


async def spend(store: Store, by: str | None = None) -> Spend:
    """The sums by all that there is to sum by; of one person's sessions alone, where `by` names them."""
    values = {} if by is None else {"of_person": by}
    asked = (Prepared(statement, values) for statement in _spend(by is not None))
    total, models, of_sessions, of_scopes, agents, days, not_metered = await store.at_once(*asked)
    by_scope = {Scope(name): sums for name, sums in _named(of_scopes).items()}
    return Spend(
        Totals(*total[0]),
        _named(models),
        {SessionId(name): sums for name, sums in _named(of_sessions).items()},
        by_scope,
        _named(agents),
        _of_kind("workflow:", by_scope),
        _of_kind("member:", by_scope),
        {f"{row[0]:04d}-{row[1]:02d}-{row[2]:02d}": Totals(*row[3:]) for row in days},
        int(not_metered[0][0]),
    )


@cache
def _spend(of_one: bool) -> tuple[Select[*tuple[Any, ...]], ...]:
    """What `spend` asks, in its order."""
    person = sessions.c.by == bindparam("of_person")
    wanted = calls.c.session.in_(select(sessions.c.id).where(person)) if of_one else true()
    day = [extract(part, calls.c.time) for part in ("year", "month", "day")]
    shared = calls.c.session == scopes.c.session
    return (
        select(*_SUMS).where(wanted),
        _by(calls.c.model).where(wanted),
        _by(calls.c.session).where(wanted),
        _by(scopes.c.scope).join_from(calls, scopes, shared).where(scopes.c.scope.not_like("session:%"), wanted),
        _by(sessions.c.agent).join_from(calls, sessions, calls.c.session == sessions.c.id).where(wanted),
        select(*day, *_SUMS).where(wanted).group_by(*day).order_by(*(part.desc() for part in day)).limit(DAYS),
        select(func.count()).where(sessions.c.login, sessions.c.turn > 0, person if of_one else true()),
    )


def _by(name: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
    """Sums by a name, the largest first."""
    return select(name, *_SUMS).group_by(name).order_by(_COST.desc(), name)


def _named(found: Rows) -> dict[str, Totals]:
    return {row[0]: Totals(*row[1:]) for row in found}


async def of_scopes(store: Store, of: Sequence[Scope]) -> dict[Scope, Totals]:
    """The sums of what shares these scopes."""
    found = await store.rows(Prepared(_of_scopes(), {"those": of})) if of else ()
    return dict.fromkeys(of, Totals()) | {Scope(row[0]): Totals(*row[1:]) for row in found}


@cache
def _of_scopes() -> Select[*tuple[Any, ...]]:
    statement = select(scopes.c.scope, *_SUMS).join_from(calls, scopes, calls.c.session == scopes.c.session)
    return statement.where(scopes.c.scope.in_(bindparam("those", expanding=True))).group_by(scopes.c.scope)


async def by_key(store: Store, scope: Scope) -> dict[str, Totals]:
    """The sums of a scope by the keys of its sessions: what their maker calls them; without one they are left out."""
    return {row[0]: Totals(*row[1:]) for row in await store.rows(Prepared(_by_key(), {"of_scope": scope}))}


@cache
def _by_key() -> Select[*tuple[object, ...]]:
    return (
        select(sessions.c.key, *_SUMS)
        .join_from(calls, scopes, calls.c.session == scopes.c.session)
        .join(sessions, sessions.c.id == calls.c.session)
        .where(scopes.c.scope == bindparam("of_scope"), sessions.c.key.is_not(None))
        .group_by(sessions.c.key)
    )


def _of_kind(kind: str, by_scope: dict[Scope, Totals]) -> dict[str, Totals]:
    return {scope.removeprefix(kind): sums for scope, sums in by_scope.items() if scope.startswith(kind)}


def _sum(of_what: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(of_what), 0)


_COST = _sum(calls.c.cost_nano)
_SUMS = (
    func.count(),
    _COST,
    _sum(
        case((and_(calls.c.cost_nano.is_(None), or_(calls.c.input_tokens > 0, calls.c.output_tokens > 0)), 1), else_=0)
    ),
    _sum(calls.c.input_tokens),
    _sum(calls.c.cached_tokens),
    _sum(calls.c.output_tokens),
)
