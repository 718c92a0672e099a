from __future__ import annotations

from collections import Counter

import pytest
from msgspec.structs import replace

from handrail.automation import TaskState
from handrail.runs.likeness import grouped, likeness, normalised
from handrail.runs.plan import Plan, Spread, Stage, Target
from handrail.runs.spread import busy, canaries_of, choose
from handrail.store.tasks import Standing, TaskRow
from handrail.types import Outcome, RunId, TaskId, now
from tests.runs.conftest import Works, stage

NOBODY: Counter[str] = Counter()


def _tasks(*states: TaskState | Outcome) -> list[TaskRow]:
    rows = []
    for at, state in enumerate(states):
        row = TaskRow(
            id=TaskId(f"t-{at}"), run=RunId("r"), position=at, repository=f"/r/{at}", created=now(), results={}
        )
        if isinstance(state, Outcome):
            row = replace(row, state=TaskState.ENDED, outcome=state, started=now())
        rows.append(replace(row, state=state) if isinstance(state, TaskState) else row)
    return rows


def _standing(plan: Plan, tasks: list[TaskRow]) -> Standing:
    """As `store.tasks.standing` finds it among these rows."""
    waiting = [task for task in tasks if task.state is TaskState.QUEUED]
    fresh = [task for task in waiting if task.started is None][: plan.spread.concurrency]
    first = tasks[: canaries_of(plan)]
    return Standing(
        Counter((task.state, task.outcome) for task in tasks),
        any(task.state is not TaskState.ENDED for task in first),
        tuple(task for task in waiting if task.started is not None or task in fresh),
    )


def _plan(**spread: object) -> Plan:
    return Plan("w", "v", (Stage("work", "x"),), (Target("/r"),) * 4, spread=Spread(**spread))  # type: ignore[arg-type]


def _begun(plan: Plan, tasks: list[TaskRow], agents: Counter[str] = NOBODY) -> list[int]:
    return [task.position for task in choose(plan, _standing(plan, tasks), agents=agents, providers=NOBODY).begin]


QUEUED, RUNNING, DONE, FAILED = TaskState.QUEUED, TaskState.RUNNING, Outcome.DONE, Outcome.FAILED


def test_no_more_run_at_once_than_the_plan_says() -> None:
    assert _begun(_plan(concurrency=2), _tasks(RUNNING, QUEUED, QUEUED)) == [1]
    assert _begun(_plan(concurrency=9, per_agent=2), _tasks(QUEUED, QUEUED, QUEUED)) == [0, 1]
    assert _begun(_plan(concurrency=9, per_agent=2), _tasks(QUEUED, QUEUED), Counter(handrail=2)) == []


def test_a_provider_gets_no_more_than_its_share() -> None:
    plan = replace(_plan(concurrency=9, per_provider=2), stages=(Stage("work", "x", provider="lab"),))
    chosen = choose(
        plan, _standing(plan, _tasks(QUEUED, QUEUED, QUEUED)), agents=NOBODY, providers=Counter(lab=1, other=7)
    )
    assert [task.position for task in chosen.begin] == [0]


async def test_who_names_no_provider_counts_with_those_that_name_the_one_that_serves_them(works: Works) -> None:
    """The room has one provider, `anthropic`, and an agent that is at work names none."""
    run = await works.begin(works.plan(stage({"shell": "sleep 60"})))
    session = await works.at_work(run)
    agents, providers = await busy(works.house.store, works.house.sessions.served)
    assert (agents, providers) == (Counter(handrail=1), Counter(anthropic=1))
    for name, begun in ((None, 0), ("anthropic", 0), ("lab", 1)):
        plan = replace(_plan(per_provider=1), stages=(Stage("work", "x", provider=name),))
        served = works.house.sessions.served
        chosen = choose(plan, _standing(plan, _tasks(QUEUED)), agents=agents, providers=providers, served=served)
        assert len(chosen.begin) == begun, name
    await works.runs.cancel(run, "alice")
    await works.house.rest(session)


def test_canaries_go_first_and_the_rest_when_they_are_done() -> None:
    plan = _plan(concurrency=4, canary=2, stop_at_failure_rate=0.4)
    assert _begun(plan, _tasks(QUEUED, QUEUED, QUEUED, QUEUED)) == [0, 1]
    assert _begun(plan, _tasks(DONE, RUNNING, QUEUED, QUEUED)) == []
    assert _begun(plan, _tasks(DONE, DONE, QUEUED, QUEUED)) == [2, 3]
    stopped = choose(plan, _standing(plan, _tasks(DONE, FAILED, QUEUED, QUEUED)), agents=NOBODY, providers=NOBODY)
    assert stopped.begin == ()
    assert stopped.stop == "1 of 2 tasks did not succeed, more than the 40% at which this run stops"


def test_a_run_stops_above_its_failure_rate_and_not_by_one_early_failure() -> None:
    plan = _plan(stop_at_failure_rate=0.5)
    assert _begun(plan, _tasks(FAILED, QUEUED)) == [1]
    assert _begun(plan, _tasks(FAILED, FAILED, DONE, QUEUED)) == []
    assert _begun(plan, _tasks(FAILED, DONE, Outcome.CANCELLED, QUEUED)) == [3]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("E  ImportError: no module named 'old' at 0x7fe31a", "E  ImportError: no module named 'old' at 0x12ab99"),
        ("FAILED /tmp/a/app-1/tests/test_x.py::t in 1.2s", "FAILED /home/b/app-2/tests/test_x.py::t in 31s"),
    ],
)
def test_failures_that_differ_by_place_and_number_alone_are_alike(one: str, other: str) -> None:
    assert normalised(one, ["app-1"]) == normalised(other, ["app-2"])
    said = [
        likeness(FAILED, "turns_spent", names=[name], output=text) for name, text in (("app-1", one), ("app-2", other))
    ]
    assert said[0] == said[1]
    assert said[0] != likeness(FAILED, "turns_spent", names=[], output="E  TypeError: something else failed")


def test_results_are_read_by_group_what_needs_a_look_first() -> None:
    tasks = [
        *(replace(task, cause="carried_out", likeness="a") for task in _tasks(DONE, DONE, DONE)),
        *(replace(task, cause="merge_conflict", likeness="b") for task in _tasks(Outcome.NEEDS_PERSON)),
        *(
            replace(task, cause="turns_spent", likeness=mark)
            for task, mark in zip(_tasks(FAILED, FAILED), "cc", strict=True)
        ),
    ]
    assert [(len(group.tasks), group.outcome) for group in grouped(tasks)] == [
        (2, FAILED),
        (1, Outcome.NEEDS_PERSON),
        (3, DONE),
    ]
