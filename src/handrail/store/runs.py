"""Runs: one execution of a workflow each, with the whole plan that it was started with, and their events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypedDict, Unpack

from msgspec import Struct
from sqlalchemy import ColumnElement, Insert, Select, and_, bindparam, exists, func, select
from sqlalchemy import insert as sql_insert
from sqlalchemy import update as sql_update

from handrail.automation import RunState, TaskState, TriggerKind, Trust
from handrail.errors import InvalidInput, NotFound
from handrail.store.automation import run_events, runs, tasks
from handrail.store.engine import Store
from handrail.store.log import Prepared, Write
from handrail.store.rows import every, first
from handrail.types import ArrivalId, Json, Outcome, RunId, ServerId, TaskId, now

LAST = "last"
"""what a person says for the newest run"""


class RunRow(Struct, frozen=True, kw_only=True):
    """One run. Money is nano-dollars."""

    id: RunId
    number: int
    workflow: str
    version: str
    trigger: TriggerKind
    plan: Json
    by: str
    trust: Trust
    created: datetime
    key: str | None = None
    """one run for one cause"""
    arrival: ArrivalId | None = None
    due: datetime | None = None
    inputs: Json
    state: RunState = RunState.RUNNING
    outcome: Outcome | None = None
    reason: str | None = None
    seen: datetime | None = None
    """when a person said that they know how it ended, or that it stopped"""
    cost_nano: int = 0
    epoch: int = 0
    server: ServerId | None = None
    """who begins its tasks and ends it"""
    started: datetime | None = None
    ended: datetime | None = None


class RunChanges(TypedDict, total=False):
    """The columns of a run that can change."""

    state: RunState
    plan: Json
    outcome: Outcome | None
    reason: str | None
    seen: datetime | None
    cost_nano: int
    started: datetime | None
    ended: datetime | None


class RunEvent(Struct, frozen=True):
    """One line of what happened in a run. `seq` counts from 1."""

    run: RunId
    seq: int
    time: datetime
    task: TaskId | None
    kind: str
    data: Json


class Traits(Struct, frozen=True):
    """What runs are found by: a run without its plan. `agent` and `model` are those of its first stage."""

    id: RunId
    workflow: str
    state: RunState
    outcome: Outcome | None
    trigger: TriggerKind
    by: str
    created: datetime
    agent: str | None
    model: str | None


_NAMES = RunRow.__struct_fields__


def insert(row: RunRow) -> Write:
    """Keep a new run; it gets the next number, whatever the row says. A taken key is a Conflict."""
    values = {name: getattr(row, name) for name in _NAMES}
    following = select(func.coalesce(func.max(runs.c.number), 0) + 1).scalar_subquery()
    return sql_insert(runs).values(values | {"number": following})


def update(run: RunId, *of: RunState, **changes: Unpack[RunChanges]) -> Write:
    """Guard: change columns of a run that is in one of the states `of` (any, where none is named)."""
    statement = sql_update(runs).where(runs.c.id == run)
    if of:
        statement = statement.where(runs.c.state.in_(of))
    return statement.values(**changes).returning(runs.c.id)


def end(run: RunId, **changes: Unpack[RunChanges]) -> Write:
    """Guard: change a run that is running and has no task that goes on."""
    open_tasks = exists().where(tasks.c.run == run, tasks.c.state != TaskState.ENDED)
    statement = sql_update(runs).where(runs.c.id == run, runs.c.state == RunState.RUNNING, ~open_tasks)
    return statement.values(state=RunState.ENDED, **changes).returning(runs.c.id)


def move(run: RunRow, server: ServerId) -> Write:
    """Guard: another server goes on with a run, if it is where it was."""
    statement = sql_update(runs).where(runs.c.id == run.id, runs.c.server == run.server, runs.c.epoch == run.epoch)
    return statement.values(server=server, epoch=run.epoch + 1).returning(runs.c.id)


@cache
def _told() -> Insert:
    c = run_events.c
    seq = select(func.coalesce(func.max(c.seq), 0) + 1).where(c.run == bindparam("of_run")).scalar_subquery()
    names = ("run", "time", "task", "kind", "data")
    columns = [seq, *(bindparam(name, type_=c[name].type) for name in names)]
    return sql_insert(run_events).from_select(["seq", *names], select(*columns))


def told(run: RunId, kind: str, data: Json, task: TaskId | None = None) -> Write:
    """Add a line to what happened in a run."""
    values = {"of_run": run, "run": run, "time": now(), "task": task, "kind": kind, "data": data}
    return Prepared(_told(), values)


async def events(store: Store, run: RunId, after: int = 0, limit: int = 1000) -> list[RunEvent]:
    """What happened in a run, in order."""
    statement = select(run_events).where(run_events.c.run == run, run_events.c.seq > after)
    return await every(store, RunEvent, statement.order_by(run_events.c.seq).limit(limit))


async def get(store: Store, run: RunId) -> RunRow:
    """One run.

    Raises:
        NotFound: there is none of that id.
    """
    found = await first(store, RunRow, Prepared(_get(), {"of_run": run}))
    if found is None:
        raise NotFound(f"there is no run {run!r}")
    return found


@cache
def _get() -> Select[*tuple[object, ...]]:
    return select(runs).where(runs.c.id == bindparam("of_run"))


async def by_key(store: Store, key: str) -> RunRow | None:
    """The run that was started for one cause."""
    return await first(store, RunRow, select(runs).where(runs.c.key == key))


async def find(store: Store, word: str) -> RunRow:
    """The run that a person means: by its id, its number, a beginning of its id that fits no other, or `last`.

    Raises:
        NotFound: none fits.
        InvalidInput: several fit.
    """
    exact = await first(store, RunRow, Prepared(_get(), {"of_run": word}))
    if exact is not None:
        return exact
    newest_first = select(runs).order_by(runs.c.number.desc())
    if word == LAST:
        found = await every(store, RunRow, newest_first.limit(1))
    elif word.isascii() and word.isdigit() and len(word) < 18:  # a 64-bit integer holds it
        found = await every(store, RunRow, newest_first.where(runs.c.number == int(word)))
    else:
        begins = newest_first.where(runs.c.id.startswith(word, autoescape=True)).limit(6)
        found = [row for row in await every(store, RunRow, begins) if word and row.id.startswith(word)]
    if len(found) > 1:
        raise InvalidInput("run", word, f"several begin so ({', '.join(row.id for row in found[:5])}); give more")
    if not found:
        raise NotFound("there is no run yet" if word == LAST else f"there is no run {word!r}")
    return found[0]


async def newest(
    store: Store,
    *,
    workflow: str | None = None,
    states: Sequence[RunState] = (),
    triggers: Sequence[TriggerKind] = (),
    limit: int = 100,
    by: str | None = None,
) -> list[RunRow]:
    """Runs, newest first; only those that one person started, where `by` names them."""
    wanted: list[ColumnElement[bool]] = [] if by is None else [runs.c.by == by]
    if triggers:
        wanted.append(runs.c.trigger.in_(triggers))
    if workflow is not None:
        wanted.append(runs.c.workflow == workflow)
    if states:
        wanted.append(runs.c.state.in_(states))
    return await every(
        store, RunRow, select(runs).where(and_(True, *wanted)).order_by(runs.c.number.desc()).limit(limit)
    )


async def in_state(store: Store, *states: RunState, server: ServerId | None = None) -> list[RunRow]:
    """Every run of a server (None: of this one) in one of these states, the oldest first."""
    of = runs.c.server == (server or store.server)
    return await every(store, RunRow, select(runs).where(of, runs.c.state.in_(states)).order_by(runs.c.number))


async def traits(store: Store, limit: int, by: str | None = None, workflow: str | None = None) -> list[Traits]:
    """The newest runs by what they are found by, newest first; of one person or workflow, where one is named."""
    given = {"of_person": by, "of_workflow": workflow, "most": limit}
    values = {name: value for name, value in given.items() if value is not None}
    return await every(store, Traits, Prepared(_traits(by is not None, workflow is not None), values))


@cache
def _traits(of_one: bool, of_workflow: bool) -> Select[*tuple[object, ...]]:
    c = runs.c
    # step by step: a path as one value is text for PostgreSQL, which wants an array there
    of_first = [c.plan["stages"][0][name].as_string().label(name) for name in ("agent", "model")]
    statement = select(c.id, c.workflow, c.state, c.outcome, c.trigger, c.by, c.created, *of_first)
    if of_one:
        statement = statement.where(c.by == bindparam("of_person"))
    if of_workflow:
        statement = statement.where(c.workflow == bindparam("of_workflow"))
    return statement.order_by(c.number.desc()).limit(bindparam("most"))


async def repositories(store: Store, of: Sequence[RunId]) -> dict[RunId, set[str]]:
    """The repositories of each of these runs."""
    found: dict[RunId, set[str]] = {run: set() for run in of}
    for run, repository in await store.rows(Prepared(_repositories(), {"those": of})) if of else ():
        found[run].add(repository)
    return found


@cache
def _repositories() -> Select[*tuple[Any, ...]]:
    those = tasks.c.run.in_(bindparam("those", expanding=True))
    return select(tasks.c.run, tasks.c.repository).where(those).distinct()


async def those(store: Store, of: Sequence[RunId]) -> list[RunRow]:
    """These runs, newest first."""
    return await every(store, RunRow, Prepared(_those(), {"those": of})) if of else []


@cache
def _those() -> Select[*tuple[object, ...]]:
    those = runs.c.id.in_(bindparam("those", expanding=True))
    return select(runs).where(those).order_by(runs.c.number.desc())
