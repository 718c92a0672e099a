"""What a task does when something fails, by cause. The clock is played: no wait is waited out."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from handrail.automation import TaskState
from handrail.forges import faults
from handrail.runs.plan import Retries, Spread, Target
from handrail.runs.rooms import Brought
from handrail.runs.verdict import Pace
from handrail.sessions import agent, workplace
from handrail.store.tasks import TaskRow
from handrail.types import Outcome, RunId, now
from tests.runs.conftest import MEND, Ledger, OpenWorks, Works, git, stage

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


async def _parked(works: Works, run: RunId, since: TaskRow | None = None) -> TaskRow:
    """The task when it is parked: until another time than `since`, for what goes on meanwhile may be gone unseen."""
    async with asyncio.timeout(60):
        while (task := await works.until(run, TaskState.PARKED)) == since:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return task


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
        task = await _parked(works, run, task)
        assert task.due is not None
        assert 45 < (task.due - clock()).total_seconds() <= 66  # twice as long
        await _later(works, run, clock, 67)
        assert (await works.ended(run)).outcome is Outcome.DONE
        (task,) = await works.tasks(run)
        assert task.session == session  # the same one went on
        assert (await works.lines(run)).count("task.retried") == 2
        assert len(works.ledger.carried) == 1


async def test_a_quota_parks_a_task_until_it_is_reset_or_the_clock_that_said_so_is_set_right(
    open_works: OpenWorks,
) -> None:
    clock = Clock()
    async with open_works(clock=clock, pace=Pace()) as works:
        run = await works.begin(works.plan(stage(QUOTA, MEND)))
        task = await _parked(works, run)
        assert task.due is not None
        assert (task.due - clock()).total_seconds() > 2 * HOUR - 60  # what the provider said, not our 15 minutes
        await _later(works, run, clock, HOUR)
        assert (await _parked(works, run)).due == task.due
        await _later(works, run, clock, -HOUR - 5)  # the ordinary drift of a clock is no matter
        assert (await _parked(works, run)).due == task.due
        await _later(works, run, clock, -2 * 365 * 24 * HOUR)  # it was far ahead: the time would never come
        assert (await works.ended(run)).outcome is Outcome.DONE


def shops(works: Works, count: int) -> list[Path]:
    """Clones of the repository, to be worked on together."""
    found = [works.house.repository.parent / f"shop-{number}" for number in range(count)]
    for place in found:
        git(works.house.repository, "clone", "-q", ".", str(place))
    return found


async def test_a_quota_hit_when_most_of_a_run_is_done_goes_on_from_there(open_works: OpenWorks) -> None:
    """Incident 15 (CC#79127: hit at 70 of 90 children, all of which were begun anew)."""
    clock, ledger = Clock(), Ledger()
    async with open_works(ledger, clock=clock, pace=Pace()) as works:
        plan = works.plan(targets=shops(works, 5), spread=Spread(concurrency=1))
        run = await works.begin(plan)
        async with asyncio.timeout(60):
            while sum(task.state is TaskState.ENDED for task in await works.tasks(run)) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        works.house.fake.quota = int(2 * HOUR)
        async with asyncio.timeout(60):
            while not any(task.state is TaskState.PARKED for task in await works.tasks(run)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        done = [task for task in await works.tasks(run) if task.state is TaskState.ENDED]
        assert 3 <= len(done) < 5
        sessions = {task.id: task.session for task in await works.tasks(run)}
        fake = works.house.fake
    fake.quota = None  # before anything is asked again: what was cut off goes on at once
    async with open_works(ledger, clock=clock, pace=Pace()) as works:  # the server was started again meanwhile
        await _later(works, run, clock, 3 * HOUR)
        outcome = (await works.ended(run)).outcome
        tasks = await works.tasks(run)
        assert outcome is Outcome.DONE, [(task.outcome, task.cause, task.reason) for task in tasks]
        assert [task for task in tasks if task.id in {one.id for one in done}] == done, "what was done stays as it was"
        assert all(task.session == (sessions[task.id] or task.session) for task in tasks)
        assert len(ledger.carried) == 5, "each pull request once"


async def test_an_agent_that_crashes_goes_on_in_its_session(works: Works) -> None:
    run = await works.begin(works.plan(stage(*[CRASH] * 4, MEND, turns=9)))
    assert (await works.ended(run)).outcome is Outcome.DONE
    assert (await works.lines(run)).count("task.retried") == 1
    (task,) = await works.tasks(run)
    assert task.attempt == 1


async def test_where_handrail_itself_fails_a_run_goes_on_or_ends_and_never_waits_for_ever(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, broken = agent.start, 1

    async def start(*given: Any) -> agent.RunningAgent:
        nonlocal broken
        broken -= 1
        if broken >= 0:
            raise RuntimeError("dictionary changed size during iteration")
        return await real(*given)

    monkeypatch.setattr(workplace, "start", start)
    run = await works.begin(works.plan())
    assert (await works.ended(run)).outcome is Outcome.DONE
    broken = 1
    run = await works.begin(works.plan(retries=Retries(0, 0, 0, 0)))
    assert (await works.ended(run)).outcome is Outcome.FAILED
    (task,) = await works.tasks(run)
    assert (task.cause, "Handrail failed in this session (RuntimeError)" in str(task.reason)) == ("handrail", True)


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
        async with asyncio.timeout(60):
            while not any(works.house.config.data.glob(f"sessions/{session}/**/begun")):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # that it was told of does not say that it has begun
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


class Bringing:
    """Would bring the shop from a forge, had git nothing to say against it."""

    def __init__(self, *said: str) -> None:
        self._said = list(said)

    async def bring(self, _: Target) -> Brought:
        raise faults.of_git("bringing acme/shop from hub", self._said.pop(0))


async def test_a_forge_that_does_not_give_a_repository_is_waited_for_or_ends_it_by_its_own_cause(
    open_works: OpenWorks,
) -> None:
    down = "fatal: unable to access 'https://x/': The requested URL returned error: {}"
    ends = ("Authentication failed for 'https://x/'", "repository 'https://x/' not found")
    sources = Bringing(down.format(500), down.format(503), *(f"fatal: {end}" for end in ends))
    async with open_works(sources=sources) as works:
        plan = works.plan(targets=(Path("hub:acme/shop"),), retries=Retries(provider=0, agent=0, quota=0, forge=2))
        # what fails in passing is tried again as the forge's fault, and what does not has its name at once
        for outcome, cause in ((Outcome.BLOCKED, "token_refused"), (Outcome.FAILED, "not_found")):
            run = await works.begin(plan)
            assert (await works.ended(run)).outcome is outcome
            (task,) = await works.tasks(run)
            assert task.cause == cause
            assert "repository: bringing acme/shop from hub" in str(task.reason)
            assert (await works.lines(run)).count("task.retried") == (2 if cause == "token_refused" else 0)
