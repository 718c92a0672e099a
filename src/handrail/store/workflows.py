"""Workflows, and every version of their files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache

from msgspec import Struct
from sqlalchemy import Select, bindparam, delete, func, literal, select
from sqlalchemy import insert as sql_insert
from sqlalchemy import update as sql_update

from handrail.automation import RunState, Trust
from handrail.errors import NotFound
from handrail.store.automation import runs, workflow_versions, workflows
from handrail.store.engine import Store
from handrail.store.log import Prepared, Write
from handrail.store.rows import every, first
from handrail.types import Json, Outcome


class WorkflowRow(Struct, frozen=True, kw_only=True):
    """One workflow."""

    name: str
    source: str
    """file, repository, gallery or session"""
    origin: str | None
    version: str
    """the version that a new run takes"""
    enabled: bool
    trust: Trust
    accepted: int = 0
    """results accepted in a row"""
    fell: str | None = None
    """why its trust fell the last time"""
    watermark: datetime | None = None
    """up to when the ticks of its schedules were decided"""
    created: datetime
    updated: datetime


class VersionRow(Struct, frozen=True, kw_only=True):
    """One version of a workflow's file; `number` counts from 1."""

    workflow: str
    version: str
    number: int
    text: str
    by: str
    created: datetime
    rehearsed: datetime | None
    scorecard: Json | None


class LastRun(Struct, frozen=True):
    """The newest run of a workflow."""

    workflow: str
    number: int
    state: RunState
    outcome: Outcome | None
    created: datetime


def insert(row: WorkflowRow) -> Write:
    """Guard: keep a new workflow; a Conflict where its name is taken."""
    values = {column.name: getattr(row, column.name) for column in workflows.columns}
    return sql_insert(workflows).values(values).returning(workflows.c.name)


def update(name: str, at: datetime, **changes: object) -> Write:
    """Guard: change columns of a workflow, if it is still there."""
    statement = sql_update(workflows).where(workflows.c.name == name)
    return statement.values(updated=at, **changes).returning(workflows.c.name)


def advance(row: WorkflowRow, watermark: datetime) -> Write:
    """Guard: move the watermark on, if nobody has moved it, changed the workflow or disabled it meanwhile."""
    same = (
        workflows.c.name == row.name,
        workflows.c.enabled,
        workflows.c.version == row.version,
        workflows.c.watermark == row.watermark,
    )
    return sql_update(workflows).where(*same).values(watermark=watermark).returning(workflows.c.name)


def trusted(name: str, held: Trust, to: Trust, at: datetime, fell: str | None) -> Write:
    """Guard: another level of trust for a workflow that has the level `held` still; it begins to count anew."""
    statement = sql_update(workflows).where(workflows.c.name == name, workflows.c.trust == held)
    return statement.values(trust=to, accepted=0, fell=fell, updated=at).returning(workflows.c.name)


def counted(name: str, *, accepted: bool) -> Write:
    """One more result of a workflow: accepted, or one after which it begins to count anew."""
    number = workflows.c.accepted + 1 if accepted else 0
    return sql_update(workflows).where(workflows.c.name == name).values(accepted=number)


async def find(store: Store, name: str) -> WorkflowRow | None:
    """One workflow, if it is still there."""
    return await first(store, WorkflowRow, Prepared(_find(), {"of_name": name}))


@cache
def _find() -> Select[*tuple[object, ...]]:
    return select(workflows).where(workflows.c.name == bindparam("of_name"))


def rehearsed(workflow: str, version: str, scorecard: Json, at: datetime | None) -> Write:
    """Keep the scorecard of a version; `at` is when it was rehearsed with success, None while or where it was not."""
    c = workflow_versions.c
    statement = sql_update(workflow_versions).where(c.workflow == workflow, c.version == version)
    return statement.values(scorecard=scorecard, rehearsed=at)


def remove(name: str) -> Write:
    """Guard: forget a workflow; its versions stay, since runs name them."""
    return delete(workflows).where(workflows.c.name == name).returning(workflows.c.name)


def keep(workflow: str, version: str, text: str, by: str, at: datetime) -> Write:
    """Keep a version, unless it is there; it gets the next number."""
    c = workflow_versions.c
    values = {"workflow": workflow, "version": version, "text": text, "by": by, "created": at}
    number = select(func.coalesce(func.max(c.number), 0) + 1).where(c.workflow == workflow).scalar_subquery()
    known = select(c.version).where(c.workflow == workflow, c.version == version).exists()
    columns = [literal(value, c[name].type) for name, value in values.items()]
    return sql_insert(workflow_versions).from_select([*values, "number"], select(*columns, number).where(~known))


async def everything(store: Store) -> list[WorkflowRow]:
    """Every workflow, by name."""
    return await every(store, WorkflowRow, select(workflows).order_by(workflows.c.name))


async def enabled(store: Store) -> list[WorkflowRow]:
    """Those that start by themselves, by name."""
    return await every(store, WorkflowRow, select(workflows).where(workflows.c.enabled).order_by(workflows.c.name))


async def get(store: Store, name: str) -> WorkflowRow:
    """One workflow.

    Raises:
        NotFound: there is none of that name.
    """
    found = await first(store, WorkflowRow, select(workflows).where(workflows.c.name == name))
    if found is None:
        raise NotFound(f"there is no workflow {name!r}: `handrail workflows` lists those that there are")
    return found


async def versions(store: Store, name: str) -> list[VersionRow]:
    """Every version of a workflow, the newest first."""
    c = workflow_versions.c
    statement = select(workflow_versions).where(c.workflow == name).order_by(c.number.desc())
    return await every(store, VersionRow, statement)


async def version(store: Store, name: str, version: str) -> VersionRow:
    """One version.

    Raises:
        NotFound: the workflow has none of that name.
    """
    c = workflow_versions.c
    found = await first(store, VersionRow, select(workflow_versions).where(c.workflow == name, c.version == version))
    if found is None:
        raise NotFound(
            f"the workflow {name} has no version {version!r}: `handrail workflows versions {name}` lists them"
        )
    return found


async def last_runs(store: Store, names: Sequence[str]) -> dict[str, LastRun]:
    """The newest run of each of these workflows that has one."""
    newest = (
        select(func.max(runs.c.number)).where(runs.c.workflow.in_(names)).group_by(runs.c.workflow).scalar_subquery()
    )
    wanted = select(runs.c.workflow, runs.c.number, runs.c.state, runs.c.outcome, runs.c.created)
    found = await every(store, LastRun, wanted.where(runs.c.number.in_(newest)))
    return {row.workflow: row for row in found}


async def going(store: Store, name: str) -> list[str]:
    """Ids of a workflow's runs that have not ended, the oldest first."""
    statement = select(runs.c.id).where(runs.c.workflow == name, runs.c.state != RunState.ENDED)
    return [row[0] for row in await store.rows(statement.order_by(runs.c.number))]
