"""What all tasks of a run may use up together: a budget of the scope `run:ID`, as long as the run is under way."""

from __future__ import annotations

import contextlib

from handrail.errors import NotFound
from handrail.runs.plan import Plan
from handrail.runs.rooms import Rooms
from handrail.sessions import budgets
from handrail.store import budgets as budget_rows
from handrail.types import Budget, RunId, Scope


def scope(run: RunId) -> Scope:
    """What the sessions of a run share."""
    return Scope(f"run:{run}")


async def bind(rooms: Rooms, run: RunId, plan: Plan) -> None:
    """Bind a run by its limits, before its first session; a budget that a person has set for it goes before."""
    limits = plan.run_limits
    if limits.budget is None and limits.seconds is None:
        return
    of = scope(run)
    if any(budget.scope == of for budget in await budget_rows.everything(rooms.store)):
        return
    budget = Budget(of, money=limits.budget, seconds=limits.seconds)
    await budgets.put(rooms.store, rooms.sessions.gateway, budget)


async def release(rooms: Rooms, run: RunId) -> None:
    """Forget the budget of a run that has ended; what was used stays in the ledger."""
    with contextlib.suppress(NotFound):
        await budgets.remove(rooms.store, rooms.sessions.gateway, scope(run), None)
