"""What people do to tasks: cancel, take, give back, go on. Each is one change of the row, claimed by its epoch."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec.structs import replace

from handrail.automation import EffectKind, EffectState, RunState, Step, TaskState
from handrail.errors import Conflict, InvalidInput
from handrail.runs import adopt, evidence, results
from handrail.runs import plan as plans
from handrail.runs.plan import Plan
from handrail.runs.rooms import Rooms
from handrail.runs.spread import GOOD, stage_of
from handrail.runs.verdict import Ended
from handrail.store import effects as effect_rows
from handrail.store import runs as run_rows
from handrail.store import servers
from handrail.store import sessions as session_rows
from handrail.store import tasks as task_rows
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.runs import RunChanges
from handrail.store.tasks import TaskChanges, TaskRow
from handrail.types import Json, Outcome, RunId, ServerId, SessionId, TaskId

_TOLD = (EffectKind.MESSAGE, EffectKind.WEBHOOK)
"""nobody can look whether they arrived"""
_OPEN = (EffectState.PROPOSED, EffectState.WAITING, EffectState.APPROVED)
_GOES_ON = RunChanges(state=RunState.RUNNING, outcome=None, reason=None, seen=None, ended=None)
"""what a run becomes that has work again"""
AGENT_GRACE = 3.0
"""seconds that a cancelled agent has until its process is ended"""


async def cancel(rooms: Rooms, task: TaskId, by: str) -> None:
    """End a task; its agent ends within seconds, and what it made is kept."""
    row = await task_rows.get(rooms.store, task)
    if row.state is not TaskState.ENDED:
        await _stop(rooms, row, Ended(Outcome.CANCELLED, "cancelled", f"cancelled by {by}"), by)


def deadline(rooms: Rooms, plan: Plan) -> datetime | None:
    """When a task that begins now is given up, unless its change is there."""
    return None if plan.timeout is None else rooms.clock() + timedelta(seconds=plan.timeout)


async def give_up(rooms: Rooms, task: TaskId) -> None:
    """End a task whose time is up; what its agent made is kept. One that came to its change meanwhile goes on."""
    row = await task_rows.get(rooms.store, task)
    if row.step not in (Step.PREPARE, Step.WORK) or row.state in (TaskState.ENDED, TaskState.TAKEN):
        return
    run = await run_rows.get(rooms.store, row.run)
    limit = plans.from_json(run.plan).timeout or 0.0
    why = f"it was not finished after {limit:g} s, the timeout of its workflow"
    with contextlib.suppress(Conflict):  # a person took it just now
        await _stop(rooms, row, Ended(Outcome.FAILED, "timeout", why), f"run {run.number}")


async def _stop(rooms: Rooms, row: TaskRow, ended: Ended, by: str) -> None:
    """End a task from outside: its row first, then its agent, within seconds."""
    cost = await evidence.cost(rooms.store, results.work(row), row)
    moot = evidence.moot(await effect_rows.of_task(rooms.store, row.id), rooms.clock())
    workflow = (await run_rows.get(rooms.store, row.run)).workflow
    moot += adopt.late(row, workflow, await _proposed(rooms, row), rooms.clock())
    told: Json = {"outcome": ended.outcome, "cause": ended.cause, "reason": ended.reason, "cost_nano": cost}
    await rooms.store.log.write(
        *moot,
        run_rows.told(row.run, "task.ended", told, row.id),
        guard=task_rows.update(
            row.id, row.epoch, epoch=row.epoch + 1, state=TaskState.ENDED, outcome=ended.outcome, cause=ended.cause,
            reason=ended.reason, likeness=None, cost_nano=cost, due=None, ended=rooms.clock(),
        ),
    )  # fmt: skip
    session = row.session or await _unnoted(rooms, row)
    if session is not None and row.state is not TaskState.TAKEN:
        with contextlib.suppress(Conflict):
            await rooms.sessions.abandon(session, by, AGENT_GRACE)


async def _proposed(rooms: Rooms, row: TaskRow) -> list[EffectRow]:
    """What the agents of a task proposed."""
    ended = [stage.session for stage in results.work(row).ended]
    return await effect_rows.of_sessions(rooms.store, adopt.sessions(row, ended))


async def _unnoted(rooms: Rooms, row: TaskRow) -> SessionId | None:
    """The session of a task that was stopped between the making of it and the note of it."""
    plan = plans.from_json((await run_rows.get(rooms.store, row.run)).plan)
    found = await session_rows.by_key(rooms.store, results.key(row, stage_of(plan, row).name))
    return None if found is None else found.id


async def take(rooms: Rooms, task: TaskId, by: str) -> SessionId:
    """See `Runs.take`."""
    row = await task_rows.get(rooms.store, task)
    session = row.session or next((stage.session for stage in reversed(results.work(row).ended)), None)
    if session is None:
        raise Conflict(f"task {task} has not begun: there is nothing to take yet")
    if row.state is not TaskState.TAKEN:
        run = await run_rows.get(rooms.store, row.run)
        writes: list[Write] = [run_rows.told(row.run, "task.taken", {"by": by}, task)]
        writes += superseded(await effect_rows.of_task(rooms.store, task), f"taken in hand by {by}")
        writes += adopt.by_hand(await _proposed(rooms, row))
        if run.state is RunState.ENDED:  # it has a task again that has not ended
            writes.append(run_rows.update(run.id, **_GOES_ON))
        await rooms.store.log.write(
            *writes,
            guard=task_rows.update(
                task, row.epoch, epoch=row.epoch + 1, state=TaskState.TAKEN, session=session, outcome=None, cause=None,
                reason=f"taken in hand by {by}", likeness=None, due=None, ended=None,
            ),
        )  # fmt: skip
    await rooms.sessions.take(session, by)
    return session


async def give_back(rooms: Rooms, task: TaskId, by: str) -> None:
    """See `Runs.give_back`."""
    row = await task_rows.get(rooms.store, task)
    if row.state is not TaskState.TAKEN:
        raise Conflict(f"task {task} is {row.state}: nobody has taken it")
    plan = plans.from_json((await run_rows.get(rooms.store, row.run)).plan)
    work = results.work(row)
    at = next((at for at, stage in enumerate(plan.stages) if _is_of(work, stage.name, row.session)), work.stage)
    kept = results.put(row, "work", replace(work, stage=at, consumed="", ended=work.ended[:at]))
    await rooms.store.log.write(
        run_rows.told(row.run, "task.given_back", {"by": by}, task),
        guard=task_rows.update(
            task,
            row.epoch,
            epoch=row.epoch + 1,
            state=TaskState.RUNNING,
            step=Step.WORK,
            reason=None,
            results=kept,
            deadline=deadline(rooms, plan),
        ),
    )


def _is_of(work: results.Work, stage: str, session: SessionId | None) -> bool:
    return any(one.name == stage and one.session == session for one in work.ended)


async def take_up(rooms: Rooms) -> set[RunId]:
    """Queue the tasks that waited for a time which has come; returns whose they are."""
    found = await task_rows.due(rooms.store, rooms.clock())
    for task in found:
        with contextlib.suppress(Conflict):
            queued = task_rows.update(task.id, task.epoch, state=TaskState.QUEUED, due=None)
            await rooms.store.log.write(guard=queued)
    return {task.run for task in found}


async def unpark(rooms: Rooms, task: TaskId) -> bool:
    """Let a task go on that waited for people, once all of its effects are decided."""
    row = await task_rows.get(rooms.store, task)
    if row.state is not TaskState.PARKED or row.step is not Step.GATE:
        return False
    effects = await effect_rows.of_task(rooms.store, task)
    if any(effect.state is EffectState.WAITING for effect in effects):
        return False
    try:
        await rooms.store.log.write(guard=task_rows.update(task, row.epoch, state=TaskState.QUEUED, reason=None))
    except Conflict:
        return False
    return True


async def failed(store: Store, run: RunId) -> list[TaskRow]:
    """The tasks of a run that ended without success."""
    tasks = await task_rows.of_run(store, run)
    return [task for task in tasks if task.state is TaskState.ENDED and task.outcome not in GOOD]


def is_with_people(task: TaskRow) -> bool:
    """Whether a task waits for a person, or is in a person's hands."""
    return task.state is TaskState.TAKEN or (task.state is TaskState.PARKED and task.due is None)


def stranded(task: TaskRow, silent: Collection[ServerId | None]) -> bool:
    """Whether what a person could go on with is on the disk of a server that is not heard of."""
    return is_with_people(task) and task.server in silent


async def begun_elsewhere(store: Store, task: TaskRow, why: str) -> list[Write]:
    """What goes with beginning a task again on another server, since its workspace is on the disk of a dead one."""
    effects = await effect_rows.of_task(store, task.id)
    sessions = {task.session, *(stage.session for stage in results.work(task).ended)} - {None}
    return [
        run_rows.told(task.run, "task.begun_again", {"reason": why, "attempt": task.attempt + 1}, task.id),
        *superseded(effects, f"begun again: {why}"),
        *(session_rows.settle_elsewhere(one, Outcome.LOST, why) for one in sessions if one is not None),
    ]


async def resume(rooms: Rooms, run: RunId, by: str, *, failed: bool, step: str | None) -> int:
    """See `Runs.resume`."""
    row = await run_rows.get(rooms.store, run)
    if step is not None and step not in set(Step):
        raise InvalidInput("from", step, f"choose one of {', '.join(Step)}")
    tasks = await task_rows.of_run(rooms.store, run)
    waiting = [task for task in tasks if task.state is TaskState.QUEUED]
    bad = [task for task in tasks if task.state is TaskState.ENDED and task.outcome not in GOOD] if failed else []
    silent = await servers.silent(rooms.store, rooms.config.server_dead) if failed else {}
    left = [task for task in tasks if stranded(task, silent)]
    if not bad and not left and (row.state is not RunState.STOPPED or not waiting):
        raise Conflict(
            f"nothing of run {row.number} waits to go on" + ("" if failed else "; --failed tries what failed")
        )
    plan = plans.from_json(row.plan)
    plan = replace(plan, spread=replace(plan.spread, stop_at_failure_rate=None))
    for task in bad:
        await _go_on(rooms, task, None if step is None else Step(step), by)
    for task in left:
        host = silent[task.server].host if task.server is not None else ""
        writes = await begun_elsewhere(rooms.store, task, f"{by} did not wait for its server {host}")
        # a Conflict where its server came back and went on with it just now
        anew: TaskChanges = {**from_the_beginning(task), "epoch": task.epoch + 1, "server": None}
        guard = task_rows.update(task.id, task.epoch, **anew)
        await rooms.store.log.write(*writes, guard=guard)
    changes: RunChanges = {**_GOES_ON, "plan": plans.as_json(plan)}
    count = len(bad) + len(left) + len(waiting)
    await rooms.store.log.write(
        run_rows.told(run, "run.resumed", {"by": by, "tasks": count}),
        guard=run_rows.update(run, **changes),
    )
    return count


async def _go_on(rooms: Rooms, task: TaskRow, step: Step | None, by: str) -> None:
    """Queue a task that failed: from the step at which it ended, or the one that was named."""
    at = step or _begin_again(task)
    kept, attempt, session = dict(task.results), task.attempt, task.session
    if at is Step.PREPARE:
        kept, attempt, session = {}, attempt + 1, None
    elif at is Step.WORK:
        if session is None:
            raise Conflict(f"task {task.id} has no session to go on with: resume it from {Step.PREPARE}")
        # what the session came to, be it that it was stopped, is dealt with: it is handed off again
        since = (await session_rows.get(rooms.store, session)).goal_set
        work = results.work(task).settled(since.isoformat() if since is not None else "")
        kept = results.put(task, "work", work)
        kept.pop("check", None)
    elif "check" not in kept and at is not Step.CHECK:
        raise Conflict(f"task {task.id} did not come as far as {at}: resume it from {Step.PREPARE} or {Step.WORK}")
    writes: list[Write] = [run_rows.told(task.run, "task.resumed", {"by": by, "step": at}, task.id)]
    effects = await effect_rows.of_task(rooms.store, task.id)
    if at is Step.DELIVER:
        again = dict(state=EffectState.APPROVED, cause=None, reason=None, tries=0, due=None)  # noqa: C408
        writes += [effect_rows.adjust(row.id, EffectState.FAILED, **again) for row in effects]  # type: ignore[arg-type]
        undone = [
            row
            for row in effects
            if row.state is EffectState.REJECTED and row.decided_by == "handrail" and row.cause is None
        ]
        writes += [effect_rows.adjust(row.id, EffectState.REJECTED, **again) for row in undone]  # type: ignore[arg-type]
    else:
        late = adopt.reopened(effects) if at is Step.WORK else []
        writes += [
            *late,
            *superseded([row for row in effects if row.cause != adopt.LATE or not late], f"run again by {by}"),
        ]
    guard = task_rows.update(
        task.id, task.epoch, epoch=task.epoch + 1, state=TaskState.QUEUED, step=at, results=kept, attempt=attempt,
        session=session, outcome=None, cause=None, reason=None, likeness=None, due=None, deadline=None, ended=None,
    )  # fmt: skip
    await rooms.store.log.write(*writes, guard=guard)


async def made_again(store: Store, task: TaskRow, reason: str) -> tuple[tuple[str, Json], tuple[Write, ...]]:
    """What is told, and what becomes of its effects, when another server made a change and did not deliver it."""
    effects = await effect_rows.of_task(store, task.id)
    why = f"what {task.session} made is on the disk of another server, and was not delivered: {reason}"
    carrying = [
        effect_rows.adjust(row.id, EffectState.CARRYING, state=EffectState.REJECTED, cause="superseded", reason=why)
        for row in effects
    ]
    return ("task.begun_again", {"reason": why, "attempt": task.attempt + 1}), (*superseded(effects, why), *carrying)


def from_the_beginning(task: TaskRow) -> TaskChanges:
    """What makes a task as if it had not begun, but for its effects; another attempt has other sessions."""
    return TaskChanges(
        state=TaskState.QUEUED, step=Step.PREPARE, results={}, attempt=task.attempt + 1, session=None, outcome=None,
        cause=None, reason=None, likeness=None, due=None, deadline=None, ended=None,
    )  # fmt: skip


def _begin_again(task: TaskRow) -> Step:
    """Where a failed task goes on: delivery is tried again, work goes on in the session that there is."""
    if task.step in (Step.DELIVER, Step.REPORT) and task.cause not in ("rejected", "no_checks", "not_allowed"):
        return Step.DELIVER
    return Step.PREPARE if task.session is None or task.outcome is Outcome.LOST else Step.WORK


def superseded(effects: list[EffectRow], why: str) -> list[Write]:
    """Effects that no longer say what the task is about; what was carried out, or may have been, stays."""
    states = (*_OPEN, EffectState.FAILED, EffectState.REJECTED, EffectState.RECORDED)
    doubtful = [
        row
        for row in effects
        if row.state is EffectState.FAILED and row.cause == evidence.UNKNOWN and row.kind not in _TOLD
    ]
    return [
        effect_rows.adjust(row.id, EffectState.FAILED, state=EffectState.CARRYING, cause=None, tries=0)
        for row in doubtful
    ] + [
        effect_rows.adjust(row.id, *states, state=EffectState.REJECTED, cause=adopt.SUPERSEDED, reason=why)
        for row in effects
        if row.state in states and row not in doubtful
    ]


async def fail(rooms: Rooms, task: TaskRow, reason: str) -> None:
    """End a task that Handrail itself could not carry on."""
    told: Json = {"outcome": Outcome.FAILED, "cause": "handrail", "reason": reason}
    await rooms.store.log.write(
        run_rows.told(task.run, "task.ended", told, task.id),
        guard=task_rows.update(
            task.id, task.epoch, state=TaskState.ENDED, outcome=Outcome.FAILED, cause="handrail", reason=reason,
            ended=rooms.clock(),
        ),
    )  # fmt: skip
