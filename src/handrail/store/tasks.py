"""Tasks: one repository's part of a run each. A task is where it is by its row alone: state, step, results, epoch.

Whoever carries a task forward claims it first, which raises its epoch; every later write names that epoch, so that a
worker that was stopped and wakes up finds nothing to change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypedDict, Unpack

from msgspec import Struct
from sqlalchemy import Insert, Select, Update, bindparam, exists, func, or_, select
from sqlalchemy import insert as sql_insert
from sqlalchemy import update as sql_update

from handrail.automation import Step, TaskState
from handrail.clock import JUMP
from handrail.errors import InvalidInput, NotFound
from handrail.store.automation import run_events, tasks
from handrail.store.engine import Store
from handrail.store.log import Prepared, Write
from handrail.store.rows import as_values, every, first
from handrail.store.tables import sessions
from handrail.types import Control, Json, Outcome, RunId, ServerId, SessionId, TaskId


class TaskRow(Struct, frozen=True, kw_only=True):
    """One task. Money is nano-dollars."""

    id: TaskId
    run: RunId
    position: int
    repository: str
    created: datetime
    ref: str | None = None
    state: TaskState = TaskState.QUEUED
    step: Step = Step.PREPARE
    results: Json
    """step → what it gave, written before the next step begins"""
    session: SessionId | None = None
    outcome: Outcome | None = None
    cause: str | None = None
    reason: str | None = None
    likeness: str | None = None
    """the same for tasks that ended alike"""
    attempt: int = 1
    due: datetime | None = None
    """a parked task goes on then by itself"""
    deadline: datetime | None = None
    """unless its change is there by then, the task is given up"""
    cost_nano: int = 0
    epoch: int = 0
    server: ServerId | None = None
    """who carries it; None until it is begun"""
    started: datetime | None = None
    ended: datetime | None = None


class TaskChanges(TypedDict, total=False):
    """The columns of a task that can change."""

    state: TaskState
    step: Step
    results: Json
    session: SessionId | None
    outcome: Outcome | None
    cause: str | None
    reason: str | None
    likeness: str | None
    attempt: int
    due: datetime | None
    deadline: datetime | None
    cost_nano: int
    epoch: int
    server: ServerId | None
    started: datetime | None
    ended: datetime | None


_NAMES = TaskRow.__struct_fields__
# what each task is asked and told again and again is built once, when it is needed first: to build a statement takes
# longer than to carry it out


def insert(row: TaskRow) -> Write:
    """Keep a new task."""
    return Prepared(_insert(), {name: getattr(row, name) for name in _NAMES})


@cache
def _insert() -> Insert:
    return sql_insert(tasks)


def move(row: TaskRow, to: ServerId | None, /, **changes: Unpack[TaskChanges]) -> Write:
    """Give a task to another server, if nobody has claimed it since; nothing happens otherwise."""
    statement = sql_update(tasks).where(tasks.c.id == row.id, tasks.c.epoch == row.epoch)
    return statement.values(**{**changes, "epoch": row.epoch + 1, "server": to})


def update(task: TaskId, held: int, /, **changes: Unpack[TaskChanges]) -> Write:
    """Guard: change columns of a task whose epoch is `held` still: nobody else has claimed it since."""
    return Prepared(_update(), {"of_task": task, "held": held, **changes})


@cache
def _update() -> Update:
    held = (tasks.c.id == bindparam("of_task"), tasks.c.epoch == bindparam("held"))
    return sql_update(tasks).where(*held).returning(tasks.c.id)


async def get(store: Store, task: TaskId) -> TaskRow:
    """One task.

    Raises:
        NotFound: there is none of that id.
    """
    found = await first(store, TaskRow, Prepared(_get(), {"of_task": task}))
    if found is None:
        raise NotFound(f"there is no task {task!r}")
    return found


@cache
def _get() -> Select[*tuple[object, ...]]:
    return select(tasks).where(tasks.c.id == bindparam("of_task"))


async def find(store: Store, word: str) -> TaskRow:
    """The task that a person means, by its id or a beginning of it that fits no other.

    Raises:
        NotFound: none fits.
        InvalidInput: several fit.
    """
    exact = await first(store, TaskRow, Prepared(_get(), {"of_task": word}))
    if exact is not None:
        return exact
    begins = select(tasks).where(tasks.c.id.startswith(word, autoescape=True)).order_by(tasks.c.id).limit(6)
    found = [row for row in await every(store, TaskRow, begins) if word and row.id.startswith(word)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"there is no task {word!r}")
    raise InvalidInput(
        "task", word, f"several begin so ({', '.join(row.id for row in found[:5])}); give more of the id"
    )


async def of_run(store: Store, run: RunId) -> list[TaskRow]:
    """The tasks of a run, in the order of its plan."""
    return await every(store, TaskRow, Prepared(_of_run(), {"of_run": run}))


@cache
def _of_run() -> Select[*tuple[object, ...]]:
    return select(tasks).where(tasks.c.run == bindparam("of_run")).order_by(tasks.c.position)


class Standing(Struct, frozen=True):
    """How far a run is, without a row of each of its tasks: there may be hundreds, and each that ends is looked at.

    Args:
        counts: its tasks by state and outcome.
        canaries: whether one of the first tasks, as many as were asked about, has not ended.
        waiting: the queued tasks that may begin, in order: all that had begun before, and the first of the others.
    """

    counts: Mapping[tuple[TaskState, Outcome | None], int]
    canaries: bool
    waiting: tuple[TaskRow, ...]

    def count(self, *states: TaskState) -> int:
        """How many tasks are in one of these states; in any where none is named."""
        return sum(number for (state, _), number in self.counts.items() if not states or state in states)


async def standing(store: Store, run: RunId, *, most: int, canaries: int) -> Standing:
    """How far a run is.

    Args:
        store: where it is.
        run: which.
        most: tasks that had not begun before, at the most.
        canaries: how many tasks are its first.
    """
    # in this order: what ends, or is parked and queued again, between the two is counted as what it was before
    tally, rows = await store.at_once(
        Prepared(_tally(), {"of_run": run, "first": canaries}), Prepared(_may_begin(), {"of_run": run, "most": most})
    )
    counts: dict[tuple[TaskState, Outcome | None], int] = {}
    for state, outcome, _, number in tally:
        counts[state, outcome] = counts.get((state, outcome), 0) + number
    open_ = any(early and state is not TaskState.ENDED for state, _, early, _ in tally)
    return Standing(counts, open_, tuple(as_values(TaskRow, rows)))


@cache
def _tally() -> Select[*tuple[Any, ...]]:
    c = tasks.c
    early = (c.position < bindparam("first")).label("early")
    return select(c.state, c.outcome, early, func.count()).where(c.run == bindparam("of_run")).group_by(
        c.state, c.outcome, early
    )  # fmt: skip


@cache
def _may_begin() -> Select[*tuple[object, ...]]:
    c = tasks.c
    queued = (c.run == bindparam("of_run"), c.state == TaskState.QUEUED)
    first = select(c.position).where(*queued, c.started.is_(None)).order_by(c.position).limit(bindparam("most"))
    mine = or_(c.started.is_not(None), c.position.in_(first))
    return select(tasks).where(*queued, mine).order_by(c.position)


async def at_work(store: Store) -> list[tuple[TaskId, str, str]]:
    """Every running task with the agent and provider of its session."""
    statement = (
        select(tasks.c.id, sessions.c.agent, func.coalesce(sessions.c.provider, ""))
        .join(sessions, sessions.c.id == tasks.c.session)
        .where(tasks.c.state == TaskState.RUNNING)
    )
    return [(row[0], row[1], row[2]) for row in await store.rows(statement)]


async def of_session(store: Store, session: SessionId) -> TaskRow | None:
    """The task whose work a session is."""
    return await first(store, TaskRow, Prepared(_of_session(), {"of_session": session}))


@cache
def _of_session() -> Select[*tuple[object, ...]]:
    return select(tasks).where(tasks.c.session == bindparam("of_session"))


async def in_state(store: Store, *states: TaskState) -> list[TaskRow]:
    """Every task of this server in one of these states, the oldest first."""
    wanted = select(tasks).where(tasks.c.server == store.server, tasks.c.state.in_(states))
    return await every(store, TaskRow, wanted.order_by(tasks.c.created))


async def worked_out(store: Store) -> list[TaskRow]:
    """Tasks of this server at work whose session has come to an outcome, or was taken in hand by a person."""
    return await every(store, TaskRow, Prepared(_worked_out(), {"here": store.server}))


@cache
def _worked_out() -> Select[*tuple[object, ...]]:
    return (
        select(tasks)
        .join(sessions, sessions.c.id == tasks.c.session)
        .where(tasks.c.server == bindparam("here"), tasks.c.state == TaskState.RUNNING, tasks.c.step == Step.WORK)
        .where(sessions.c.outcome.is_not(None) | (sessions.c.control == Control.YOU))
    )


async def due(store: Store, at: datetime) -> list[TaskRow]:
    """Parked tasks of this server that go on by themselves by `at`.

    And those that were set aside far after `at`: the clock was ahead then, and was set right since.
    """
    parked = (tasks.c.server == store.server, tasks.c.state == TaskState.PARKED, tasks.c.due.is_not(None))
    told, time = run_events.c, run_events.c.time
    ahead = exists().where(told.run == tasks.c.run, told.task == tasks.c.id, time > at + JUMP, time <= tasks.c.due)
    return await every(store, TaskRow, select(tasks).where(*parked, or_(tasks.c.due <= at, ahead)))


_WORKING = (
    tasks.c.state.in_([TaskState.QUEUED, TaskState.RUNNING, TaskState.PARKED]),
    tasks.c.step.in_([Step.PREPARE, Step.WORK]),
)
"""tasks that a deadline holds for: what waits for people waits as long as they need"""


async def overdue(store: Store, at: datetime) -> list[TaskRow]:
    """Tasks of this server whose change is not there by their deadline."""
    late = (tasks.c.server == store.server, *_WORKING, tasks.c.deadline <= at)
    return await every(store, TaskRow, select(tasks).where(*late))


async def outlook(store: Store) -> tuple[datetime | None, bool]:
    """When the next task of this server goes on by itself, or is given up, if any does; and whether one is at work."""
    *moments, running = (await store.rows(Prepared(_outlook(), {"here": store.server})))[0]
    return min((moment for moment in moments if moment is not None), default=None), bool(running)


@cache
def _outlook() -> Select[*tuple[object, ...]]:
    mine = tasks.c.server == bindparam("here")
    goes_on = select(func.min(tasks.c.due)).where(mine, tasks.c.state == TaskState.PARKED)
    given_up = select(func.min(tasks.c.deadline)).where(mine, *_WORKING)
    at_work = select(func.count()).where(mine, tasks.c.state == TaskState.RUNNING)
    return select(goes_on.scalar_subquery(), given_up.scalar_subquery(), at_work.scalar_subquery())


async def counts(store: Store, of: Sequence[RunId]) -> dict[RunId, dict[tuple[TaskState, Outcome | None], int]]:
    """How many tasks of each run are in each state, with each outcome."""
    found: dict[RunId, dict[tuple[TaskState, Outcome | None], int]] = {run: {} for run in of}
    for run, state, outcome, number in await store.rows(Prepared(_counts(), {"those": of})) if of else ():
        found[run][state, outcome] = number
    return found


@cache
def _counts() -> Select[*tuple[Any, ...]]:
    c = tasks.c
    those = c.run.in_(bindparam("those", expanding=True))
    return select(c.run, c.state, c.outcome, func.count()).where(those).group_by(c.run, c.state, c.outcome)
