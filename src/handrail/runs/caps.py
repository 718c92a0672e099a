"""Who pays for a run, and what its tasks may use up together: a budget of the scope `run:ID` while it is under way."""

from __future__ import annotations

import contextlib

from handrail.automation import TriggerKind
from handrail.errors import NotFound
from handrail.runs.plan import Plan
from handrail.runs.rooms import Rooms
from handrail.sessions import budgets
from handrail.store import budgets as budget_rows
from handrail.store import workflows
from handrail.store.engine import Store
from handrail.store.runs import RunRow
from handrail.types import ArrivalId, Budget, RunId, Scope


def event(arrival: ArrivalId) -> str:
    """By whom a run was started that an event started."""
    return f"event {arrival}"


def scope(run: RunId) -> Scope:
    """What the sessions of a run share."""
    return Scope(f"run:{run}")


async def scopes(store: Store, run: RunRow) -> tuple[Scope, ...]:
    """What a session of a run spends together with others: the run, its workflow, and the member who owns it.

    That is who started it; of one that a schedule or an event started, who kept the version of the workflow that runs.
    """
    owner = run.by
    if run.trigger is TriggerKind.SCHEDULE or (run.arrival is not None and run.by == event(run.arrival)):
        with contextlib.suppress(NotFound):
            owner = (await workflows.version(store, run.workflow, run.version)).by
    return scope(run.id), Scope(f"workflow:{run.workflow}"), Scope(f"member:{owner}")


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
