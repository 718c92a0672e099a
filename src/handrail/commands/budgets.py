"""Budgets of what sessions share, the user's own prices, and what was spent."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from msgspec import Struct

from handrail.commands import values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import InvalidInput, NotFound
from handrail.gateway.prices import Price, Prices
from handrail.sessions import budgets
from handrail.store import budgets as rows
from handrail.store import calls
from handrail.store import prices as price_rows
from handrail.store.calls import Spend
from handrail.store.engine import Store
from handrail.store.prices import PriceRow
from handrail.types import Budget, Period, Used, now

MOST_TOKENS = 10**15
MOST_SECONDS = 10 * 366 * 86_400.0
_MOST_PRICE = Decimal(1_000_000)
PACE = 7
"""days whose mean the forecast goes on with"""
_MODEL = re.compile(r"[^\x00-\x20\x7f]{1,200}")


class Shown(Struct, frozen=True):
    """A budget and what is used of it in the period under way."""

    budget: Budget
    used: Used
    spent: bool = False
    """no call leaves any more, until it is set anew or its next period begins"""


class Forecast(Struct, frozen=True):
    """What a month comes to, in nano-dollars: spent so far, the pace of a day, and what is expected at its end."""

    month: int
    pace: int
    expected: int


async def listed(desk: Desk, actor: Actor) -> list[Shown]:
    """Every budget, by scope; a member sees their own."""
    authorise(actor, Permission.SESSIONS_READ)
    found = await rows.everything(desk.store)
    own = f"member:{actor.name}"
    return [_shown(desk, budget) for budget in found if actor.only is None or budget.scope == own]


async def put(
    desk: Desk,
    actor: Actor,
    scope: str,
    *,
    period: str = "total",
    money: str | None = None,
    tokens: int | None = None,
    seconds: float | None = None,
) -> Shown:
    """Bind a scope, in place of its budget of that period; what it used before counts.

    Raises:
        InvalidInput: a value cannot be used.
    """
    authorise(actor, Permission.BUDGETS_WRITE)
    budget = Budget(
        budgets.scope("scope", scope),
        values.choice("period", period, Period),
        None if money is None else values.money("money_usd", money),
        None if tokens is None else values.count("tokens", tokens, MOST_TOKENS),
        None if seconds is None else values.duration("seconds", seconds, MOST_SECONDS),
    )
    if budget.money is None and budget.tokens is None and budget.seconds is None:
        raise InvalidInput("budget", scope, "give a limit of money, tokens or time")
    await budgets.put(desk.store, desk.gateway, budget)
    return _shown(desk, budget)


async def remove(desk: Desk, actor: Actor, scope: str, period: str | None = None) -> None:
    """Unbind a scope, or one period of it.

    Raises:
        NotFound: it has no such budget.
    """
    authorise(actor, Permission.BUDGETS_WRITE)
    span = None if period is None else values.choice("period", period, Period)
    await budgets.remove(desk.store, desk.gateway, budgets.scope("scope", scope), span)


async def spend(desk: Desk, actor: Actor) -> Spend:
    """What was spent, in all, by model, session, scope and day."""
    authorise(actor, Permission.SESSIONS_READ)
    return await calls.spend(desk.store, actor.only)


def forecast(spent: Spend, today: date) -> Forecast | None:
    """What this month comes to at the pace of the last days; None while nothing was spent in them.

    The pace is that of the `PACE` whole days before today, or of as many as there are since the first call: a month
    that began yesterday is not judged by one morning.
    """
    first = min((date.fromisoformat(day) for day in spent.by_day), default=today)
    days = min(PACE, (today - first).days)
    if days < 1:
        return None
    recent = [(today - timedelta(days=back)).isoformat() for back in range(1, days + 1)]
    pace = sum(spent.by_day[day].cost_nano for day in recent if day in spent.by_day) // days
    month = sum(sums.cost_nano for day, sums in spent.by_day.items() if day[:7] == today.isoformat()[:7])
    left = monthrange(today.year, today.month)[1] - today.day
    return Forecast(month, pace, month + pace * left) if pace or month else None


async def prices(desk: Desk, actor: Actor) -> list[PriceRow]:
    """The user's own prices, by model."""
    authorise(actor, Permission.PROVIDERS_READ)
    return await price_rows.everything(desk.store)


async def put_price(desk: Desk, actor: Actor, model: str, figures: Mapping[str, str | None]) -> PriceRow:
    """Say what a model costs; it holds from the next call on.

    Args:
        desk: the rooms.
        actor: who asks.
        model: its name, or `provider/name`; `*` stands for anything.
        figures: US dollars for a million tokens of `input`, `output`, `cached` and `cache_written`, as decimal text;
            the last two may be missing and then cost what input does.

    Raises:
        InvalidInput: a value cannot be used.
    """
    authorise(actor, Permission.PROVIDERS_WRITE)
    if not _MODEL.fullmatch(model):
        raise InvalidInput("model", model, "give a model's name, or provider/name, without blanks")
    given = {name: _price(name, value) for name, value in figures.items() if value is not None}
    for name in ("input", "output"):
        if name not in given:
            raise InvalidInput(name, None, "give US dollars for a million tokens")
    row = PriceRow(model, given["input"], given["output"], given.get("cached"), given.get("cache_written"), now())
    await desk.store.log.write(*price_rows.put(row))
    await load_prices(desk.store, desk.gateway.prices)
    return row


async def remove_price(desk: Desk, actor: Actor, model: str) -> None:
    """Forget a price of the user's own; the price list holds again.

    Raises:
        NotFound: there is none.
    """
    authorise(actor, Permission.PROVIDERS_WRITE)
    if model not in {row.model for row in await price_rows.everything(desk.store)}:
        raise NotFound(f"there is no price of your own for {model!r}")
    await desk.store.log.write(guard=price_rows.remove(model))
    await load_prices(desk.store, desk.gateway.prices)


async def load_prices(store: Store, prices_: Prices) -> None:
    """Let the user's own prices hold: full names before patterns, longer patterns before shorter ones."""
    found = await price_rows.everything(store)
    found.sort(key=lambda row: ("*" in row.model, -len(row.model), row.model))
    prices_.overrides = {
        row.model: Price(
            Decimal(row.input),
            Decimal(row.output),
            None if row.cached is None else Decimal(row.cached),
            None if row.cache_written is None else Decimal(row.cache_written),
        )
        for row in found
    }


def _shown(desk: Desk, budget: Budget) -> Shown:
    pot = desk.gateway.pots.find(budget.scope, budget.period)
    return Shown(budget, Used()) if pot is None else Shown(budget, pot.used, pot.full())


def _price(field: str, value: str) -> str:
    try:
        amount = Decimal(value.strip().removeprefix("$"))
    except InvalidOperation as error:
        raise InvalidInput(field, value, "give US dollars for a million tokens, such as 3 or 0.30") from error
    if not amount.is_finite() or not 0 <= amount <= _MOST_PRICE:
        raise InvalidInput(field, value, f"give US dollars for a million tokens, at most {_MOST_PRICE}")
    return format(amount, "f")
