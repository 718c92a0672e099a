"""Rehearsal: a version of a workflow tried on past cases, inside the walls, with effects that are only recorded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from handrail.automation import EffectState, RunState, TriggerKind, Trust
from handrail.commands import values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import Conflict, HandrailError, InvalidInput, NotFound
from handrail.policy.layers import stack
from handrail.runs import results as task_results
from handrail.runs.acts import Outside
from handrail.runs.drift import beyond, sessions_of
from handrail.runs.local import LocalSources
from handrail.runs.plan import Plan, Target
from handrail.runs.supervisor import NewRun
from handrail.store import arrivals
from handrail.store import effects as effect_rows
from handrail.store import runs as run_rows
from handrail.store import tasks as task_rows
from handrail.store import workflows as rows
from handrail.store.arrivals import ArrivalRow
from handrail.store.log import Write
from handrail.store.tasks import TaskRow
from handrail.store.workflows import VersionRow, WorkflowRow
from handrail.triggers.match import judge, wanted_by
from handrail.types import Json, Permissions, RunId, now
from handrail.workflows.compile import Cause
from handrail.workflows.cron import upcoming
from handrail.workflows.read import read
from handrail.workflows.rehearse import Came, Case, How, Rehearsal, as_json, from_json, judged, result, unwatched
from handrail.workspaces.git import Home, attempt

if TYPE_CHECKING:
    from handrail.workflows.document import Workflow

MOST_CASES = 100
MOST_EVENTS = 1000
"""stored events that are looked through for those that fit"""
MOST_RUNS = 50_000
"""runs of a schedule in a month that are counted"""
MONTH = timedelta(days=30)
_LAST = re.compile(r"last:(\d{1,4})")
_SPLIT = re.compile(r"[,\s]+")


class Wanted(Struct, frozen=True, kw_only=True):
    """What to rehearse on: `commits` or `events`, each `last:N` or names with commas between."""

    commits: str | None = None
    events: str | None = None
    inputs: Json | None = None
    repository: str | None = None
    version: str | None = None


class Rehearsed(Struct, frozen=True):
    """A version with its rehearsal."""

    workflow: str
    version: VersionRow
    rehearsal: Rehearsal


async def start(desk: Desk, actor: Actor, name: str, wanted: Wanted) -> Rehearsed:
    """Rehearse a version of a workflow: runs are begun, and its scorecard tells how they go.

    Raises:
        NotFound: there is no such workflow, version, commit or event.
        InvalidInput: what it shall be rehearsed on cannot be used.
        Conflict: it is being rehearsed.
    """
    authorise(actor, Permission.WORKFLOWS_WRITE)
    row = await rows.get(desk.store, name)
    version = await _version(desk, name, wanted.version)
    if (await settle(desk, version)).state is Came.RUNNING:
        raise Conflict(f"version {version.number} of {name} is being rehearsed: `handrail rehearse --show {name}`")
    workflow = await asyncio.to_thread(read, version.text, name)
    row = replace(row, version=version.version)
    if (wanted.commits is None) == (wanted.events is None):
        raise InvalidInput("cases", wanted.commits, "give either commits or events, such as last:5")
    if wanted.commits is not None:
        how, plans, cases = How.COMMITS, *await _on_commits(desk, row, wanted)
    else:
        how, plans, cases = How.EVENTS, *await _on_events(desk, row, workflow, wanted)
    begun: list[tuple[RunId, tuple[Write, ...]]] = []
    for plan, arrival in plans:
        new = NewRun(
            plan=_tame(plan), trigger=TriggerKind.REHEARSAL, by=actor.name, trust=Trust.SHADOW,
            inputs=wanted.inputs or {}, arrival=None if arrival is None else arrival.id,
        )  # fmt: skip
        begun.append(desk.runs.ready(new))
    runs = [run for run, _ in begun]
    placed = tuple(replace(case, run=runs[0 if how is How.COMMITS else at]) for at, case in enumerate(cases))
    at = now()
    card = Rehearsal(
        state=Came.RUNNING, how=how, by=actor.name, begun=at.isoformat(),
        tasks_a_run=max(1, len(workflow.repositories)), cases=placed, runs_a_month=_a_month(workflow), runs=tuple(runs),
    )  # fmt: skip
    kept = rows.rehearsed(name, version.version, as_json(card), None)
    await desk.store.log.write(*(write for _, writes in begun for write in writes), kept)
    for run in runs:
        desk.runs.poke(run)
    return Rehearsed(name, await rows.version(desk.store, name, version.version), card)


async def show(desk: Desk, actor: Actor, name: str, version: str | None) -> Rehearsed:
    """The rehearsal of a version, as far as it has come.

    Raises:
        NotFound: there is no such workflow or version, or it was never rehearsed.
    """
    authorise(actor, Permission.WORKFLOWS_READ)
    await rows.get(desk.store, name)
    found = await _version(desk, name, version)
    if found.scorecard is None:
        raise NotFound(
            f"version {found.number} of {name} was not rehearsed: `handrail rehearse {name} --commits last:5`"
        )
    card = await settle(desk, found)
    return Rehearsed(name, await rows.version(desk.store, name, found.version), card)


async def settle(desk: Desk, version: VersionRow) -> Rehearsal:
    """Bring the scorecard of a version up to date: nobody need have watched while its runs came to their ends.

    A version that was never rehearsed has an empty one that failed.
    """
    if version.scorecard is None:
        return Rehearsal(Came.FAILED, How.COMMITS, "", "", 1, ())
    card = from_json(version.scorecard)
    if card.state is not Came.RUNNING:
        return card
    runs = [await run_rows.get(desk.store, RunId(run)) for run in card.runs]
    policy = (await asyncio.to_thread(read, version.text, version.workflow)).policy_text
    tasks = {(task.run, task.position): task for run in runs for task in await task_rows.of_run(desk.store, run.id)}
    over = all(run.state is RunState.ENDED for run in runs)
    found = []
    for case in card.cases:
        task = tasks[RunId(case.run), case.position]
        outside = await _beyond(desk, policy, task) if over else []
        recorded = [
            row.kind.value
            for row in await effect_rows.of_task(desk.store, task.id)
            if row.state is EffectState.RECORDED
        ]
        found.append(result(case, task, task_results.change(task), outside, recorded))
    at = now()
    card = judged(card, found, at.isoformat()) if over else replace(card, results=tuple(found))
    if card.state is not Came.RUNNING:
        proven = at if card.state is Came.PASSED else None
        await desk.store.log.write(rows.rehearsed(version.workflow, version.version, as_json(card), proven))
    return card


async def prove(desk: Desk, version: VersionRow) -> None:
    """Let a version pass that was rehearsed with success.

    Raises:
        Conflict: it was not; the message says how far it came.
    """
    anyway = "enable it with --unproven if it shall run anyway"
    which = f"version {version.number} of {version.workflow}"
    if version.scorecard is None:
        raise Conflict(f"{which} was not rehearsed: {anyway}")
    card = await settle(desk, version)
    if card.state is Came.RUNNING:
        ended = sum(1 for one in card.results if one.outcome is not None)
        raise Conflict(f"{which} is being rehearsed, {ended} of {len(card.cases)} cases have ended: wait, or {anyway}")
    if card.state is Came.FAILED:
        bad = card.failures[0]
        first = f"{bad.name[:12]} ended as {bad.outcome} ({bad.reason or bad.cause})"
        raise Conflict(
            f"the rehearsal of {which} failed in {len(card.failures)} of {len(card.cases)} cases, {first}: {anyway}"
        )


async def _version(desk: Desk, name: str, version: str | None) -> VersionRow:
    known = await rows.versions(desk.store, name)
    if not known:
        await rows.get(desk.store, name)
    return known[0] if version is None else await rows.version(desk.store, name, version)


async def _beyond(desk: Desk, policy: str | None, task: TaskRow) -> list[Outside]:
    if policy is None:
        return []
    return await beyond(desk.store, stack(Permissions.ALLOW, workflow=policy), sessions_of(task))


def _tame(plan: Plan) -> Plan:
    """A plan whose tasks all run, whatever becomes of the others, and never wait for a person."""
    spread = replace(plan.spread, canary=0, stop_at_failure_rate=None)
    return replace(plan, trust=Trust.SHADOW, policy=unwatched(plan.policy), spread=spread, notify=())


def _a_month(workflow: Workflow) -> int | None:
    """Runs of its schedules in the next thirty days."""
    crons = [rule.cron for rule in workflow.rules()]
    if not crons:
        return None
    at = now()
    return sum(1 for _ in takewhile(lambda due: due <= at + MONTH, upcoming(crons, at, MOST_RUNS)))


# --- commits ----------------------------------------------------------------------------------------------------------

Planned = list[tuple[Plan, ArrivalRow | None]]


async def _on_commits(desk: Desk, row: WorkflowRow, wanted: Wanted) -> tuple[Planned, list[Case]]:
    """One run, with a task for each past commit that begins from the commit before it."""
    given = None if wanted.repository is None else [values.text("repository", wanted.repository, 2000)]
    plan = await desk.launch.plan(row, Cause(wanted.inputs or {}), given)
    target = plan.targets[0]
    brought = await LocalSources(desk.outward).bring(target)
    listed = await _commits(brought.path, brought.ref or target.ref or "HEAD", wanted.commits or "")
    cases = [replace(case, position=at) for at, case in enumerate(listed)]
    targets = tuple(Target(target.repository, case.base, target.number) for case in cases)
    return [(replace(plan, targets=targets), None)], cases


async def _commits(path: Path, ref: str, words: str) -> list[Case]:
    last = _LAST.fullmatch(words)
    wanted = [ref] if last else [word for word in _SPLIT.split(words) if word]
    count = int(last[1]) if last else 1
    _bounded("commits", words, count if last else len(wanted))
    found: list[Case] = []
    for word in wanted:
        listed = await attempt(
            ["log", "-z", "--first-parent", f"--max-count={count + 1 if last else 1}", "--format=%H %P%x1f%s",
             "--end-of-options", word, "--"],
            cwd=path, home=Home.THEIRS,
        )  # fmt: skip
        if listed.code != 0:
            raise NotFound(f"{path} has no commit {word!r}")
        for line in [line for line in listed.out.decode("utf-8", "replace").split("\0") if line]:
            ids, _, subject = line.partition("\x1f")
            commit, *parents = ids.split()
            if parents:
                found.append(Case(commit, subject[:200], "", 0, parents[0], await _files(path, parents[0], commit)))
            elif not last:
                raise InvalidInput("commits", word, "name a commit that has one before it: a task begins from there")
    if not found:
        raise InvalidInput("commits", words, "this repository has no commit with one before it")
    return found[:count] if last else found


async def _files(path: Path, before: str, commit: str) -> tuple[str, ...]:
    changed = await attempt(
        ["diff", "--name-only", "-z", "--no-renames", before, commit, "--"], cwd=path, home=Home.THEIRS
    )
    if changed.code != 0:
        raise HandrailError(f"what {commit} changed could not be read: {changed.err.strip()[:200]}")
    return tuple(name for name in changed.out.decode("utf-8", "replace").split("\0") if name)


# --- events -----------------------------------------------------------------------------------------------------------


async def _on_events(desk: Desk, row: WorkflowRow, workflow: Workflow, wanted: Wanted) -> tuple[Planned, list[Case]]:
    """A run for each past event, which is its cause."""
    plans: Planned = []
    cases: list[Case] = []
    for arrival in await _events(desk, workflow, wanted.events or ""):
        given = None if wanted.repository is None else [wanted.repository]
        plan = await desk.launch.plan(row, Cause(wanted.inputs or {}, arrival.payload), given, arrival)
        plans.append((replace(plan, targets=plan.targets[:1]), arrival))
        about = " ".join(word for word in (arrival.event, arrival.action, arrival.repository) if word)
        cases.append(Case(arrival.id, about, "", 0))
    return plans, cases


async def _events(desk: Desk, workflow: Workflow, words: str) -> Sequence[ArrivalRow]:
    last = _LAST.fullmatch(words)
    if last is None:
        names = [word for word in _SPLIT.split(words) if word]
        _bounded("events", words, len(names))
        return [await arrivals.find(desk.store, name) for name in names]
    _bounded("events", words, int(last[1]))
    waits = wanted_by(workflow.on)
    found = [
        arrival
        for arrival in await arrivals.newest(desk.store, limit=MOST_EVENTS)
        if any(judge(wanted, arrival).matched for wanted in waits)
    ]
    if not found:
        raise NotFound(f"no stored event would have started {workflow.name}: `handrail events` lists them")
    return found[: int(last[1])]


def _bounded(name: str, given: str, count: int) -> None:
    if not 0 < count <= MOST_CASES:
        raise InvalidInput(name, given, f"name 1 to {MOST_CASES}, with commas between, or last:N")
