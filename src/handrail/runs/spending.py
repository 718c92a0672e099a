"""What runs and their tasks have spent so far, while they are at work as well as afterwards: read from the calls."""

from __future__ import annotations

from collections.abc import Sequence

from handrail.runs.caps import scope
from handrail.store import calls
from handrail.store.calls import Totals
from handrail.store.engine import Store
from handrail.types import RunId, TaskId


async def of_runs(store: Store, runs: Sequence[RunId]) -> dict[RunId, Totals]:
    """The sums of runs: of all sessions that their tasks ever had."""
    found = await calls.of_scopes(store, [scope(run) for run in runs])
    return {run: found[scope(run)] for run in runs}


async def of_tasks(store: Store, run: RunId) -> dict[TaskId, Totals]:
    """The sums of those tasks of a run that have called a model."""
    summed: dict[TaskId, Totals] = {}
    for key, sums in (await calls.by_key(store, scope(run))).items():
        task = TaskId(key.partition(":")[0])  # see `results.key`
        before = summed.get(task, Totals())
        names = Totals.__struct_fields__
        summed[task] = Totals(*(getattr(before, name) + getattr(sums, name) for name in names))
    return summed
