from __future__ import annotations

import asyncio
import time

import pytest

from handrail.automation import EffectState, RunState, TaskState, Trust
from handrail.errors import Conflict
from handrail.kinds import Kind
from handrail.runs.plan import Spread
from handrail.store import runs
from handrail.types import Control, Outcome
from tests.runs.conftest import MEND, OpenWorks, Works, by_hand, git, stage
from tests.whole.house import alive

HANG: dict[str, object] = {"shell": "sleep 60"}


async def test_a_finished_task_is_taken_worked_on_by_hand_and_given_back(works: Works) -> None:
    run = await works.begin(works.plan(stage(MEND, {"text": "Done."})))
    await works.ended(run)
    (task,) = await works.tasks(run)
    session = await works.runs.take(task.id, "alice")
    row = await runs.get(works.house.store, run)
    (taken,) = await works.tasks(run)
    assert (row.state, taken.state, taken.outcome) == (RunState.RUNNING, TaskState.TAKEN, None)
    assert taken.session == session
    await by_hand(works, taken)  # asked as in any session that a person holds
    assert (await works.ended(run)).outcome is Outcome.DONE
    made = [row for row in await works.effects(run) if row.state is EffectState.CARRIED]
    assert len(made) == 2  # the branch of the first delivery was brought up to date
    assert made[1].receipt is not None
    branch = str(made[1].receipt["branch"])
    assert "# by hand" in git(works.house.repository, "show", f"{branch}:greet.py")
    (again,) = await works.tasks(run)
    assert again.session == session
    assert "task.given_back" in await works.lines(run)


async def test_a_proposal_that_is_as_true_after_hands_as_before_waits_again(works: Works) -> None:
    run = await works.begin(works.plan(stage(MEND, {"text": "Done."}, {"text": "As it was."}), trust=Trust.SUPERVISED))
    task = await works.until(run, TaskState.PARKED)
    (effect,) = await works.effects(run)
    session = await works.runs.take(task.id, "alice")
    assert [row.cause for row in await works.effects(run)] == ["superseded"]
    goal = (await works.house.row(session)).goal
    assert goal is not None
    await works.house.sessions.handoff(session, goal, "alice")
    await works.runs.give_back(task.id, "alice")
    await works.until(run, TaskState.PARKED)
    assert [(row.id, row.state) for row in await works.effects(run)] == [(effect.id, EffectState.WAITING)]


async def test_a_task_that_a_person_takes_by_its_session_does_not_end_its_run(works: Works) -> None:
    run = await works.begin(works.plan(stage(HANG)))
    session = await works.at_work(run)
    await works.house.until(session, Kind.TOOL_STARTED)
    await works.house.sessions.take(session, "alice")
    works.runs.poke(run)
    task = await works.until(run, TaskState.TAKEN)
    assert (await runs.get(works.house.store, run)).state is RunState.RUNNING
    assert (await works.house.row(session)).control is Control.YOU
    with pytest.raises(Conflict):
        await works.runs.resume(run, "alice")
    assert task.outcome is None


async def test_cancel_ends_the_agent_within_five_seconds_and_keeps_what_was_made(works: Works) -> None:
    run = await works.begin(works.plan(stage(MEND, HANG)))
    session = await works.at_work(run)
    await works.house.until(session, Kind.TOOL_STARTED, count=2)
    begun = time.monotonic()
    await works.runs.cancel(run, "alice")
    took = time.monotonic() - begun
    assert (await works.ended(run)).outcome is Outcome.CANCELLED
    (task,) = await works.tasks(run)
    (started,) = await works.house.events(session, Kind.AGENT_STARTED)
    assert (task.cause, alive(int(str(started.data["pid"])))) == ("cancelled", False)
    assert took < 5
    change = await works.house.sessions.diff(session, None, None)
    assert [file.path for file in change.files] == ["greet.py"]
    with pytest.raises(Conflict, match="has ended"):
        await works.runs.cancel(run, "alice")


async def test_a_run_is_cancelled_in_the_moment_in_which_it_begins(works: Works) -> None:
    for _ in range(3):
        run = await works.begin(works.plan())
        await works.runs.cancel(run, "alice")  # its task is being claimed
        assert (await works.ended(run)).outcome is Outcome.CANCELLED


async def test_a_parked_run_is_cancelled_and_its_effect_never_carried_out(works: Works) -> None:
    run = await works.begin(works.plan(trust=Trust.SUPERVISED))
    await works.until(run, TaskState.PARKED)
    await works.runs.cancel(run, "alice")
    assert (await works.ended(run)).outcome is Outcome.CANCELLED
    (effect,) = await works.effects(run)
    assert (effect.state, works.ledger.asked) == (EffectState.REJECTED, 0)


async def test_what_waits_for_a_person_waits_through_a_restart(open_works: OpenWorks) -> None:
    async with open_works() as works:
        run = await works.begin(works.plan(trust=Trust.SUPERVISED))
        await works.until(run, TaskState.PARKED)
    async with open_works() as works:
        await asyncio.sleep(0.2)
        (effect,) = await works.effects(run)
        assert (effect.state, works.ledger.asked) == (EffectState.WAITING, 0)
        await works.decide(effect, EffectState.APPROVED)
        assert (await works.ended(run)).outcome is Outcome.DONE
        assert len(works.ledger.carried) == 1


async def test_two_runs_share_what_an_agent_may_do_at_once(works: Works) -> None:
    plan = works.plan(effects=(), spread=Spread(per_agent=1))
    runs = [await works.begin(plan) for _ in range(2)]  # the first is still being prepared when the second begins
    for run in runs:
        await works.ended(run)
    (one,), (two,) = [await works.tasks(run) for run in runs]
    # which is looked at first is open where both begin in one moment
    moments = [(task.started, task.ended) for task in (one, two)]
    (_, ended), (started, _) = sorted((a, b) for a, b in moments if a is not None and b is not None)
    assert started >= ended


async def test_failed_tasks_alone_run_again(works: Works) -> None:
    other = works.house.repository.parent / "other"
    git(works.house.repository, "clone", "-q", str(works.house.repository), str(other))
    (other / "check.sh").write_text("false\n")
    git(other, "commit", "-q", "-a", "-m", "spoil")
    plan = works.plan(stage(turns=1), targets=(works.house.repository, other))
    run = await works.begin(plan)
    row = await works.ended(run)
    assert (row.outcome, row.reason) == (Outcome.FAILED, "1 done, 1 failed")
    git(other, "revert", "--no-edit", "HEAD")
    again = await works.runs.rerun(run, "alice", failed=True)
    assert (await works.ended(again)).outcome is Outcome.DONE
    assert [task.repository for task in await works.tasks(again)] == [str(other)]
    with pytest.raises(Conflict, match="nothing to run again"):
        await works.runs.rerun(again, "alice", failed=True)
    await works.runs.resume(run, "alice", failed=True, step="prepare")  # the same run: its failed task begins afresh
    assert (await works.ended(run)).outcome is Outcome.DONE
    assert [task.attempt for task in await works.tasks(run)] == [1, 2]
