"""What a task does when something fails, by cause. The clock is played: no wait is waited out."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from handrail.automation import TaskState
from handrail.kinds import Kind
from handrail.runs.plan import Retries
from handrail.runs.verdict import Pace
from handrail.store.tasks import TaskRow
from handrail.types import Outcome, RunId, now
from tests.runs.conftest import MEND, OpenWorks, Works, stage

HOUR = 3600
OUT: dict[str, object] = {"fault": "500", "times": 3, "retry_after": HOUR}
"""the own agent takes that for an answer at once; a session gives up after three turns that failed in a row"""
QUOTA: dict[str, object] = {"fault": "429", "times": 3, "retry_after": 2 * HOUR}
CRASH: dict[str, object] = {"shell": "echo >> crashes; test $(wc -l < crashes) -gt 3 || kill -9 $PPID"}
"""three times, however often it is asked for"""


LONG: dict[str, object] = {"shell": "test -e begun || { touch begun; sleep 600; }"}


class Clock:
    """Goes on by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return now() + self.ahead


async def _parked(works: Works, run: RunId) -> TaskRow:
    return await works.until(run, TaskState.PARKED)


async def _later(works: Works, run: RunId, clock: Clock, seconds: float) -> None:
    clock.ahead += timedelta(seconds=seconds)
    works.runs.poke(run)
    await asyncio.sleep(0)


async def test_an_outage_of_the_provider_is_waited_out_longer_each_time(open_works: OpenWorks) -> None:
    clock = Clock()
    async with open_works(clock=clock, pace=Pace()) as works:
        run = await works.begin(works.plan(stage({**OUT, "times": 6}, MEND, turns=9)))
        task = await _parked(works, run)
        assert task.due is not None
        assert 20 < (task.due - clock()).total_seconds() <= 33
        assert "500" in str(task.reason)
        session = task.session
        await _later(works, run, clock, 34)
        await works.until(run, TaskState.RUNNING)
        task = await _parked(works, run)
        assert task.due is not None
        assert 45 < (task.due - clock()).total_seconds() <= 66  # twice as long
        await _later(works, run, clock, 67)
        assert (await works.ended(run)).outcome is Outcome.DONE
        (task,) = await works.tasks(run)
        assert task.session == session  # the same one went on
        assert (await works.lines(run)).count("task.retried") == 2
        assert len(works.ledger.carried) == 1


async def test_a_quota_parks_a_task_until_it_is_reset(open_works: OpenWorks) -> None:
    clock = Clock()
    async with open_works(clock=clock, pace=Pace()) as works:
        run = await works.begin(works.plan(stage(QUOTA, MEND)))
        task = await _parked(works, run)
        assert task.due is not None
        assert (task.due - clock()).total_seconds() > 2 * HOUR - 60  # what the provider said, not our 15 minutes
        await _later(works, run, clock, HOUR)
        assert (await _parked(works, run)).due == task.due
        await _later(works, run, clock, 2 * HOUR)
        assert (await works.ended(run)).outcome is Outcome.DONE


async def test_an_agent_that_crashes_goes_on_in_its_session(works: Works) -> None:
    run = await works.begin(works.plan(stage(*[CRASH] * 4, MEND, turns=9)))
    assert (await works.ended(run)).outcome is Outcome.DONE
    assert (await works.lines(run)).count("task.retried") == 1
    (task,) = await works.tasks(run)
    assert task.attempt == 1


@pytest.mark.parametrize(("step", "cause"), [(OUT, "provider"), (QUOTA, "limit"), (CRASH, "agent")])
async def test_without_retries_the_cause_is_the_end_of_it(works: Works, step: dict[str, object], cause: str) -> None:
    steps = [step] * 3 if step is CRASH else [step]
    run = await works.begin(works.plan(stage(*steps, MEND, turns=9), retries=Retries(0, 0, 0, 0)))
    row = await works.ended(run)
    (task,) = await works.tasks(run)
    assert (task.cause, row.outcome) == (cause, Outcome.FAILED if step is CRASH else Outcome.BLOCKED)


async def test_a_task_is_given_up_at_its_timeout_and_goes_on_when_a_person_says_so(open_works: OpenWorks) -> None:
    clock = Clock()
    async with open_works(clock=clock) as works:
        run = await works.begin(works.plan(stage(LONG, MEND, turns=9), timeout=600.0))
        session = await works.at_work(run)
        await works.house.until(session, Kind.TOOL_STARTED)
        assert (await works.tasks(run))[0].state is TaskState.RUNNING
        await _later(works, run, clock, 601)
        assert (await works.ended(run, 20)).outcome is Outcome.FAILED
        (task,) = await works.tasks(run)
        assert (task.cause, task.reason) == ("timeout", "it was not finished after 600 s, the timeout of its workflow")
        await works.house.rest(session)
        await works.runs.resume(run, "alice", failed=True)
        assert (await works.ended(run)).outcome is Outcome.DONE
        assert (await works.tasks(run))[0].session == session


async def test_the_timeout_does_not_hold_for_what_waits_for_a_person(open_works: OpenWorks) -> None:
    clock = Clock()
    async with open_works(clock=clock) as works:
        run = await works.begin(works.plan(stage(checks=()), timeout=600.0))
        await _parked(works, run)
        await _later(works, run, clock, HOUR)
        await asyncio.sleep(0.3)
        assert (await _parked(works, run)).outcome is None
