"""What runs are found by, on both kinds of database: the plan is JSON, which each of them reads in its own way."""

from __future__ import annotations

import random
from collections import Counter

from handrail.automation import RunState, TaskState, TriggerKind, Trust
from handrail.runs.plan import Plan, Stage, Target, as_json
from handrail.store import runs, tasks
from handrail.store.engine import Store
from handrail.store.runs import RunRow
from handrail.store.tasks import TaskRow
from handrail.types import Outcome, RunId, TaskId, now


async def test_runs_are_found_by_what_stands_in_their_plan_and_by_their_repositories(store: Store) -> None:
    for at, (agent, model, by) in enumerate((("claude", "opus", "bob"), ("handrail", None, "alice")), 1):
        run, places = RunId(f"r-{at}"), ("/src/one", "/src/two", "/src/two")[at - 1 :]
        plan = Plan("nightly", "v", (Stage("work", "x", agent=agent, model=model),), tuple(map(Target, places)))
        row = RunRow(
            id=run, number=0, workflow="nightly" if at == 1 else "sweep", version="v", trigger=TriggerKind.MANUAL,
            plan=as_json(plan), by=by, trust=Trust.SHADOW, created=now(), inputs={},
        )  # fmt: skip
        rows = [
            TaskRow(
                id=TaskId(f"t-{at}-{number}"), run=run, position=number, repository=place, created=now(), results={}
            )
            for number, place in enumerate(places)
        ]
        await store.log.write(runs.insert(row), *(tasks.insert(one) for one in rows))
    found = await runs.traits(store, 10)
    assert [(one.id, one.agent, one.model, one.by) for one in found] == [
        ("r-2", "handrail", None, "alice"),
        ("r-1", "claude", "opus", "bob"),
    ]
    assert [one.id for one in await runs.traits(store, 10, "bob")] == ["r-1"]
    assert [one.id for one in await runs.traits(store, 10, None, "sweep")] == ["r-2"]
    assert [one.id for one in await runs.traits(store, 1)] == ["r-2"]
    of = await runs.repositories(store, [RunId("r-1"), RunId("r-2"), RunId("r-3")])
    assert of == {"r-1": {"/src/one", "/src/two"}, "r-2": {"/src/two"}, "r-3": set()}


async def test_a_run_s_standing_is_that_of_its_rows(store: Store) -> None:
    run, dice = RunId("r-9"), random.Random(4)  # noqa: S311  # the same each time
    plan = as_json(Plan("w", "v", (Stage("work", "x"),), (Target("/r"),)))
    row = RunRow(
        id=run, number=0, workflow="w", version="v", trigger=TriggerKind.MANUAL, plan=plan, by="a", trust=Trust.SHADOW,
        created=now(), inputs={},
    )  # fmt: skip
    rows = []
    for at in range(40):
        state = dice.choice((TaskState.QUEUED, TaskState.QUEUED, *TaskState))
        ended = dice.choice(list(Outcome)) if state is TaskState.ENDED else None
        began = now() if state is not TaskState.QUEUED or dice.random() < 0.2 else None
        rows.append(
            TaskRow(id=TaskId(f"t-9-{at}"), run=run, position=at, repository=f"/r/{at}", created=now(), state=state,
                    outcome=ended, started=began, results={"work": {"stage": 1}})
        )  # fmt: skip
    await store.log.write(runs.insert(row), *(tasks.insert(one) for one in dice.sample(rows, 40)))
    for most, canaries in ((0, 0), (3, 2), (40, 40)):
        found = await tasks.standing(store, run, most=most, canaries=canaries)
        assert found.counts == Counter((one.state, one.outcome) for one in rows)
        assert found.canaries == any(one.state is not TaskState.ENDED for one in rows[:canaries])
        queued = [one for one in rows if one.state is TaskState.QUEUED]
        fresh = [one.id for one in queued if one.started is None][:most]
        assert list(found.waiting) == [one for one in queued if one.started is not None or one.id in fresh]
    assert (found.count(), found.count(TaskState.RUNNING)) == (40, sum(one.state is TaskState.RUNNING for one in rows))


async def test_writes_that_are_alike_are_carried_out_in_their_order_and_guards_among_them_too(store: Store) -> None:
    plan = as_json(Plan("w", "v", (Stage("work", "x"),), (Target("/r"),)))
    row = RunRow(
        id=RunId("r-8"), number=0, workflow="w", version="v", trigger=TriggerKind.MANUAL, plan=plan, by="a",
        trust=Trust.SHADOW, created=now(), inputs={},
    )  # fmt: skip
    told = [runs.told(row.id, "task.step", {"step": at}) for at in range(4)]
    ended = runs.update(row.id, state=RunState.STOPPED)  # it returns what it changed
    await store.log.write(runs.insert(row), *told, ended, ended, runs.told(row.id, "run.stopped", {}))
    kept = await runs.events(store, row.id)
    assert [(one.seq, one.kind, one.data.get("step")) for one in kept] == [
        *((at + 1, "task.step", at) for at in range(4)),
        (5, "run.stopped", None),
    ]
    assert (await runs.get(store, row.id)).state is RunState.STOPPED
