"""The ledger: every call to a model provider and its cost. A call without a known price is unpriced, never free."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, and_, case, extract, func, or_, select
from sqlalchemy import insert as sql_insert

from handrail.store.engine import Store
from handrail.store.log import Prepared, Write
from handrail.store.rows import every
from handrail.store.tables import calls, scopes
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


@dataclass(frozen=True, slots=True)
class CallRow:
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


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over calls; `unpriced` counts those that used tokens and have no price, so that `cost_nano` is a minimum."""

    calls: int = 0
    cost_nano: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Spend:
    """What was spent, in all and by what; the dearest first."""

    total: Totals
    by_model: dict[str, Totals]
    by_session: dict[SessionId, Totals]
    by_scope: dict[Scope, Totals]
    """by what sessions share; a call counts in each scope of its session"""
    by_day: dict[str, Totals]
    """by the day (UTC) on which calls began, the newest first"""


_INSERT = sql_insert(calls)


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
    return Prepared(_INSERT, values)


async def of(store: Store, session: SessionId) -> list[CallRow]:
    """A session's calls, in order."""
    return await every(store, CallRow, select(calls).where(calls.c.session == session).order_by(calls.c.id))


async def totals(store: Store, session: SessionId | None = None) -> Totals:
    """The sums of one session, or of all."""
    statement = select(*_SUMS)
    if session is not None:
        statement = statement.where(calls.c.session == session)
    return Totals(*(await store.rows(statement))[0])


async def spend(store: Store) -> Spend:
    """The sums by model, session, scope and day."""
    by_model = await _grouped(store, calls.c.model)
    by_session = await _grouped(store, calls.c.session)
    return Spend(
        await totals(store),
        by_model,
        {SessionId(name): sums for name, sums in by_session.items()},
        await _by_scope(store),
        await _by_day(store),
    )


async def _grouped(store: Store, by: ColumnElement[Any]) -> dict[str, Totals]:
    found = await store.rows(select(by, *_SUMS).group_by(by).order_by(_COST.desc(), by))
    return {row[0]: Totals(*row[1:]) for row in found}


async def _by_scope(store: Store) -> dict[Scope, Totals]:
    found = await store.rows(
        select(scopes.c.scope, *_SUMS)
        .join_from(calls, scopes, calls.c.session == scopes.c.session)
        .where(scopes.c.scope.not_like("session:%"))
        .group_by(scopes.c.scope)
        .order_by(_COST.desc(), scopes.c.scope)
    )
    return {Scope(row[0]): Totals(*row[1:]) for row in found}


async def _by_day(store: Store) -> dict[str, Totals]:
    parts = [extract(part, calls.c.time) for part in ("year", "month", "day")]
    newest = [part.desc() for part in parts]
    found = await store.rows(select(*parts, *_SUMS).group_by(*parts).order_by(*newest).limit(DAYS))
    return {f"{row[0]:04d}-{row[1]:02d}-{row[2]:02d}": Totals(*row[3:]) for row in found}


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
