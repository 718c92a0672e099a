"""The end of a run: its outcome, whom it is told, and the alarm for a workflow that does nothing run after run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from handrail.automation import RunState, TaskState, TriggerKind
from handrail.errors import Conflict
from handrail.notify import Notice, Occasion
from handrail.policy import Verdict
from handrail.policy.layers import stack
from handrail.runs import caps, drift, trust, verdict
from handrail.runs import plan as plans
from handrail.runs.acts import Outside
from handrail.runs.rooms import Rooms
from handrail.runs.spread import GOOD
from handrail.store import runs as run_rows
from handrail.store import tasks as task_rows
from handrail.store import workflows as workflow_rows
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.runs import RunRow
from handrail.store.tasks import TaskRow
from handrail.types import Json, Outcome, Permissions

_BY_ITSELF = (TriggerKind.SCHEDULE, TriggerKind.EVENT)
"""what a person does by hand, or rehearses, neither raises the alarm nor counts for it"""


async def may_start(store: Store, row: RunRow) -> bool:
    """Whether a queued run's turn has come: no run of its workflow is under way, and none was queued before it."""
    under_way = await run_rows.newest(
        store, workflow=row.workflow, states=(RunState.RUNNING, RunState.STOPPED, RunState.QUEUED), limit=1000
    )
    return all(other.number >= row.number for other in under_way)


async def stop(rooms: Rooms, row: RunRow, why: str) -> None:
    """Begin no further task: too many failed. What was done stays; `resume` goes on."""
    try:
        await rooms.store.log.write(
            run_rows.told(row.id, "run.stopped", {"reason": why}),
            *_told(rooms, row, _notice(row, Outcome.NEEDS_PERSON, why, {}), f"run-stopped:{row.id}:{row.epoch}"),
            guard=run_rows.update(row.id, RunState.RUNNING, state=RunState.STOPPED, reason=why),
        )
    except Conflict:
        return


async def close(rooms: Rooms, row: RunRow) -> None:
    """End a run whose tasks have all ended."""
    tasks = await task_rows.of_run(rooms.store, row.id)
    if any(task.state is not TaskState.ENDED for task in tasks):
        return
    outcomes = Counter(task.outcome for task in tasks if task.outcome is not None)
    outcome, reason = verdict.of_run(outcomes)
    cost = sum(task.cost_nano for task in tasks)
    facts: Json = {"run": row.id, "tasks": len(tasks), "cost_nano": cost, "workflow": row.workflow}
    told: Json = {"outcome": outcome, "reason": reason, "cost_nano": cost}
    quiet = outcome in (Outcome.NOTHING_TO_DO, Outcome.CANCELLED) or row.trigger is TriggerKind.REHEARSAL
    key = f"run:{row.id}:{len(tasks)}:{row.epoch}"
    tell = () if quiet else _told(rooms, row, _notice(row, outcome, reason, facts), key)
    at = rooms.clock()
    trusted = await _trusted(rooms, row, tasks, outcome)
    alarm = await _alarm(rooms, row, outcome) if row.trigger in _BY_ITSELF else ()
    await caps.release(rooms, row.id)
    try:
        await rooms.store.log.write(
            run_rows.told(row.id, "run.ended", told),
            *tell,
            *trusted,
            *alarm,
            guard=run_rows.end(
                row.id, outcome=outcome, reason=reason, cost_nano=cost, ended=at, seen=at if _known(tasks) else None
            ),
        )
    except Conflict:
        return


def _known(tasks: Sequence[TaskRow]) -> bool:
    """Whether somebody ended what did not succeed by their own no: nobody needs to be told of that."""
    bad = [task for task in tasks if task.outcome not in GOOD]
    return bool(bad) and all(task.cause == verdict.REJECTED for task in bad)


async def _trusted(rooms: Rooms, row: RunRow, tasks: Sequence[TaskRow], outcome: Outcome) -> tuple[Write, ...]:
    """What this run says of its workflow's trust, to be written with its end: each run counts once."""
    workflow = await workflow_rows.find(rooms.store, row.workflow)
    if workflow is None or row.trigger is TriggerKind.REHEARSAL:
        return ()
    counts, why = trust.after(outcome, await _drift(rooms, plans.from_json(row.plan).policy, tasks))
    if why is not None:
        lost: Json = {"from": workflow.trust, "to": trust.below(workflow.trust), "reason": why}
        return trust.fall(workflow, f"run {row.number}: {why}", rooms.clock()), run_rows.told(
            row.id, "trust.fell", lost
        )
    return () if counts is None else (workflow_rows.counted(workflow.name, accepted=counts),)


async def _drift(rooms: Rooms, policy: str | None, tasks: Sequence[TaskRow]) -> list[Outside]:
    """What the tasks did, or wanted to do, that their workflow's policy has no rule for, or forbids.

    A workflow without a policy has none to drift from; what its policy says is to be asked is expected.
    """
    if policy is None:
        return []
    sessions = [session for task in tasks for session in drift.sessions_of(task)]
    found = await drift.beyond(rooms.store, stack(Permissions.ALLOW, workflow=policy), sessions)
    return [one for one in found if not one.named or one.verdict is Verdict.DENY]


async def _alarm(rooms: Rooms, row: RunRow, outcome: Outcome) -> tuple[Write, ...]:
    """Tell people of a workflow that has done nothing several times running: silence is not success."""
    limit = plans.from_json(row.plan).idle_alarm
    if limit <= 0:
        return ()
    before = await run_rows.newest(
        rooms.store, workflow=row.workflow, states=(RunState.ENDED,), triggers=_BY_ITSELF, limit=limit
    )
    idle = [ended is Outcome.NOTHING_TO_DO for ended in (outcome, *(run.outcome for run in before))]
    if len(idle) < limit or not all(idle[:limit]) or idle[limit:] == [True]:  # the last: told when it came to this many
        return ()
    why = f"it found nothing to do in {limit} runs running: look whether its trigger and its goal still fit"
    notice = Notice(occasion=Occasion.IDLE, title=row.workflow, detail=why, facts={"run": row.id, "runs": limit})
    tell = _told(rooms, row, notice, f"idle:{row.workflow}:{row.id}")
    return run_rows.told(row.id, "workflow.idle", {"runs": limit}), *tell


def _told(rooms: Rooms, row: RunRow, notice: Notice, key: str) -> tuple[Write, ...]:
    """Over the channels that the workflow names."""
    return rooms.tell(notice, key, plans.from_json(row.plan).notify)


def _notice(row: RunRow, outcome: Outcome, reason: str, facts: Json) -> Notice:
    title = f"{row.workflow}, run {row.number}"
    return Notice(occasion=Occasion.RUN, title=title, detail=reason, outcome=outcome.value, facts=facts)
