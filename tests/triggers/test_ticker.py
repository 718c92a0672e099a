from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from handrail.automation import RunState, TickState
from handrail.errors import InvalidInput, Unavailable
from handrail.store import ticks
from handrail.store import workflows as workflow_rows
from handrail.store.automation import runs
from handrail.store.engine import Store
from handrail.store.ticks import TickRow
from handrail.triggers import ticker as module
from handrail.types import RunId
from handrail.workflows import cron
from handrail.workflows.rules import CatchUp, Overlap, Rule
from tests import postgres
from tests.triggers.ticking import NOON, Rows, Watch, enabled, ticker

HOURLY = Rule(cron.parse("0 * * * *", cron.zone("UTC")))
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


@pytest.fixture(params=postgres.KINDS)
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Path | str:
    """Both kinds of database: the same rule must hold for several servers on either."""
    return postgres.place(request.param, tmp_path)


@pytest.fixture
async def store(place: Path | str) -> AsyncIterator[Store]:
    async with await Store.open(place) as opened:
        await enabled(opened, "nightly")
        yield opened


async def recorded(store: Store) -> list[TickRow]:
    return list(reversed(await ticks.newest(store, "nightly", 10_000)))


async def started(store: Store) -> list[datetime]:
    return [row[0] for row in await store.rows(select(runs.c.due).order_by(runs.c.number))]


async def test_enabling_fires_nothing_and_the_next_tick_fires_once(store: Store) -> None:
    watch, starter = Watch(NOON + SECOND), Rows()
    one = ticker(store, [HOURLY], watch.clock, starter)
    assert await one.look() == module.LOOK
    watch.wall = NOON + HOUR
    assert await one.look() == module.LOOK
    watch.wall = NOON + HOUR + SECOND
    await one.look()
    assert await started(store) == [NOON + HOUR]
    (tick,) = await recorded(store)
    assert (tick.state, tick.run, tick.time) == (TickState.FIRED, starter.begun_runs[0], NOON + HOUR)


async def test_two_servers_fire_once(store: Store) -> None:
    watch = Watch(NOON + HOUR)
    servers = [ticker(store, [HOURLY], watch.clock, Rows()) for _ in range(5)]
    await asyncio.gather(*(one.look() for one in servers))
    assert await started(store) == [NOON + HOUR]


async def test_a_day_down_is_recorded(store: Store) -> None:
    watch = Watch(NOON + 24 * HOUR + MINUTE)
    await ticker(store, [HOURLY], watch.clock, Rows()).look()
    missed, fired = await recorded(store)
    assert (missed.state, missed.count, missed.since, missed.due) == (
        TickState.MISSED, 23, NOON + HOUR, NOON + 23 * HOUR,
    )  # fmt: skip
    assert missed.reason == "a later tick was due as well"
    assert (fired.state, fired.due) == (TickState.FIRED, NOON + 24 * HOUR)


async def test_catching_up_all_fires_each_in_order(store: Store) -> None:
    watch = Watch(NOON + 5 * HOUR)
    starter = Rows()
    starter.state = RunState.RUNNING
    rule = Rule(HOURLY.cron, CatchUp.ALL, overlap=Overlap.QUEUE)
    await ticker(store, [rule], watch.clock, starter).look()
    assert await started(store) == [NOON + n * HOUR for n in range(1, 6)]
    assert [tick.state for tick in await recorded(store)] == [TickState.FIRED, *[TickState.QUEUED] * 4]


async def test_more_than_fits_at_once_goes_on_at_once(store: Store) -> None:
    rule = Rule(cron.parse("* * * * * *", cron.zone("UTC")), CatchUp.ALL, overlap=Overlap.QUEUE)
    one = ticker(store, [rule], Watch(NOON + 250 * SECOND).clock, Rows())
    assert await one.look() == 0
    await one.look()
    assert await started(store) == [NOON + n * SECOND for n in range(1, 251)]


async def test_a_run_that_goes_on(store: Store) -> None:
    watch, starter = Watch(NOON + HOUR), Rows()
    starter.state = RunState.RUNNING
    one = ticker(store, [HOURLY], watch.clock, starter)
    await one.look()
    watch.wall += HOUR
    await one.look()
    assert [(tick.state, tick.reason) for tick in await recorded(store)] == [
        (TickState.FIRED, None), (TickState.SKIPPED, "the run before had not ended"),
    ]  # fmt: skip
    watch.wall += HOUR
    cancels = Rule(HOURLY.cron, overlap=Overlap.CANCEL_RUNNING)
    await ticker(store, [cancels], watch.clock, starter).look()
    assert starter.cancelled == [RunId(f"nightly-{(NOON + HOUR).isoformat()}")]
    assert len(await started(store)) == 2


async def test_a_server_that_comes_late_does_not_cancel_the_run_that_another_began_for_the_tick(store: Store) -> None:
    watch, starter = Watch(NOON + HOUR), Rows()
    starter.state = RunState.RUNNING
    cancels = Rule(HOURLY.cron, overlap=Overlap.CANCEL_RUNNING)
    before = await workflow_rows.get(store, "nightly")
    await ticker(store, [cancels], watch.clock, starter).look()
    late = module.Ticker(store, lambda: _given([module.Scheduled(before, (cancels,))]), starter, watch.clock)
    assert await late.look() == module.RACE
    assert (await started(store), starter.cancelled) == ([NOON + HOUR], [])


async def test_two_schedules_at_one_moment_are_one_run(store: Store) -> None:
    both = [HOURLY, Rule(cron.parse("0 13 * * *", cron.zone("UTC")))]
    await ticker(store, both, Watch(NOON + HOUR).clock, Rows()).look()
    assert await started(store) == [NOON + HOUR]


async def test_a_run_that_cannot_be_started_is_told_and_a_fault_that_passes_is_waited_for(store: Store) -> None:
    watch, starter = Watch(NOON + HOUR), Rows()
    one = ticker(store, [HOURLY], watch.clock, starter)
    starter.fault = Unavailable("the forge does not answer")
    assert await one.look() == module.RETRY
    assert await recorded(store) == []
    starter.fault = InvalidInput("inputs.x", None, "give this input")
    await one.look()
    (tick,) = await recorded(store)
    assert (tick.state, tick.reason) == (
        TickState.MISSED, "its run could not be started: inputs.x: None cannot be used: give this input",
    )  # fmt: skip
    starter.fault = None
    watch.wall += HOUR
    await one.look()
    assert await started(store) == [NOON + 2 * HOUR]


async def test_what_is_disabled_or_changed_meanwhile_does_not_fire(store: Store) -> None:
    watch = Watch(NOON + HOUR)
    row = await workflow_rows.get(store, "nightly")
    one = module.Ticker(store, lambda: _given([module.Scheduled(row, (HOURLY,))]), Rows(), watch.clock)
    await store.log.write(guard=workflow_rows.update("nightly", NOON, enabled=False))
    assert await one.look() == module.RACE
    assert await started(store) == []


async def _given(scheduled: list[module.Scheduled]) -> list[module.Scheduled]:
    return scheduled


async def test_a_clock_that_was_ahead_does_not_stop_the_schedule_and_repeats_nothing(store: Store) -> None:
    watch = Watch(NOON + HOUR)
    one = ticker(store, [HOURLY], watch.clock, Rows())
    await one.look()
    watch.wall = NOON + 10 * HOUR  # wrong
    await one.look()
    watch.wall = NOON + HOUR - MINUTE  # right
    await one.look()
    for hour in range(1, 12):
        watch.wall = NOON + hour * HOUR
        await one.look()
    dues = await started(store)
    assert sorted(dues) == [NOON + n * HOUR for n in range(1, 12)]
    assert len(set(dues)) == len(dues)


async def test_a_suspended_machine_wakes_the_sleeper(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """78 minutes asleep, of which sleeping tasks noticed nothing (incident 1)."""
    monkeypatch.setattr(module, "GLANCE", 0.01)
    every = Rule(cron.parse("*/10 * * * * *", cron.zone("UTC")))
    watch = Watch(NOON + 5 * SECOND)
    one = ticker(store, [every], watch.clock, Rows())
    await one.start()
    await asyncio.sleep(0.05)
    assert await started(store) == []
    watch.wall += 78 * MINUTE
    async with asyncio.timeout(20):
        while not await started(store):  # noqa: ASYNC110 - another task writes it
            await asyncio.sleep(0.01)
    await one.stop()
    assert await started(store) == [NOON + 78 * MINUTE]
    assert [(tick.count, tick.state) for tick in await recorded(store)] == [(467, "missed"), (1, "fired")]


def test_two_servers_on_one_database_while_one_after_the_other_is_killed(place: Path | str) -> None:
    """Incident 2 (GO#11695): every tick has one run and one record, whenever a server dies."""
    chance = random.Random(7)  # noqa: S311 - the same moments each time

    async def made() -> None:
        async with await Store.open(place) as store:
            await enabled(store, "nightly")

    asyncio.run(made())
    words = [sys.executable, "-m", "tests.triggers.ticking", str(place), str(time.time()), "40"]
    servers: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        server = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        servers.append(server)

    try:
        start()
        for _ in range(2):
            start()
            time.sleep(0.2 + 0.4 * chance.random())
            _kill(servers.pop(0))
    finally:
        for server in servers:
            _kill(server)
    asyncio.run(_one_fate_each(place))


def _kill(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait()
    assert server.stdout is not None
    server.stdout.close()


async def _one_fate_each(place: Path | str) -> None:
    async with await Store.open(place) as store:
        fates: list[datetime] = []
        for tick in await recorded(store):
            fates += [tick.due - n * SECOND for n in range(tick.count)]
        row = await workflow_rows.get(store, "nightly")
        assert row.watermark is not None
        assert sorted(fates) == [NOON + n * SECOND for n in range(1, (row.watermark - NOON) // SECOND + 1)]
        fired = [tick.due for tick in await recorded(store) if tick.state is TickState.FIRED]
        assert len(fired) > 10
        assert await started(store) == fired
