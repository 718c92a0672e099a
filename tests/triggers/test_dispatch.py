from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from handrail.automation import ArrivalState
from handrail.errors import InvalidInput, StorageFull
from handrail.store import arrivals
from handrail.store.arrivals import ArrivalRow
from handrail.store.engine import Store
from handrail.triggers import DAY
from handrail.triggers.dispatch import Dispatcher, Listener, verdicts
from handrail.triggers.match import Wanted
from handrail.types import ArrivalId, RunId, now


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path / "handrail.db") as opened:
        yield opened


def arrival(name: str, action: str = "opened") -> ArrivalRow:
    return ArrivalRow(
        id=ArrivalId(name), source="github", delivery=name, meaning=name, event="pull_request", action=action,
        sender="alice", repository="acme/app", payload={"number": 1}, received=now(),
    )  # fmt: skip


@dataclass
class Starts:
    """Where runs would be started: what was asked for, and what to raise instead."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    fail: list[Exception] = field(default_factory=list)
    first: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, workflow: str, row: ArrivalRow) -> RunId:
        self.asked.append((workflow, row.id))
        self.first.set()
        if self.fail:
            raise self.fail.pop()
        return RunId(f"r-{len(self.asked)}")


async def listening() -> list[Listener]:
    return [
        Listener("review", (Wanted(events=("pull_request",), actions=("opened",)),)),
        Listener("deploy", (Wanted(events=("push",)), Wanted(events=("pull_request",), actions=("closed",)))),
    ]


async def test_an_event_starts_what_waits_for_it_and_says_why_the_rest_does_not(store: Store) -> None:
    starts = Starts()
    dispatcher = Dispatcher(store, listening, starts, lambda *_: ())
    await store.log.write(guard=arrivals.put(arrival("e-1"), DAY))
    assert await dispatcher.work_off() == 1
    assert starts.asked == [("review", "e-1")]
    row = await arrivals.get(store, ArrivalId("e-1"))
    assert row.state is ArrivalState.WORKED
    assert row.reason == "review: started r-1; deploy: no, the action is opened, not closed"
    assert await dispatcher.work_off() == 0


async def test_what_was_stored_before_a_restart_is_worked_off_at_the_start(store: Store) -> None:
    await store.log.write(guard=arrivals.put(arrival("e-1"), DAY))
    starts = Starts()
    dispatcher = Dispatcher(store, listening, starts, lambda *_: ())
    await dispatcher.start()
    try:
        async with asyncio.timeout(10):
            await starts.first.wait()
    finally:
        await dispatcher.stop()
    assert starts.asked == [("review", "e-1")]


async def test_a_fault_of_this_machine_keeps_the_event_and_one_of_the_event_does_not(store: Store) -> None:
    await store.log.write(guard=arrivals.put(arrival("e-1"), DAY))
    starts = Starts(fail=[InvalidInput("inputs.pr", None, "the event has none"), StorageFull("no room")])
    dispatcher = Dispatcher(store, listening, starts, lambda *_: ())
    with pytest.raises(StorageFull):
        await dispatcher.work_off()
    assert (await arrivals.get(store, ArrivalId("e-1"))).state is ArrivalState.STORED
    await dispatcher.work_off()
    row = await arrivals.get(store, ArrivalId("e-1"))
    assert row.state is ArrivalState.WORKED
    assert "it matches and could not start: inputs.pr" in str(row.reason)


def test_the_trigger_that_came_furthest_says_why() -> None:
    wanted = (Wanted(sources=("gitlab",)), Wanted(events=("pull_request",), when="draft"))
    assert "the filter" in verdicts(Listener("w", wanted), arrival("e-1")).why
    assert verdicts(Listener("w", ()), arrival("e-1")).why == "it waits for no event"
