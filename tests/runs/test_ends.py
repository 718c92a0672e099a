"""What a workflow says of its runs: whom they tell, what they use up and are given, when silence is an alarm."""

from __future__ import annotations

import asyncio

import pytest

from handrail.automation import RunState, TaskState, TriggerKind, Trust
from handrail.egress import Broker
from handrail.egress.vault import Vault
from handrail.errors import Conflict
from handrail.notify import Occasion
from handrail.runs import closing
from handrail.sessions import budgets as shared
from handrail.store import budgets
from handrail.store import runs as run_rows
from handrail.store import sessions as session_rows
from handrail.store import tasks as task_rows
from handrail.types import Budget, Limits, NanoUSD, Outcome, RunId, Scope
from tests.runs.conftest import MEND, OpenWorks, Works, stage

WAIT: dict[str, object] = {"shell": "true"}
WELL: dict[str, object] = {"text": "All is well."}


async def _idle(works: Works, trigger: TriggerKind) -> RunId:
    plan = works.plan(stage(WELL), idle_alarm=2)
    run = await works.begin(plan, trigger)
    assert (await works.ended(run)).outcome is Outcome.NOTHING_TO_DO
    return run


async def test_a_workflow_that_does_nothing_again_and_again_is_told_of_once(works: Works) -> None:
    check = works.house.repository / "check.sh"
    check.write_text("true\n")
    await works.commit("agree")
    runs = [await _idle(works, TriggerKind.EVENT)]
    await _idle(works, TriggerKind.MANUAL)  # a person who tries it out neither raises the alarm nor counts
    assert works.told == []
    runs.append(await _idle(works, TriggerKind.SCHEDULE))
    (notice,) = works.told
    assert (notice.occasion, notice.title, notice.facts["run"]) == (Occasion.IDLE, "nightly", runs[1])
    assert "2 runs running" in notice.detail
    assert "workflow.idle" in await works.lines(runs[1])
    await _idle(works, TriggerKind.EVENT)  # it goes on: told already
    assert len(works.told) == 1
    check.write_text("false\n")
    await works.commit("disagree")
    await works.ended(await works.begin(works.plan(stage(WELL, turns=1), idle_alarm=2), TriggerKind.EVENT))
    check.write_text("true\n")
    await works.commit("agree again")
    works.told.clear()
    await _idle(works, TriggerKind.EVENT)
    assert works.told == []
    await _idle(works, TriggerKind.EVENT)  # anew, since something had happened
    assert [notice.occasion for notice in works.told] == [Occasion.IDLE]


async def test_the_channels_that_a_workflow_names_are_told_of_the_end(works: Works) -> None:
    run = await works.begin(works.plan(notify=("team",)), TriggerKind.EVENT)
    await works.ended(run)
    assert [notice.occasion for notice in works.told] == [Occasion.RUN]
    assert works.channels == ["team"]


async def test_a_run_is_bound_by_what_its_tasks_may_use_up_and_by_the_budget_of_its_workflow(
    works: Works,
) -> None:
    plan = works.plan(stage(*[WAIT] * 6, MEND), run_limits=Limits(turns=None, budget=NanoUSD(10_000_000)))
    run = await works.begin(plan)
    assert (await works.ended(run)).outcome is Outcome.NEEDS_PERSON
    (task,) = await works.tasks(run)
    assert task.cause == "budget_spent"
    assert f"run:{run}" in str(task.reason)
    assert await budgets.everything(works.house.store) == []  # it goes with its run

    cap = Budget(Scope("workflow:nightly"), money=NanoUSD(10_000_000))
    await shared.put(works.house.store, works.house.gateway, cap)
    run = await works.begin(works.plan(stage(*[WAIT] * 6, MEND)))
    assert (await works.ended(run)).outcome is Outcome.NEEDS_PERSON
    (task,) = await works.tasks(run)
    assert task.cause == "budget_spent"
    assert "workflow:nightly" in str(task.reason)
    assert await budgets.everything(works.house.store) == [cap]  # it stays for the runs to come


async def test_sessions_of_a_run_are_given_its_secrets_and_none_that_is_not_there(open_works: OpenWorks) -> None:
    vault = Vault()
    vault.put("SEARCH_KEY", Broker("search-key", "https://api.example.com", "X-Api-Key", "s3cret-s3cret-s3cret"))
    async with open_works(vault=vault) as works:
        run = await works.begin(works.plan(secrets=("SEARCH_KEY",), network=("api.example.com",)))
        assert (await works.ended(run)).outcome is Outcome.DONE
        (task,) = await works.tasks(run)
        assert task.session is not None
        row = await session_rows.get(works.house.store, task.session)
        assert list(row.secrets) == ["SEARCH_KEY"]
        run = await works.begin(works.plan(secrets=("OTHER",)))
        assert (await works.ended(run)).outcome is Outcome.FAILED
        (task,) = await works.tasks(run)
        assert (task.cause, task.session) == ("secrets", None)
        assert "handrail secrets set" in str(task.reason)


@pytest.mark.parametrize("word", ["t-{}-1", "t-{}"])
async def test_a_session_is_found_by_its_task(works: Works, word: str) -> None:
    run = await works.begin(works.plan())
    await works.ended(run)
    (task,) = await works.tasks(run)
    assert (await session_rows.find(works.house.store, word.format(run[2:]))).id == task.session


async def test_a_run_does_not_end_while_a_task_of_it_goes_on_whatever_was_read_of_it_before(works: Works) -> None:
    run = await works.begin(works.plan(trust=Trust.SUPERVISED))
    task = await works.until(run, TaskState.PARKED)
    store = works.house.store
    row = await run_rows.get(store, run)
    await closing.close(works.rooms, row)
    with pytest.raises(Conflict):
        await store.log.write(guard=run_rows.end(run, outcome=Outcome.DONE))
    assert (await run_rows.get(store, run)).state is RunState.RUNNING

    await works.runs.stop()

    async def flip() -> None:
        for state in (TaskState.QUEUED, TaskState.PARKED) * 100:
            await store.log.write(guard=task_rows.update(task.id, task.epoch, state=state))

    flipping = asyncio.create_task(flip())
    while not flipping.done():
        found = await task_rows.standing(store, run, most=1, canaries=0)
        assert (found.count(), found.count(TaskState.ENDED)) == (1, 0)
    await flipping
