"""A server's ticker for tests: `python -m tests.triggers.ticking DATABASE START SPEED` runs one on a fast clock.

Its runs are rows: what carries them is shown in `tests/runs`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, insert, select

from handrail.automation import RunState, TriggerKind, Trust
from handrail.errors import HandrailError
from handrail.store import workflows as workflow_rows
from handrail.store.automation import runs
from handrail.store.engine import Store
from handrail.store.workflows import WorkflowRow
from handrail.triggers.ticker import Begun, Clock, Scheduled, Ticker
from handrail.types import RunId
from handrail.workflows import cron
from handrail.workflows.rules import Rule

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Rows:
    """Starts runs as rows, which are ended at once unless `state` says otherwise."""

    def __init__(self) -> None:
        self.state = RunState.ENDED
        self.fault: HandrailError | None = None
        self.begun_runs: list[RunId] = []
        self.cancelled: list[RunId] = []

    async def begin(self, row: WorkflowRow, due: datetime, *, queued: bool) -> Begun:
        if self.fault is not None:
            raise self.fault
        run = RunId(f"{row.name}-{due.isoformat()}")
        number = select(func.coalesce(func.max(runs.c.number), 0) + 1).scalar_subquery()
        values = {
            "id": run, "number": number, "workflow": row.name, "version": row.version, "trigger": TriggerKind.SCHEDULE,
            "key": f"tick:{row.name}:{due.isoformat()}", "due": due, "inputs": {}, "plan": {}, "by": "schedule",
            "trust": Trust.SUPERVISED, "state": RunState.QUEUED if queued else self.state, "cost_nano": 0, "epoch": 0,
            "created": due,
        }  # fmt: skip
        return Begun(run, (insert(runs).values(values),))

    async def begun(self, run: RunId) -> None:
        self.begun_runs.append(run)

    async def cancel(self, run: RunId) -> None:
        self.cancelled.append(run)


class Watch:
    """A clock that tests set."""

    def __init__(self, wall: datetime = NOON) -> None:
        self.wall = wall
        self.running = 0.0

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.running)


def ticker(store: Store, rules: Sequence[Rule], clock: Clock, starter: Rows) -> Ticker:
    async def scheduled() -> list[Scheduled]:
        return [Scheduled(row, tuple(rules)) for row in await workflow_rows.enabled(store)]

    return Ticker(store, scheduled, starter, clock)


async def enabled(store: Store, name: str, at: datetime = NOON) -> None:
    row = WorkflowRow(
        name=name, source="file", origin=None, version="v1", enabled=True, trust=Trust.SUPERVISED, watermark=at,
        created=at, updated=at,
    )  # fmt: skip
    await store.log.write(guard=workflow_rows.insert(row))


async def _serve(database: Path | str, start: float, speed: float) -> None:
    def wall() -> datetime:
        return NOON + timedelta(seconds=(time.time() - start) * speed)

    async with await Store.open(database) as store:
        every = Rule(cron.parse("* * * * * *", cron.zone("UTC")))
        one = ticker(store, [every], Clock(wall), Rows())
        print("ready", flush=True)
        while True:
            await one.look()


if __name__ == "__main__":
    where = Path(sys.argv[1]) if sys.argv[1].startswith("/") else sys.argv[1]
    asyncio.run(_serve(where, float(sys.argv[2]), float(sys.argv[3])))
