from __future__ import annotations

from pathlib import Path

import pytest

from handrail.automation import TriggerKind, Trust
from handrail.runs import caps
from handrail.store import workflows
from handrail.store.engine import Store
from handrail.store.runs import RunRow
from handrail.types import ArrivalId, RunId, now


@pytest.mark.parametrize(
    ("trigger", "by", "arrival", "owner"),
    [
        (TriggerKind.MANUAL, "bob", None, "bob"),
        (TriggerKind.REHEARSAL, "bob", None, "bob"),
        (TriggerKind.SCHEDULE, "schedule", None, "alice"),
        (TriggerKind.EVENT, "event e-1", "e-1", "alice"),
        (TriggerKind.EVENT, "bob", "e-1", "bob"),  # a replay
        (TriggerKind.MANUAL, "bob", "e-1", "bob"),  # such a run, run again
    ],
)
async def test_a_run_spends_with_whoever_started_it_or_owns_its_workflow(
    tmp_path: Path, trigger: TriggerKind, by: str, arrival: str | None, owner: str
) -> None:
    async with await Store.open(tmp_path / "handrail.db") as store:
        await store.log.write(workflows.keep("nightly", "0123456789ab", "name: nightly", "alice", now()))
        row = RunRow(
            id=RunId("r-1"), number=1, workflow="nightly", version="0123456789ab", trigger=trigger, plan={}, by=by,
            trust=Trust.SHADOW, created=now(), arrival=None if arrival is None else ArrivalId(arrival), inputs={},
        )  # fmt: skip
        assert await caps.scopes(store, row) == ("run:r-1", "workflow:nightly", f"member:{owner}")
