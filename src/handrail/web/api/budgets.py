"""Budgets, prices and money over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.commands import budgets
from handrail.commands.budgets import Shown
from handrail.store.prices import PriceRow
from handrail.types import Json
from handrail.web import views
from handrail.web.table import Call, Entry, Query

if TYPE_CHECKING:
    from handrail.web.bodies import BudgetBody, PriceBody


async def listed(call: Call) -> Json:
    """List budgets."""
    return {"budgets": [_budget(item) for item in await budgets.listed(call.desk, call.actor)]}


async def put(call: Call, body: BudgetBody) -> Json:
    """Set one."""
    return _budget(
        await budgets.put(
            call.desk,
            call.actor,
            call.path("scope"),
            period=body.period,
            money=body.money_usd,
            tokens=body.tokens,
            seconds=body.seconds,
        )
    )


async def remove(call: Call) -> Json:
    """Remove one."""
    await budgets.remove(call.desk, call.actor, call.path("scope"), call.text("period"))
    return {"name": call.path("scope"), "removed": True}


async def prices(call: Call) -> Json:
    """List prices."""
    return {"prices": [_price(row) for row in await budgets.prices(call.desk, call.actor)]}


async def put_price(call: Call, body: PriceBody) -> Json:
    """Set one."""
    return _price(await budgets.put_price(call.desk, call.actor, body.model, body.model_dump(exclude={"model"})))


async def remove_price(call: Call) -> Json:
    """Remove one."""
    model = call.text("model") or ""
    await budgets.remove_price(call.desk, call.actor, model)
    return {"name": model, "removed": True}


async def spend(call: Call) -> Json:
    """What was spent."""
    spent = await budgets.spend(call.desk, call.actor)
    return views.spend(spent)


def _budget(item: Shown) -> Json:
    budget, used = item.budget, item.used
    return {
        "scope": budget.scope,
        "period": budget.period,
        "money_nano": budget.money,
        "tokens": budget.tokens,
        "seconds": budget.seconds,
        "used_nano": used.money,
        "used_tokens": used.tokens,
        "used_seconds": round(used.seconds, 3),
        "spent": item.spent,
    }


def _price(row: PriceRow) -> Json:
    return {
        "model": row.model,
        "input": row.input,
        "output": row.output,
        "cached": row.cached,
        "cache_written": row.cache_written,
    }


_TAG = "budgets"
TABLE = (
    Entry("GET", "/budgets", _TAG, "List the budgets that sessions share, and what is used.", listed, "BudgetList"),
    Entry(
        "PUT", "/budgets/{scope}", _TAG, "Set what the sessions of a scope may use up together in a period.",
        put, "BudgetShown", body="BudgetBody", problems=(507,),
    ),
    Entry(
        "DELETE", "/budgets/{scope}", _TAG, "Remove the budgets of a scope, or the one of a period.",
        remove, "Removed", query=(Query("period", "string", "total, day, week or month; all where missing"),),
        problems=(404,),
    ),
    Entry("GET", "/prices", _TAG, "List the prices that you gave; they win over the price list.", prices, "PriceList"),
    Entry(
        "PUT", "/prices", _TAG, "Say what a model costs, in US dollars for a million tokens.",
        put_price, "PriceShown", body="PriceBody", problems=(507,),
    ),
    Entry(
        "DELETE", "/prices", _TAG, "Forget a price of your own.",
        remove_price, "Removed", query=(Query("model", "string", "whose price"),), problems=(404,),
    ),
    Entry("GET", "/spend", _TAG, "Show what was spent, in all, by model, session, scope and day.", spend, "Spend"),
)  # fmt: skip
