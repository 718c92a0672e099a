"""Budgets of what sessions share, and what the ledger says is used of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Insert, delete, func, insert, select, update

from handrail.store.engine import Store
from handrail.store.log import Prepared, Write
from handrail.store.tables import budgets, calls, scopes, sessions, turns
from handrail.types import Budget, NanoUSD, Period, Scope, SessionId, Used, now

_FIRST = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def put(budget: Budget) -> tuple[Write, Write]:
    """Keep a budget in place of the one of that scope and period."""
    values = {
        "scope": budget.scope,
        "period": budget.period,
        "money_nano": budget.money,
        "tokens": budget.tokens,
        "seconds": budget.seconds,
        "spent": None,
        "created": now(),
    }
    same = (budgets.c.scope == budget.scope, budgets.c.period == budget.period)
    return delete(budgets).where(*same), insert(budgets).values(values)


def remove(scope: Scope, period: Period | None = None) -> Write:
    """Guard: forget the budgets of a scope, or the one of a period, where there are any."""
    statement = delete(budgets).where(budgets.c.scope == scope)
    if period is not None:
        statement = statement.where(budgets.c.period == period)
    return statement.returning(budgets.c.scope)


def spend(budget: Budget) -> Write:
    """Keep that a budget, as long as its limits are these, was said to be spent."""
    limits = {"money_nano": budget.money, "tokens": budget.tokens, "seconds": budget.seconds}
    same = [budgets.c[name].is_not_distinct_from(value) for name, value in limits.items()]
    whose = (budgets.c.scope == budget.scope, budgets.c.period == budget.period)
    return update(budgets).where(*whose, *same).values(spent=now())


async def spent(store: Store, scope: Scope, period: Period) -> datetime | None:
    """When a budget was said to be spent; None where it was not, or is not kept."""
    found = await store.rows(select(budgets.c.spent).where(budgets.c.scope == scope, budgets.c.period == period))
    return found[0][0] if found else None


async def everything(store: Store) -> list[Budget]:
    """Every budget, by scope."""
    columns = (budgets.c.scope, budgets.c.period, budgets.c.money_nano, budgets.c.tokens, budgets.c.seconds)
    found = await store.rows(select(*columns).order_by(budgets.c.scope, budgets.c.period))
    return [
        Budget(Scope(scope), period, None if money is None else NanoUSD(money), tokens, seconds)
        for scope, period, money, tokens, seconds in found
    ]


def share(session: SessionId, of: Iterable[Scope]) -> list[Write]:
    """Keep what a new session shares, to sum by."""
    return [Prepared(_share(), {"scope": scope, "session": session}) for scope in of]


@cache
def _share() -> Insert:
    return insert(scopes)


async def used(
    store: Store,
    scope: Scope,
    since: datetime | None,
    working: Mapping[SessionId, float] = {},  # never changed
) -> Used:
    """What the sessions of a scope used.

    Args:
        store: the database.
        scope: whose.
        since: when the period began; None for all.
        working: sessions that work now, and for how many seconds: their open turns go on.
    """
    begin = since or _FIRST
    of_scope = scopes.c.scope == scope
    sums = select(
        func.coalesce(func.sum(calls.c.cost_nano), 0),
        func.coalesce(func.sum(calls.c.input_tokens + calls.c.output_tokens), 0),
    ).join_from(calls, scopes, calls.c.session == scopes.c.session)
    money, tokens = (await store.rows(sums.where(of_scope, calls.c.time >= begin)))[0]
    # A turn without an end was cut off with its server: the row of its session knows when it was last heard of.
    times = (
        select(turns.c.session, turns.c.started, turns.c.ended, turns.c.seconds, sessions.c.updated)
        .join_from(turns, scopes, turns.c.session == scopes.c.session)
        .join(sessions, turns.c.session == sessions.c.id)
        .where(of_scope, func.coalesce(turns.c.ended, sessions.c.updated) >= begin)
        .order_by(turns.c.started)
    )
    spans: list[tuple[datetime, datetime]] = []
    alone: defaultdict[SessionId, float] = defaultdict(float)
    for session, started, ended, seconds, heard in await store.rows(times):
        took = seconds if ended is not None else working.get(session)
        end = (ended or heard) if took is None else started + timedelta(seconds=took)
        spans.append((max(started, begin), end))
        alone[session] += max(0.0, (end - spans[-1][0]).total_seconds())
    # turns of one session never overlap: where they seem to, the clock was set back between them
    return Used(NanoUSD(int(money)), int(tokens), max([_covered(spans), *alone.values()]))


def _covered(spans: Iterable[tuple[datetime, datetime]]) -> float:
    """Seconds that at least one of the spans covers; they come by their beginning."""
    total, reached = timedelta(), _FIRST
    for begin, end in spans:
        if end > reached:
            total += end - max(begin, reached)
            reached = end
    return total.total_seconds()
