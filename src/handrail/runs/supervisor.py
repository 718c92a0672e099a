"""The door of the room: begins runs, carries their tasks forward, takes what people say of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from handrail.automation import RunState, Step, TaskState, TriggerKind, Trust
from handrail.errors import Conflict, HandrailError, StorageFull
from handrail.runs import closing, hands
from handrail.runs import plan as plans
from handrail.runs.course import Course
from handrail.runs.plan import Plan
from handrail.runs.rooms import Rooms
from handrail.runs.spread import busy, canaries_of, choose
from handrail.sessions.actors import must_be_here
from handrail.store import runs as run_rows
from handrail.store import sessions as session_rows
from handrail.store import tasks as task_rows
from handrail.store.log import Write
from handrail.store.runs import RunRow
from handrail.store.tasks import TaskRow
from handrail.types import ArrivalId, Json, RunId, SessionId, TaskId

_log = logging.getLogger(__name__)

FALLBACK = 15.0
"""seconds between looks for outcomes that nobody told of, while anything is at work"""
CANCELS = 5
"""times that the tasks of a run are ended, until none moves on meanwhile"""
LONGEST_SLEEP = 3600.0
"""seconds between looks at what is due: a clock may jump, a machine may sleep"""


class NewRun(Struct, frozen=True, kw_only=True):
    """What a caller says of a run to be.

    Args:
        plan: all that it is to do.
        trigger: what starts it.
        by: who, for the record.
        trust: what the workflow has earned, never more than its plan says; None is what the plan says.
        key: one run for one cause; None for a run that may be repeated.
        queued: it waits until no other run of its workflow is under way.
    """

    plan: Plan
    trigger: TriggerKind
    by: str
    trust: Trust | None = None
    key: str | None = None
    arrival: ArrivalId | None = None
    due: datetime | None = None
    inputs: Json = field(default_factory=dict)
    queued: bool = False


def ready(rooms: Rooms, new: NewRun) -> tuple[RunId, tuple[Write, ...]]:
    """A run as it is to be written, for callers that begin it in a transaction of theirs and then `poke` it."""
    at = rooms.clock()
    trusts = list(Trust)
    trust = new.plan.trust if new.trust is None else min(new.plan.trust, new.trust, key=trusts.index)
    row = RunRow(
        id=RunId(f"r-{secrets.token_hex(4)}"), number=0, workflow=new.plan.workflow, version=new.plan.version,
        trigger=new.trigger, plan=plans.as_json(new.plan), by=new.by, trust=trust, created=at, key=new.key,
        arrival=new.arrival, due=new.due, inputs=new.inputs, server=rooms.store.server,
        state=RunState.QUEUED if new.queued else RunState.RUNNING, started=None if new.queued else at,
    )  # fmt: skip
    tasks = [
        TaskRow(id=TaskId(f"t-{row.id[2:]}-{at_position + 1}"), run=row.id, position=at_position,
                repository=target.repository, ref=target.ref, created=at, results={})
        for at_position, target in enumerate(new.plan.targets)
    ]  # fmt: skip
    told: Json = {"trigger": new.trigger, "by": new.by, "tasks": len(tasks), "trust": trust}
    writes = [task_rows.insert(task) for task in tasks]
    return row.id, (run_rows.insert(row), *writes, run_rows.told(row.id, "run.begun", told))


class Runs:
    """All runs of one server.

    Args:
        rooms: the rooms below.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self.ready = partial(ready, rooms)
        """see `ready`"""
        self._store = rooms.store
        self._going: dict[TaskId, tuple[Course, asyncio.Task[None]]] = {}
        self._dirty: set[RunId] = set()
        self._held: set[RunId] = set()
        """runs that may begin more once other runs leave an agent or provider to them"""
        self._settled: set[SessionId] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._missed: set[SessionId] = set()
        """sessions whose outcome came while their task was carried: it is looked at once more when it comes to rest"""
        self._known: dict[RunId, tuple[RunRow, Plan]] = {}
        """running runs as the last look at each found it; what a course needs of one stays as it began"""
        self._at_work = False
        self._looked = 0.0
        """when outcomes that nobody told of were looked for (monotonic seconds)"""
        self._due: datetime | None = datetime.min.replace(tzinfo=UTC)
        """when something is due, as the last look found; before the first, at once"""

    async def start(self) -> None:
        """Take up every run where the last server left it."""
        for task in await task_rows.in_state(self._store, TaskState.RUNNING):
            await self._claim(task)
        running = await run_rows.in_state(self._store, RunState.RUNNING, RunState.QUEUED)
        self._dirty.update(row.id for row in running)
        self._loop = asyncio.create_task(self._carry_on(), name="runs")
        self._wake.set()

    async def stop(self) -> None:
        """Let go of every task; each goes on at the next start from where its row says."""
        loop, self._loop = self._loop, None
        if loop is not None:  # first: it begins tasks
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
        await self._halt(*self._going)

    def settled(self, session: SessionId) -> None:
        """Hear that a session has come to an outcome; sessions of nobody's task are no matter."""
        self._settled.add(session)
        self._wake.set()

    def poke(self, run: RunId) -> None:
        """Look at a run again: something of it has changed."""
        self._dirty.add(run)
        self._wake.set()

    async def begin(self, new: NewRun) -> RunId:
        """Begin a run, once for its key: asked again, the run that was begun is named.

        Raises:
            StorageFull: no room is left; nothing was begun.
        """
        if new.key is not None and (there := await run_rows.by_key(self._store, new.key)) is not None:
            return there.id
        run, writes = ready(self._rooms, new)
        try:
            await self._store.log.write(*writes)
        except Conflict:
            there = None if new.key is None else await run_rows.by_key(self._store, new.key)
            if there is None:
                raise
            return there.id
        self.poke(run)
        return run

    async def cancel(self, run: RunId, by: str) -> None:
        """End a run: what waits is not begun, what works is stopped, what was made is kept.

        Raises:
            Conflict: it has ended.
        """
        row = await run_rows.get(self._store, run)
        if row.state is RunState.ENDED:
            raise Conflict(f"run {row.number} has ended: there is nothing to cancel")
        for left in reversed(range(CANCELS)):  # a task may move on, or begin, while it is being ended
            tasks = [task for task in await task_rows.of_run(self._store, run) if task.state is not TaskState.ENDED]
            await self._halt(*(task.id for task in tasks), answered=True)
            ended = await asyncio.gather(
                *(hands.cancel(self._rooms, task.id, by) for task in tasks), return_exceptions=True
            )
            failed = [one for one in ended if one is not None]
            if failed and (left == 0 or not all(isinstance(one, Conflict) for one in failed)):
                raise failed[0]
            if not failed:
                break
        await self._store.log.write(run_rows.told(run, "run.cancelled", {"by": by}))
        if row.state is not RunState.RUNNING:
            await self._store.log.write(run_rows.update(run, state=RunState.RUNNING))
        self.poke(run)

    async def resume(self, run: RunId, by: str, *, failed: bool = False, step: str | None = None) -> int:
        """Go on with a stopped run, or with what failed of one; returns how many tasks go on.

        Raises:
            Conflict: nothing of it waits to go on.
        """
        count = await hands.resume(self._rooms, run, by, failed=failed, step=step)
        self.poke(run)
        return count

    async def take(self, task: TaskId, by: str) -> SessionId:
        """Put a task into a person's hands: its session is theirs, and the run does not end meanwhile.

        Raises:
            Conflict: it has no session yet.
        """
        if (its := (await task_rows.get(self._store, task)).session) is not None:
            await must_be_here(self._store, await session_rows.get(self._store, its))
        await self._halt(task, answered=True)
        session = await hands.take(self._rooms, task, by)
        self.poke((await task_rows.get(self._store, task)).run)
        return session

    async def give_back(self, task: TaskId, by: str) -> None:
        """Go on with a task whose session was handed off again.

        Raises:
            Conflict: no person holds it.
        """
        await hands.give_back(self._rooms, task, by)
        self._at_work = True
        self._looked = 0.0  # its session may have come to an outcome before
        self.poke((await task_rows.get(self._store, task)).run)

    async def decided(self, task: TaskId) -> None:
        """Hear that an effect of a task was decided: it goes on, once no other waits."""
        if await hands.unpark(self._rooms, task):
            self.poke((await task_rows.get(self._store, task)).run)

    async def look_again(self) -> None:
        """Find what other servers of this database have left here, or have done to what is here."""
        mine = await run_rows.in_state(self._store, RunState.RUNNING, RunState.QUEUED)
        known = {row.id for row in mine}
        for task in await task_rows.in_state(self._store, TaskState.QUEUED):
            if task.run not in known:  # its run is another server's, its workspace is here
                await self._claim(task)
        self._dirty |= known
        self._wake.set()

    # --- carrying on --------------------------------------------------------------------------------------------------

    async def _carry_on(self) -> None:
        while True:
            try:
                wait = await self._look()
            except StorageFull as error:
                _log.error("runs wait for room: %s", error)
                wait = FALLBACK
            except Exception:  # noqa: BLE001  # the edge of all runs: one that is broken must not stop the others
                _log.exception("carrying runs on failed; it is tried again")
                wait = FALLBACK
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):  # wait_for of Python 3.11 can lose a cancellation
                    await self._wake.wait()

    async def _look(self) -> float:
        """See to all that has changed; returns the seconds until something is due."""
        self._wake.clear()
        settled, self._settled = self._settled, set()
        for session in settled:
            task = await task_rows.of_session(self._store, session)
            if task is None or task.state is not TaskState.RUNNING:
                continue
            if task.id in self._going:
                self._missed.add(session)
            else:
                await self._go(task)
        due = self._at_work and time.monotonic() >= self._looked + FALLBACK
        if due:
            self._looked = time.monotonic()
            for task in await task_rows.worked_out(self._store):
                await self._go(task)
        at = self._rooms.clock()
        # what is to come after the longest sleep may be of a clock that was ahead, and was set right since
        if self._due is not None and not at < self._due <= at + timedelta(seconds=LONGEST_SLEEP):
            for task in await task_rows.overdue(self._store, self._rooms.clock()):
                await self._halt(task.id)
                await hands.give_up(self._rooms, task.id)
                self._dirty.add(task.run)
            self._dirty |= await hands.take_up(self._rooms)
            due = True
        dirty, self._dirty = self._dirty, set()
        for run in dirty:
            await self._advance(run)
        if due or dirty:  # else no row of a task was changed
            self._due, self._at_work = await task_rows.outlook(self._store)
        wait = LONGEST_SLEEP if self._due is None else (self._due - self._rooms.clock()).total_seconds()
        look = self._looked + FALLBACK - time.monotonic() if self._at_work else LONGEST_SLEEP
        return max(0.05, min(wait, look))

    async def _advance(self, run: RunId) -> None:
        """Begin what may begin of a run, or end it."""
        known = self._known.pop(run, None)
        row = await run_rows.get(self._store, run)
        if row.state is RunState.QUEUED and row.server == self._store.server:
            if await closing.may_start(self._store, row):
                await self._store.log.write(
                    run_rows.told(run, "run.started", {}),
                    guard=run_rows.update(run, RunState.QUEUED, state=RunState.RUNNING, started=self._rooms.clock()),
                )
                row = replace(row, state=RunState.RUNNING)
            else:
                return
        if row.state is not RunState.RUNNING or row.server != self._store.server:
            return
        plan = plans.from_json(row.plan) if known is None else known[1]
        standing = await task_rows.standing(
            self._store, run, most=plan.spread.concurrency, canaries=canaries_of(plan)
        )  # fmt: skip
        if standing.count(TaskState.ENDED) == standing.count():
            await closing.close(self._rooms, row)
            self._dirty.update(item.id for item in await run_rows.in_state(self._store, RunState.QUEUED))
            self._wake.set()
            return
        self._known[run] = row, plan
        limited = plan.spread.per_agent is not None or plan.spread.per_provider is not None
        served = self._rooms.sessions.served
        agents, providers = await busy(self._store, served) if limited else (Counter[str](), Counter[str]())
        verdict = choose(plan, standing, agents=agents, providers=providers, served=served)
        if limited:
            self._held.add(run)
        if verdict.stop is not None and not standing.count(TaskState.RUNNING):
            await closing.stop(self._rooms, row, verdict.stop)
            return
        for task in verdict.begin:
            if task.server in (None, self._store.server):  # what waits for the server that it was begun on, waits
                await self._claim(task, row, plan)

    async def _claim(self, task: TaskRow, run: RunRow | None = None, plan: Plan | None = None) -> None:
        """Take a task in hand: from now on its row heeds the new epoch alone."""
        changes: dict[str, object] = {"epoch": task.epoch + 1, "server": self._store.server, "state": TaskState.RUNNING}
        changes["started"] = task.started or self._rooms.clock()
        if plan is not None and task.deadline is None:
            changes["deadline"] = hands.deadline(self._rooms, plan)
        try:
            await self._store.log.write(guard=task_rows.update(task.id, task.epoch, **changes))  # type: ignore[arg-type]  # a TypedDict's part
        except Conflict:
            return
        await self._go(replace(task, **changes), run, plan)

    async def _go(self, task: TaskRow, run: RunRow | None = None, plan: Plan | None = None) -> None:
        """Carry a claimed task forward, in a task of the loop of its own; one at a time."""
        if task.id in self._going:
            return
        if run is None or plan is None:
            run, plan = self._known.get(task.run, (run, plan))
        run = run or await run_rows.get(self._store, task.run)
        course = Course(self._rooms, run, plan or plans.from_json(run.plan), task)
        self._at_work = True
        self._going[task.id] = course, asyncio.create_task(self._run(course), name=f"task {task.id}")

    async def _run(self, course: Course) -> None:
        task, at_rest = course.task, False
        try:
            await course.go()
            at_rest = course.task.state is TaskState.RUNNING and course.task.step is Step.WORK
        except StorageFull as error:
            _log.error("task %s waits for room: %s", task.id, error)
        except HandrailError as error:
            await _broken(self._rooms, course.task, error.message)
        except Exception as error:  # noqa: BLE001  # the edge of one task
            _log.exception("task %s stopped", task.id)
            await _broken(
                self._rooms, course.task, f"Handrail failed in this task ({type(error).__name__}); its log tells more"
            )
        finally:
            self._going.pop(task.id, None)
            self._at_work = True
            if self._missed:
                self._settled |= self._missed
                self._missed.clear()
                self._wake.set()
            if not at_rest or self._held:  # else its agent is at work, and nothing more may begin than before
                self._dirty |= self._held
                self._held.clear()
                self.poke(task.run)

    async def _halt(self, *tasks: TaskId, answered: bool = False) -> None:
        """Stop carrying tasks; what was under way is found again by whoever goes on.

        Where a person wants them (`answered`), the answer to an effect under way is waited for a while first.
        """
        if answered:
            await asyncio.gather(*(self._going[task][0].delivery.let_go() for task in tasks if task in self._going))
        going = [self._going[task][1] for task in tasks if task in self._going]
        for one in going:
            one.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    async def rerun(self, run: RunId, by: str, *, failed: bool) -> RunId:
        """Begin a new run of the same plan, of all its repositories or of those alone that did not succeed.

        Raises:
            Conflict: none failed.
        """
        row = await run_rows.get(self._store, run)
        plan = plans.from_json(row.plan)
        targets = plan.targets
        if failed:
            bad = await hands.failed(self._store, run)
            if not bad:
                raise Conflict(f"no task of run {row.number} failed: there is nothing to run again")
            targets = tuple(plan.targets[task.position] for task in bad)
        rehearsal = row.trigger is TriggerKind.REHEARSAL  # it stays one: nothing is carried out, nothing is earned
        trigger = TriggerKind.REHEARSAL if rehearsal else TriggerKind.MANUAL
        again = NewRun(
            plan=replace(plan, targets=targets), trigger=trigger, by=by, trust=row.trust,
            inputs=row.inputs, arrival=row.arrival,
        )  # fmt: skip
        new = await self.begin(again)
        await self._store.log.write(run_rows.told(new, "run.again", {"of": row.id, "failed": failed}))
        return new


async def _broken(rooms: Rooms, task: TaskRow, reason: str) -> None:
    with contextlib.suppress(HandrailError):
        await hands.fail(rooms, task, reason)
