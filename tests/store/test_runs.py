"""What runs are found by, on both kinds of database: the plan is JSON, which each of them reads in its own way."""

from __future__ import annotations

from handrail.automation import TriggerKind, Trust
from handrail.runs.plan import Plan, Stage, Target, as_json
from handrail.store import runs, tasks
from handrail.store.engine import Store
from handrail.store.runs import RunRow
from handrail.store.tasks import TaskRow
from handrail.types import RunId, TaskId, now


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
