"""Runs and their tasks: look, cancel, run again, go on, take in hand and give back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from handrail.automation import RunState, TaskState
from handrail.commands import unseen, values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import Conflict, NotFound
from handrail.runs import plan as plans
from handrail.runs import results, spending
from handrail.runs.hands import stranded
from handrail.runs.likeness import Group, grouped
from handrail.runs.plan import Plan
from handrail.runs.results import Made
from handrail.runs.spread import stage_of
from handrail.store import effects as effect_rows
from handrail.store import runs as rows
from handrail.store import servers
from handrail.store import sessions as session_rows
from handrail.store import tasks as task_rows
from handrail.store.calls import Totals
from handrail.store.effects import EffectRow
from handrail.store.runs import RunEvent, RunRow
from handrail.store.servers import ServerRow
from handrail.store.tasks import TaskRow
from handrail.types import Outcome, RunId, ServerId, SessionId

MOST_RUNS = 1000
MOST_LINES = 2000

RowT = TypeVar("RowT", RunRow, TaskRow)
Counts = Mapping[tuple[TaskState, Outcome | None], int]


class Listed(Struct, frozen=True):
    """A run in a list."""

    row: RunRow
    counts: Counts
    unpriced: int = 0
    """calls whose price nobody knows: what it cost is more than the row says"""


class Task(Struct, frozen=True):
    """A task, with what it made and what it did outside."""

    row: TaskRow
    stage: str
    made: Made
    effects: tuple[EffectRow, ...]
    unpriced: int = 0
    away: ServerRow | None = None
    """the server that has its workspace, where that is not heard of any more and a person is waited for"""


class Shown(Struct, frozen=True):
    """A run with all of its tasks."""

    row: RunRow
    plan: Plan
    tasks: tuple[Task, ...]
    groups: tuple[Group, ...]
    unpriced: int = 0


async def listed(
    desk: Desk, actor: Actor, *, workflow: str | None = None, state: str | None = None, limit: int = 100
) -> list[Listed]:
    """Runs, newest first."""
    authorise(actor, Permission.RUNS_READ)
    states = () if state is None else (values.choice("state", state, RunState),)
    count = values.count("limit", limit, MOST_RUNS)
    found = await rows.newest(desk.store, workflow=workflow, states=states, limit=count, by=actor.only)
    return await _all(desk, found)


async def these(desk: Desk, of: Sequence[RunId]) -> list[Listed]:
    """Runs that were found, newest first."""
    return await _all(desk, await rows.those(desk.store, of))


async def show(desk: Desk, actor: Actor, word: str) -> Shown:
    """One run, by its id, number, a unique beginning of its id, or `last`.

    Raises:
        NotFound: none fits.
        InvalidInput: several fit.
    """
    authorise(actor, Permission.RUNS_READ)
    row = await rows.find(desk.store, word)
    tasks = await task_rows.of_run(desk.store, row.id)
    effects = await effect_rows.of_run(desk.store, row.id)
    plan = plans.from_json(row.plan)
    spent = await spending.of_tasks(desk.store, row.id)
    silent = await servers.silent(desk.store, desk.config.server_dead)
    shown = tuple(_task(task, plan, effects, spent.get(task.id, Totals()), silent) for task in tasks)
    of_run = (await spending.of_runs(desk.store, [row.id]))[row.id]
    return Shown(_costing(row, of_run), plan, shown, tuple(grouped(tasks)), of_run.unpriced)


async def task(desk: Desk, actor: Actor, word: str) -> Task:
    """One task.

    Raises:
        NotFound: none fits.
    """
    authorise(actor, Permission.RUNS_READ)
    row = await task_rows.find(desk.store, word)
    plan = plans.from_json((await rows.get(desk.store, row.run)).plan)
    spent = (await spending.of_tasks(desk.store, row.run)).get(row.id, Totals())
    silent = await servers.silent(desk.store, desk.config.server_dead)
    return _task(row, plan, await effect_rows.of_task(desk.store, row.id), spent, silent)


async def events(desk: Desk, actor: Actor, word: str, *, after: int = 0, limit: int = 500) -> list[RunEvent]:
    """What happened in a run, in order."""
    authorise(actor, Permission.RUNS_READ)
    run = await rows.find(desk.store, word)
    return await rows.events(desk.store, run.id, after, values.count("limit", limit, MOST_LINES))


async def cancel(desk: Desk, actor: Actor, word: str) -> Listed:
    """End a run: its agents end within seconds, what was made is kept, what was delivered stays delivered.

    Raises:
        Conflict: it has ended.
    """
    authorise(actor, Permission.RUNS_WRITE)
    run = (await rows.find(desk.store, word)).id
    await desk.runs.cancel(run, actor.name)
    return await _listed(desk, run)


async def rerun(desk: Desk, actor: Actor, word: str, *, failed: bool) -> Listed:
    """Begin a new run of the same plan; with `failed` only of the repositories that did not succeed.

    Raises:
        Conflict: none failed.
    """
    authorise(actor, Permission.RUNS_WRITE)
    row = await rows.find(desk.store, word)
    begun = await desk.runs.rerun(row.id, actor.name, failed=failed)
    await unseen.note_run(desk, actor, row)
    return await _listed(desk, begun)


async def resume(desk: Desk, actor: Actor, word: str, *, failed: bool, step: str | None) -> Listed:
    """Go on with a run that stopped itself; with `failed` also with its tasks that failed, from `step` on.

    With `failed`, what waits for a person on a server that is not heard of is begun again, on any other.

    Raises:
        Conflict: nothing waits to go on.
    """
    authorise(actor, Permission.RUNS_WRITE)
    run = (await rows.find(desk.store, word)).id
    await desk.runs.resume(run, actor.name, failed=failed, step=step)
    return await _listed(desk, run)


async def take(desk: Desk, actor: Actor, word: str) -> SessionId:
    """Take a task in hand: its session is yours, with all that is in it, and its run does not end meanwhile.

    Raises:
        Conflict: it has not begun.
    """
    authorise(actor, Permission.RUNS_WRITE)
    authorise(actor, Permission.SESSIONS_WRITE)
    return await desk.runs.take((await task_rows.find(desk.store, word)).id, actor.name)


async def give_back(desk: Desk, actor: Actor, word: str) -> SessionId:
    """Hand a taken task back, by its id or its session's: the agent goes on towards the goal of the task.

    Raises:
        Conflict: nobody has taken it.
    """
    authorise(actor, Permission.RUNS_WRITE)
    authorise(actor, Permission.SESSIONS_WRITE)
    row = await _taken(desk, word)
    session = row.session
    if row.state is not TaskState.TAKEN or session is None:
        raise Conflict(f"task {row.id} is {row.state}: nobody has taken it")
    goal = (await session_rows.get(desk.store, session)).goal
    if goal is None:
        raise Conflict(f"session {session} has no goal to go on with: give one with --goal")
    await desk.sessions.handoff(session, goal, actor.name)
    await desk.runs.give_back(row.id, actor.name)
    return session


async def of_session(desk: Desk, session: SessionId) -> TaskRow | None:
    """The task whose work a session is, where it is one's."""
    return await task_rows.of_session(desk.store, session)


async def _taken(desk: Desk, word: str) -> TaskRow:
    try:
        return await task_rows.find(desk.store, word)
    except NotFound:
        session = await session_rows.find(desk.store, word)
        row = await task_rows.of_session(desk.store, session.id)
        if row is None:
            raise Conflict(f"session {session.id} belongs to no task: give a goal with --goal") from None
        return row


async def _all(desk: Desk, found: Sequence[RunRow]) -> list[Listed]:
    of = [row.id for row in found]
    counts, spent = await task_rows.counts(desk.store, of), await spending.of_runs(desk.store, of)
    return [Listed(_costing(row, spent[row.id]), counts[row.id], spent[row.id].unpriced) for row in found]


async def _listed(desk: Desk, run: RunId) -> Listed:
    spent = (await spending.of_runs(desk.store, [run]))[run]
    row = _costing(await rows.get(desk.store, run), spent)
    return Listed(row, (await task_rows.counts(desk.store, [run]))[run], spent.unpriced)


def _task(
    row: TaskRow, plan: Plan, effects: Sequence[EffectRow], spent: Totals, silent: Mapping[ServerId, ServerRow]
) -> Task:
    own = tuple(effect for effect in effects if effect.task == row.id)
    away = silent[row.server] if row.server is not None and stranded(row, silent) else None
    return Task(_costing(row, spent), stage_of(plan, row).name, results.change(row), own, spent.unpriced, away)


def _costing(row: RowT, spent: Totals) -> RowT:
    """A run or task with what it has cost so far; its own row knows that only when it has ended."""
    return replace(row, cost_nano=max(row.cost_nano, spent.cost_nano))
