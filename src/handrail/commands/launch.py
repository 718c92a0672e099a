"""From a workflow as it is kept to a run: its version read, its repositories found, its plan compiled.

Schedules, events and people all start runs here, so that each of them gets the same.
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from handrail.automation import TriggerKind
from handrail.commands.forge_shelf import ForgeShelf
from handrail.errors import Conflict, HandrailError, InvalidInput
from handrail.runs import caps
from handrail.runs.plan import Plan, Target
from handrail.runs.supervisor import NewRun, Runs
from handrail.store import forges as forge_rows
from handrail.store import workflows as rows
from handrail.store.arrivals import ArrivalRow
from handrail.store.engine import Store
from handrail.store.workflows import WorkflowRow
from handrail.triggers import fields
from handrail.triggers.dispatch import Listener
from handrail.triggers.match import wanted_by
from handrail.triggers.ticker import Begun, Scheduled
from handrail.types import RunId
from handrail.workflows import compile as compiler
from handrail.workflows import gallery
from handrail.workflows.compile import Cause
from handrail.workflows.meant import EVENT
from handrail.workflows.read import read
from handrail.workflows.template import plain

if TYPE_CHECKING:
    from handrail.workflows.document import Workflow

_log = logging.getLogger("handrail.triggers")

SCHEDULE = "schedule"
"""by whom a run was started that no person started"""
MOST_TARGETS = 500

_read = lru_cache(maxsize=256)(read)
"""texts that were read: a version never changes"""


def forges_of(workflow: Workflow) -> tuple[str, ...]:
    """The names of the forges that a workflow's repositories are at."""
    named = (name.removeprefix("!").partition(":") for name in workflow.repositories)
    return tuple(dict.fromkeys(forge for forge, colon, path in named if colon and not path.startswith("//")))


def filled(workflow: Workflow) -> tuple[str, ...]:
    """The repositories of a workflow.

    Raises:
        Conflict: one of them is a blank of the gallery.
    """
    blank = next((name for name in workflow.repositories if f":{gallery.BLANK}/" in name), None)
    if blank is not None:
        raise Conflict(f"{workflow.name} works on {blank}: put yours there, `handrail workflows edit {workflow.name}`")
    return workflow.repositories


class Launch:
    """Starts runs of workflows.

    Args:
        store: where workflows are.
        runs: carries them.
        forges: know which repositories an owner has.
    """

    def __init__(self, store: Store, runs: Runs, forges: ForgeShelf) -> None:
        self._store = store
        self._runs = runs
        self._forges = forges

    async def workflow(self, row: WorkflowRow) -> Workflow:
        """The file of the version that a new run takes.

        Raises:
            InvalidInput: it cannot be read any more.
        """
        kept = await rows.version(self._store, row.name, row.version)
        return await asyncio.to_thread(_read, kept.text, row.name)

    async def plan(
        self,
        row: WorkflowRow,
        cause: Cause,
        repositories: Sequence[str] | None = None,
        arrival: ArrivalRow | None = None,
    ) -> Plan:
        """The plan of a run.

        Args:
            row: the workflow.
            cause: what starts it.
            repositories: in place of those that its file names.
            arrival: the event that starts it; `event` among the repositories is that of this one.

        Raises:
            InvalidInput: an input or a repository is missing, or cannot be used.
            Conflict: a blank of the gallery stands where a repository is due.
            HandrailError: a forge could not be asked.
        """
        workflow = await self.workflow(row)
        named = filled(workflow) if repositories is None else tuple(repositories)
        if not named and row.source == "repository" and row.origin:
            named = (row.origin,)
        if not named and arrival is not None:
            named = (EVENT,)
        if not named or (EVENT in named and arrival is None):
            raise InvalidInput("repositories", list(named), "name the repositories that it shall work on")
        values = compiler.given(workflow, cause.inputs)
        ref = None if workflow.ref is None else plain(workflow.ref, values, cause.event)
        about = await self._about(arrival, ref) if arrival is not None and EVENT in named else None
        found = await self._found([about.repository if about and name == EVENT else name for name in named])
        if not 0 < len(found) <= MOST_TARGETS:
            raise InvalidInput("repositories", list(named), f"these are {len(found)}: name 1 to {MOST_TARGETS}")
        targets = [about if about and name == about.repository else Target(name, ref) for name in found]
        return compiler.plan(workflow, row.version, targets, cause)

    async def _about(self, arrival: ArrivalRow, ref: str | None) -> Target:
        """The repository of an event, at what it is about: the head of a pull request, the branch that was pushed.

        Raises:
            InvalidInput: the event is of no repository of a forge that is set up here.
        """
        payload = arrival.payload
        if arrival.repository is None:
            raise InvalidInput("repositories", EVENT, f"name repositories: the event {arrival.id} is about none")
        number = fields.number(payload, "pull_request", "number") or fields.number(payload, "issue", "number")
        pull = isinstance(fields.at(payload, "pull_request") or fields.at(payload, "issue", "pull_request"), dict)
        fork = pull and fields.text(payload, "pull_request", "head", "repo", "full_name") != arrival.repository
        pushed = fields.text(payload, "ref") or ""
        branch = pushed.removeprefix("refs/heads/") if pushed.startswith("refs/heads/") else None
        if fields.at(payload, "deleted") is True:
            branch = None
        start = None if number is not None else branch or ref
        if await forge_rows.get(self._store, arrival.source) is not None:
            return Target(f"{arrival.source}:{arrival.repository}", start, number, pull, fork)
        url = fields.text(payload, "repository", "clone_url")
        known = None if url is None else await self._forges.of_remote(url)
        if known is None:
            mend = f"set up the forge of {arrival.repository}, best under the name {arrival.source}"
            raise InvalidInput("repositories", EVENT, f"{mend} (`handrail forges set`)")
        return Target(f"{known[0]}:{known[1]}", start, number, pull, fork)

    async def _found(self, named: Sequence[str]) -> list[str]:
        """Repositories by their names, patterns looked up at their forge, each once."""
        found: dict[str, None] = {}
        for pattern in named:
            if "*" not in pattern or pattern.startswith("!"):
                found.update({} if pattern.startswith("!") else {pattern: None})
                continue
            forge, _, path = pattern.partition(":")
            owner = path.rpartition("/")[0]
            if "*" in owner:
                raise InvalidInput(
                    "repositories", pattern, "name the owner: a star stands for names of repositories alone"
                )
            there = await (await self._forges.get(forge)).repositories(owner)
            found.update({f"{forge}:{name}": None for name in there if fnmatch.fnmatchcase(name, path)})
        out = [pattern[1:] for pattern in named if pattern.startswith("!")]
        return [name for name in found if not any(fnmatch.fnmatchcase(name, pattern) for pattern in out)]

    # --- for events -------------------------------------------------------------------------------------------------

    async def listeners(self) -> list[Listener]:
        """The enabled workflows that wait for events."""
        found = []
        for row in await rows.enabled(self._store):
            try:
                on = (await self.workflow(row)).on
            except HandrailError as error:  # as with schedules
                _log.error("%s waits for no event any more: %s", row.name, error)
                continue
            if on.events:
                found.append(Listener(row.name, wanted_by(on)))
        return found

    async def for_event(
        self, name: str, arrival: ArrivalRow, *, again: str | None = None, by: str | None = None
    ) -> RunId:
        """Start a workflow for an event: once, however often it is asked.

        Args:
            name: of the workflow.
            arrival: the event.
            again: makes a replay another cause than the event itself.
            by: who replays it.

        Raises:
            InvalidInput: the event lacks what the workflow needs.
        """
        row = await rows.get(self._store, name)
        plan = await self.plan(row, Cause(event=arrival.payload), arrival=arrival)
        new = NewRun(
            plan=plan,
            trigger=TriggerKind.EVENT,
            by=by or caps.event(arrival.id),
            trust=row.trust,
            key=":".join(["event", name, arrival.id, *([again] if again else [])]),
            arrival=arrival.id,
        )
        return await self._runs.begin(new)

    # --- for the ticker ---------------------------------------------------------------------------------------------

    async def scheduled(self) -> list[Scheduled]:
        """The enabled workflows with schedules."""
        found = []
        for row in await rows.enabled(self._store):
            try:
                workflow = await self.workflow(row)
            except HandrailError as error:  # one that a newer Handrail reads differently must not stop the others
                _log.error("the schedule of %s is out of use: %s", row.name, error)
                continue
            if rules := workflow.rules():
                found.append(Scheduled(row, rules, forges_of(workflow)))
        return found

    async def begin(self, row: WorkflowRow, due: datetime, *, queued: bool) -> Begun:
        """Make the run of a tick ready; see `Starter`."""
        plan = await self.plan(row, Cause(event={"due": due.isoformat()}))
        new = NewRun(
            plan=plan,
            trigger=TriggerKind.SCHEDULE,
            by=SCHEDULE,
            trust=row.trust,
            key=f"tick:{row.name}:{due.isoformat()}",
            due=due,
            queued=queued,
        )
        return Begun(*self._runs.ready(new))

    async def begun(self, run: RunId) -> None:
        """Carry a run that was written."""
        self._runs.poke(run)

    async def cancel(self, run: RunId) -> None:
        """End a run because the next one is due."""
        await self._runs.cancel(run, SCHEDULE)
