"""Carries schedules out: wakes when a tick is due, decides it, and writes all of it in one transaction with its run.

The watermark of a workflow is the guard of that transaction, so that of several servers on one database one alone
writes. A server that dies before has done nothing; one that dies afterwards has left a run that any server takes up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from msgspec import Struct, field

from handrail.automation import TickState
from handrail.errors import Conflict, HandrailError
from handrail.loop import Loop
from handrail.store import ticks as tick_rows
from handrail.store import workflows as workflow_rows
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.ticks import TickRow
from handrail.store.workflows import WorkflowRow
from handrail.triggers.schedule import Decision, decide
from handrail.types import RunId, now
from handrail.workflows.cron import upcoming
from handrail.workflows.rules import Rule

_log = logging.getLogger("handrail.triggers")

LOOK = 30.0
"""seconds after which the table is looked at unasked: another server may have changed it"""
GLANCE = 5.0
"""seconds between looks at the wall clock: while a machine is suspended, sleeping tasks do not count the time"""
JUMP = 10.0
"""seconds that the wall clock must part from the running clock to be told of"""
RACE = 0.1
"""seconds until the next look after another server was faster"""
RETRY = 5.0
"""seconds until a schedule is tried again whose run could not be started for a fault that passes"""


class Scheduled(Struct, frozen=True):
    """An enabled workflow with schedules."""

    row: WorkflowRow
    rules: tuple[Rule, ...]
    forges: tuple[str, ...] = ()
    """that its repositories are at"""


class Begun(Struct, frozen=True):
    """A run that is ready to be written."""

    run: RunId
    writes: tuple[Write, ...]


class Starter(Protocol):
    """What starts and ends runs."""

    async def begin(self, row: WorkflowRow, due: datetime, *, queued: bool) -> Begun:
        """Make the run of a tick ready.

        Raises:
            HandrailError: it cannot be started; with exit code 2 it never will.
        """
        ...

    async def begun(self, run: RunId) -> None:
        """Hear that a run was written."""
        ...

    async def cancel(self, run: RunId) -> None:
        """End a run because the next one is due."""
        ...


class Clock(Struct, frozen=True):
    """The clocks of a machine: of the wall, and one that is never set."""

    wall: Callable[[], datetime] = now
    running: Callable[[], float] = time.monotonic


class _Round(Struct):
    """One decision about a workflow: what it starts from, and what it writes."""

    row: WorkflowRow
    at: datetime
    going: list[str]
    settled: set[datetime]
    writes: list[Write] = field(default_factory=list)
    runs: list[RunId] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Whether a run goes on, or is about to."""
        return bool(self.going or self.runs)

    def note(self, number: int, due: datetime, state: TickState, reason: str | None = None, **more: Any) -> None:
        """Record what became of a tick of schedule `number`."""
        row = TickRow(workflow=self.row.name, trigger=number, due=due, state=state, reason=reason, time=self.at, **more)
        self.writes += tick_rows.insert(row)


class Ticker:
    """Fires the schedules of all enabled workflows.

    Args:
        store: where workflows and ticks are.
        scheduled: the enabled workflows with schedules, asked at each look.
        starter: starts runs.
        clock: of this machine.
    """

    def __init__(
        self,
        store: Store,
        scheduled: Callable[[], Awaitable[Sequence[Scheduled]]],
        starter: Starter,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._scheduled = scheduled
        self._starter = starter
        self._clock = clock or Clock()
        self._loop = Loop("schedules", self.look, retry=RETRY, pause=self._pause)

    async def start(self) -> None:
        """Decide what came due meanwhile, and go on."""
        self._loop.start()

    async def stop(self) -> None:
        """Stop; what is due afterwards is decided by whoever comes next."""
        await self._loop.stop()

    def wake(self) -> None:
        """Look now: a workflow was enabled, disabled or changed."""
        self._loop.wake()

    async def look(self) -> float:
        """Decide all that is due; returns the seconds until the next look."""
        wait = LOOK
        for item in await self._scheduled():
            try:
                wait = min(wait, await self._settle(item))
            except HandrailError as error:
                _log.error("the schedule of %s waits: %s", item.row.name, error)
                wait = min(wait, RETRY)
        return wait

    async def _pause(self, seconds: float, woken: asyncio.Event) -> None:
        """Wait by the wall clock, or until something changes or a clock jumps."""
        wall, running = self._clock.wall(), self._clock.running()
        end = wall + timedelta(seconds=seconds)
        while not woken.is_set():
            left = (end - self._clock.wall()).total_seconds()
            apart = (self._clock.wall() - wall).total_seconds() - (self._clock.running() - running)
            if abs(apart) > JUMP:
                _log.warning(
                    "the clock went %.0f s %s: schedules are looked at", abs(apart), "on" if apart > 0 else "back"
                )
                return
            if left <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, GLANCE)):
                    await woken.wait()

    async def _settle(self, item: Scheduled) -> float:
        """Decide what is due of one workflow; returns the seconds until its next tick."""
        at, before = self._clock.wall(), item.row.watermark
        if before is None:
            return LOOK
        decisions = [decide(rule, before, at, going=False) for rule in item.rules]
        unfinished = [decision.watermark for decision in decisions if decision.more]
        after = min(unfinished) if unfinished else max(decision.watermark for decision in decisions)
        if after != before and not await self._write(item, before, after, at):
            return RACE
        if unfinished:
            return 0.0
        following = upcoming([rule.cron for rule in item.rules], max(at, after), 1)
        return (following[0] - self._clock.wall()).total_seconds() if following else LOOK

    async def _write(self, item: Scheduled, before: datetime, after: datetime, at: datetime) -> bool:
        """Write what became of the due times between two watermarks; False where somebody else was faster."""
        name = item.row.name
        going = await workflow_rows.going(self._store, name)
        this = _Round(item.row, at, going, await tick_rows.settled(self._store, name, min(before, after)))
        for number, rule in enumerate(item.rules):
            await self._carry(this, number, decide(rule, before, at, going=this.busy))
        try:
            await self._store.log.write(*this.writes, guard=workflow_rows.advance(item.row, after))
        except Conflict:
            return False
        for run in this.runs:
            await self._starter.begun(run)
        return True

    async def _carry(self, this: _Round, number: int, decision: Decision) -> None:
        """Turn the decision about one schedule into writes. What was settled before a clock was set back stays so."""
        for span in decision.missed:
            if span.last not in this.settled:
                this.note(number, span.last, TickState.MISSED, span.reason, since=span.first, count=span.count)
        for due in decision.skipped:
            if due not in this.settled:
                this.note(number, due, TickState.SKIPPED, "the run before had not ended")
        fire = [due for due in decision.fire if due not in this.settled]
        if decision.cancel and fire:
            for run in this.going:  # first: if this server dies now, the tick is decided again and cancels nothing
                with contextlib.suppress(Conflict):
                    await self._starter.cancel(RunId(run))
        for due in fire:
            this.settled.add(due)
            queued = decision.waits and this.busy
            try:
                begun = await self._starter.begin(this.row, due, queued=queued)
            except HandrailError as error:
                if error.exit_code != 2:  # a fault that passes: nothing is decided yet
                    raise
                this.note(number, due, TickState.MISSED, f"its run could not be started: {error.message}")
                continue
            this.writes += begun.writes
            this.runs.append(begun.run)
            this.note(number, due, TickState.QUEUED if queued else TickState.FIRED, run=begun.run)
