"""Workflows: their files kept in versions, switched on by a person, shown with what starts them next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from handrail.automation import TriggerKind, Trust
from handrail.commands import rehearsal, values
from handrail.commands.actor import OWNERS, Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.commands.launch import filled, forges_of
from handrail.errors import Conflict, Forbidden, HandrailError, InvalidInput
from handrail.runs import trust
from handrail.runs.supervisor import NewRun
from handrail.store import forges as forge_rows
from handrail.store import ticks as tick_rows
from handrail.store import workflows as rows
from handrail.store.ticks import TickRow
from handrail.store.workflows import LastRun, VersionRow, WorkflowRow
from handrail.triggers.foresight import trouble
from handrail.types import Json, RunId, now
from handrail.workflows import gallery
from handrail.workflows.compile import Cause
from handrail.workflows.cron import upcoming
from handrail.workflows.read import read, version_of
from handrail.workflows.sound import notes
from handrail.workflows.tree import LARGEST
from handrail.workflows.words import sentence, starts

if TYPE_CHECKING:
    from handrail.workflows.document import Workflow

SOURCES = ("file", "repository", "gallery", "session")
MOST_NEXT = 100
MOST_FILES = 500


class Listed(Struct, frozen=True):
    """A workflow as it may be shown.

    Args:
        row: as it is kept.
        workflow: its file as a new run takes it; None where that cannot be read any more, and `problem` says why.
        number: of the version that a new run takes.
        newest: number of the newest version; a higher one waits for a person to enable it.
        rehearsed: when that version was rehearsed.
        next: its next due time, where it is enabled.
        last: its newest run.
    """

    row: WorkflowRow
    workflow: Workflow | None
    problem: str | None
    number: int
    newest: int
    rehearsed: datetime | None
    next: datetime | None
    last: LastRun | None

    @property
    def rises(self) -> str:
        """What it takes to be trusted more, in words."""
        return "" if self.workflow is None else trust.to_rise(self.row.trust, self.row.accepted, self.workflow.trust)

    @property
    def starts(self) -> str:
        """What starts it, in words."""
        return "nothing: its file cannot be read" if self.workflow is None else starts(self.workflow)

    @property
    def sentence(self) -> tuple[tuple[str, str], ...]:
        """The whole of it in words."""
        return () if self.workflow is None else sentence(self.workflow, self.row.trust)


class Shown(Struct, frozen=True):
    """A workflow with its text and its latest ticks."""

    listed: Listed
    text: str
    notes: tuple[str, ...]
    upcoming: tuple[datetime, ...]
    ticks: tuple[TickRow, ...]


class File(Struct, frozen=True):
    """One file that is brought in: its name, for what is told of it, and its text."""

    name: str
    text: str


class Synced(Struct, frozen=True):
    """What became of one file, or of a workflow whose file is gone."""

    file: str
    workflow: str | None
    result: str
    """added, changed, same, refused or gone"""
    problem: str | None = None


class Started(Struct, frozen=True):
    """A run that was begun, and how many tasks it has."""

    run: RunId
    tasks: int


class _Given(Struct, frozen=True):
    text: str
    source: str
    origin: str | None


async def listed(desk: Desk, actor: Actor) -> list[Listed]:
    """Every workflow, by name."""
    authorise(actor, Permission.WORKFLOWS_READ)
    found = await rows.everything(desk.store)
    last = await rows.last_runs(desk.store, [row.name for row in found])
    return [await _listed(desk, row, last.get(row.name)) for row in found]


async def show(desk: Desk, actor: Actor, name: str, count: int = 5) -> Shown:
    """One workflow with its text, its next due times, and what became of the last ones.

    Raises:
        NotFound: there is none of that name.
    """
    authorise(actor, Permission.WORKFLOWS_READ)
    values.count("count", count, MOST_NEXT)
    row = await rows.get(desk.store, name)
    await rehearsal.settle(desk, await rows.version(desk.store, name, row.version))
    last = await rows.last_runs(desk.store, [name])
    item = await _listed(desk, row, last.get(name))
    text = (await rows.version(desk.store, name, row.version)).text
    told: tuple[str, ...] = ()
    due: tuple[datetime, ...] = ()
    if item.workflow is not None:
        told = tuple(notes(item.workflow))
        due = upcoming([rule.cron for rule in item.workflow.rules()], now(), count)
        told += await _credentials(desk, item.workflow, due[0] if due else now())
    return Shown(item, text, told, due, tuple(await tick_rows.newest(desk.store, name, 20)))


async def _credentials(desk: Desk, workflow: Workflow, due: datetime) -> tuple[str, ...]:
    """What is known against the credentials that a workflow will need."""
    used = forges_of(workflow)
    found = [trouble(row, due) for row in await forge_rows.everything(desk.store) if row.name in used]
    return tuple(why for why in found if why is not None)


async def versions(desk: Desk, actor: Actor, name: str) -> list[VersionRow]:
    """Every version of a workflow's file, the newest first.

    Raises:
        NotFound: there is none of that name.
    """
    authorise(actor, Permission.WORKFLOWS_READ)
    await rows.get(desk.store, name)
    return await rows.versions(desk.store, name)


async def add(desk: Desk, actor: Actor, text: str, *, source: str = "file", origin: str | None = None) -> Listed:
    """Keep a workflow, switched off, or a new version of one. What is enabled goes on with the version that it has.

    Raises:
        InvalidInput: the file cannot be used; the first problem is named.
    """
    authorise(actor, Permission.WORKFLOWS_WRITE)
    if source not in SOURCES:
        raise InvalidInput("source", source, f"choose one of {', '.join(SOURCES)}")
    values.text("text", text, 4 * LARGEST)
    origin = values.title("origin", origin)
    workflow = await _read(desk, text, origin or "workflow")
    await _keep(desk, actor, workflow, _Given(text, source, origin))
    return await _listed(desk, await rows.get(desk.store, workflow.name), None)


async def sync(desk: Desk, actor: Actor, origin: str, files: Sequence[File]) -> list[Synced]:
    """Take all workflow files of a repository, each as a version; nothing is enabled or removed by it.

    Args:
        desk: the rooms.
        actor: who asks.
        origin: the repository.
        files: every workflow file that it has.

    Raises:
        InvalidInput: there are too many, or two name one workflow.
    """
    authorise(actor, Permission.WORKFLOWS_WRITE)
    values.text("origin", origin, 4096)
    if len(files) > MOST_FILES:
        raise InvalidInput("files", f"{len(files)} files", f"give at most {MOST_FILES}")
    told: list[Synced] = []
    seen: set[str] = set()
    for file in files:
        try:
            workflow = await _read(desk, file.text, file.name)
            if workflow.name in seen:
                raise InvalidInput(
                    f"{file.name}: name", workflow.name, "another file has this name: choose another one"
                )
            result = await _keep(desk, actor, workflow, _Given(file.text, "repository", origin))
        except HandrailError as error:
            if error.exit_code != 2:
                raise
            told.append(Synced(file.name, None, "refused", error.message))
            continue
        seen.add(workflow.name)
        told.append(Synced(file.name, workflow.name, result))
    gone = [row for row in await rows.everything(desk.store) if row.origin == origin and row.name not in seen]
    return [*told, *(Synced("", row.name, "gone") for row in gone if row.source == "repository")]


async def enable(desk: Desk, actor: Actor, name: str, *, version: str | None, unproven: bool) -> Listed:
    """Let a version of a workflow start by itself, from now on: what was due before never fires.

    Args:
        desk: the rooms.
        actor: who asks.
        name: of the workflow.
        version: which version; None for the newest.
        unproven: also when that version was not rehearsed.

    Raises:
        NotFound: no such workflow or version.
        Conflict: the version was not rehearsed, or its file cannot be read any more.
    """
    authorise(actor, Permission.WORKFLOWS_WRITE)
    row = await rows.get(desk.store, name)
    known = await rows.versions(desk.store, name)
    chosen = known[0] if version is None else await rows.version(desk.store, name, version)
    if not unproven:
        await rehearsal.prove(desk, chosen)
    workflow = await _read(desk, chosen.text, name)
    _has_a_place(workflow, row)
    at = now()
    earned = trust.lower(row.trust, workflow.trust)
    changes = {"enabled": True, "version": chosen.version, "watermark": at, "trust": earned}
    await desk.store.log.write(guard=rows.update(name, at, **changes))
    desk.ticker.wake()
    return await _listed(desk, await rows.get(desk.store, name), None)


async def start(desk: Desk, actor: Actor, name: str, *, inputs: Json, repositories: Sequence[str] = ()) -> Started:
    """Start a workflow now, enabled or not: the version that it stands at. Its schedule is not touched.

    Args:
        desk: the rooms.
        actor: who asks.
        name: of the workflow.
        inputs: what it asks for.
        repositories: in place of those that its file names.

    Raises:
        NotFound: there is none of that name.
        InvalidInput: an input or a repository cannot be used.
        Conflict: a blank of the gallery stands where a repository is due.
    """
    authorise(actor, Permission.WORKFLOWS_START)
    row = await rows.get(desk.store, name)
    if actor.only is not None and (repositories or not row.enabled):
        what = "in other repositories than its own" if repositories else "while it is switched off"
        raise Forbidden(f"{actor.name} may not start {name} {what}: {OWNERS}.")
    for at, repository in enumerate(repositories):
        values.text(f"repositories[{at}]", repository, 2000)
    cause = Cause(inputs)
    made = await desk.launch.plan(row, cause, repositories or None)
    run = await desk.runs.begin(
        NewRun(plan=made, trigger=TriggerKind.MANUAL, by=actor.name, trust=row.trust, inputs=inputs)
    )
    return Started(run, len(made.targets))


async def disable(desk: Desk, actor: Actor, name: str) -> Listed:
    """Let a workflow not start by itself any more; runs that have begun go on.

    Raises:
        NotFound: there is none of that name.
    """
    authorise(actor, Permission.WORKFLOWS_WRITE)
    row = await rows.get(desk.store, name)
    if row.enabled:
        newest = (await rows.versions(desk.store, name))[0]
        await desk.store.log.write(guard=rows.update(name, now(), enabled=False, version=newest.version))
        desk.ticker.wake()
    return await _listed(desk, await rows.get(desk.store, name), None)


async def entrust(desk: Desk, actor: Actor, name: str, level: str) -> Listed:
    """Say how far a workflow may act unwatched: up by one level, once it has earned that, or down.

    Raises:
        NotFound: there is none of that name.
        InvalidInput: there is no such level.
        Conflict: it has not earned the level, or its file does not allow it.
    """
    authorise(actor, Permission.WORKFLOWS_WRITE)
    wanted = values.choice("level", level, Trust)
    row = await rows.get(desk.store, name)
    item = await _listed(desk, row, None)
    if item.workflow is None:
        raise Conflict(item.problem or f"the file of {name} cannot be read")
    to = trust.moved(row, wanted, item.workflow.trust)
    if to is not row.trust:
        await desk.store.log.write(guard=trust.rise(row, to, now()))
    return await _listed(desk, await rows.get(desk.store, name), None)


async def remove(desk: Desk, actor: Actor, name: str) -> None:
    """Forget a workflow. Its runs and versions stay.

    Raises:
        NotFound: there is none of that name.
        Conflict: it is enabled.
    """
    authorise(actor, Permission.WORKFLOWS_WRITE)
    if (await rows.get(desk.store, name)).enabled:
        raise Conflict(f"{name} is enabled: run `handrail workflows disable {name}` first")
    await desk.store.log.write(guard=rows.remove(name))


def shelf(actor: Actor) -> list[str]:
    """What the gallery holds."""
    authorise(actor, Permission.WORKFLOWS_READ)
    return gallery.names()


async def from_gallery(desk: Desk, actor: Actor, name: str) -> Listed:
    """Keep a workflow of the gallery, switched off.

    Raises:
        NotFound: the gallery has none of that name.
    """
    return await add(desk, actor, gallery.text(name), source="gallery", origin=name)


async def _keep(desk: Desk, actor: Actor, workflow: Workflow, given: _Given) -> str:
    """Keep a text as a version; says whether it was added, changed, or is the same."""
    name, version, at = workflow.name, version_of(given.text), now()
    source, origin = given.source, given.origin
    kept = rows.keep(name, version, given.text, actor.name, at)
    there = next((row for row in await rows.everything(desk.store) if row.name == name), None)
    if there is None:
        row = WorkflowRow(
            name=name, source=source, origin=origin, version=version, enabled=False,
            trust=trust.lower(workflow.trust, Trust.SUPERVISED), created=at, updated=at,
        )  # fmt: skip
        await desk.store.log.write(kept, guard=rows.insert(row))
        return "added"
    if source == "repository" and there.origin != origin:
        raise Conflict(f"a workflow {name} is there already, from {there.origin or there.source}: choose another name")
    known = {item.version for item in await rows.versions(desk.store, name)}
    changes: dict[str, object] = {} if there.enabled else {"version": version}
    await desk.store.log.write(kept, guard=rows.update(name, at, **changes))
    return "same" if version in known else "changed"


def _has_a_place(workflow: Workflow, row: WorkflowRow) -> None:
    """Whether it can be told what a run would work on."""
    if not workflow.repositories and row.source != "repository":
        raise Conflict(
            f"{workflow.name} names no repositories: add them with `handrail workflows edit {workflow.name}`"
        )
    filled(workflow)


async def _listed(desk: Desk, row: WorkflowRow, last: LastRun | None) -> Listed:
    known = await rows.versions(desk.store, row.name)
    taken = next(item for item in known if item.version == row.version)
    workflow, problem = None, None
    due: tuple[datetime, ...] = ()
    try:
        workflow = await _read(desk, taken.text, row.name)
    except InvalidInput as error:
        problem = error.message
    else:
        due = upcoming([rule.cron for rule in workflow.rules()], now(), 1) if row.enabled else ()
    return Listed(row, workflow, problem, taken.number, known[0].number, taken.rehearsed, due[0] if due else None, last)


async def _read(desk: Desk, text: str, name: str) -> Workflow:
    """A workflow whose agents are known here; off the loop, since a file may be large."""
    agents = [spec.name for spec in desk.roster.all()]
    return await asyncio.to_thread(read, text, name, agents)
