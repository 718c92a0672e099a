"""A simulated year of the real ticker on a real database: exactly the ticks that `docs/explanation/schedules.md` says.

What is expected is computed apart from the product: due times by a walk over the quarters of an hour of real time, and
their fates by the rule of that page. Deaths by a real `kill -9` are in `test_ticker.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import random
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import select, update

from handrail.automation import RunState, TickState
from handrail.store import ticks
from handrail.store import workflows as workflow_rows
from handrail.store.automation import runs
from handrail.store.engine import Store
from handrail.store.workflows import WorkflowRow
from handrail.triggers.ticker import Begun, Scheduled, Ticker
from handrail.types import RunId
from handrail.workflows import cron
from handrail.workflows.rules import CatchUp, Overlap, Rule
from tests.triggers.ticking import Rows, Watch, enabled

HOUR, MINUTE, QUARTER = timedelta(hours=1), timedelta(minutes=1), timedelta(minutes=15)
START, END = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2027, 1, 1, 12, tzinfo=UTC)
YEAR = [START + n * QUARTER for n in range((END - START) // QUARTER)]
ASLEEP = [
    (datetime.fromisoformat(f"2026-{begin}Z"), length)
    for begin, length in (
        ("03-08T06:40", 78 * MINUTE),  # the clocks of New York go forward
        ("03-28T12:00", 24 * HOUR),  # those of Berlin
        ("04-04T14:40", 78 * MINUTE),  # those of Lord Howe go back, by half an hour
        ("04-23T12:00", 24 * HOUR),  # those of Cairo go forward, at midnight
        ("06-19T00:00", 72 * HOUR),
        ("09-06T03:20", 78 * MINUTE),  # those of Santiago go forward, at midnight
        ("10-25T00:10", 78 * MINUTE),  # those of Berlin go back
    )
]
"""since when and how long nobody looks: the machine is suspended for 78 minutes, or off for a day or three"""


@dataclass(frozen=True, slots=True)
class Plan:
    """A workflow with one schedule."""

    zone: str
    text: str
    catch_up: CatchUp
    overlap: Overlap
    lateness: timedelta = 24 * HOUR

    @property
    def rule(self) -> Rule:
        return Rule(cron.parse(self.text, cron.zone(self.zone)), self.catch_up, self.lateness, self.overlap)


PLANS = {
    "new-york-1": Plan("America/New_York", "15 1,2 * * 0", CatchUp.NONE, Overlap.SKIP),
    "new-york-2": Plan("America/New_York", "45 * 1,8 3,11 *", CatchUp.LATEST, Overlap.SKIP),
    "berlin-1": Plan("Europe/Berlin", "15 1,2 * * 0", CatchUp.LATEST, Overlap.QUEUE),
    "berlin-2": Plan("Europe/Berlin", "15 1,2 * * 0", CatchUp.ALL, Overlap.CANCEL_RUNNING),
    "lord-howe-1": Plan("Australia/Lord_Howe", "15,45 1,2 * 4,6,10 0", CatchUp.LATEST, Overlap.SKIP, 30 * MINUTE),
    "lord-howe-2": Plan("Australia/Lord_Howe", "15,45 1,2 * 4,6,10 0", CatchUp.ALL, Overlap.QUEUE),
    "santiago-1": Plan("America/Santiago", "30 0,23 * 4,6,9 6,0", CatchUp.NONE, Overlap.QUEUE),
    "santiago-2": Plan("America/Santiago", "30 0,23 * 4,6,9 6,0", CatchUp.ALL, Overlap.SKIP),
    "cairo-1": Plan("Africa/Cairo", "30 0,23 * 4,6,10 4,5", CatchUp.LATEST, Overlap.CANCEL_RUNNING),
    "cairo-2": Plan("Africa/Cairo", "30 0,23 * 4,6,10 4,5", CatchUp.NONE, Overlap.CANCEL_RUNNING),
}
RULES = {name: plan.rule for name, plan in PLANS.items()}


# --- what the rule says -----------------------------------------------------------------------------------------------


@functools.cache
def due_times(plan: Plan) -> list[datetime]:
    """A named time is due when the clock first shows it, or is past it; every hour's, whenever it is shown."""
    zone = ZoneInfo(plan.zone)
    shown = [(at, at.astimezone(zone).replace(tzinfo=None)) for at in YEAR]
    fields = [range(60) if field == "*" else {int(part) for part in field.split(",")} for field in plan.text.split()]

    def named(local: datetime) -> bool:
        said = (local.minute, local.hour, local.day, local.month, local.isoweekday() % 7)
        return all(value in field for value, field in zip(said, fields, strict=True))

    if plan.text.split()[1] == "*":
        return [at for at, local in shown if named(local)]
    first = shown[0][1]
    waiting = deque(name for n in range(1, len(YEAR)) if named(name := first + n * QUARTER))
    found = []
    for at, local in shown:
        if waiting and waiting[0] <= local:
            found.append(at)
        while waiting and waiting[0] <= local:
            waiting.popleft()
    return found


def seen(due: datetime) -> datetime:
    """When a tick is looked at: at once, or when the machine is there again."""
    return next((begin + length for begin, length in ASLEEP if begin < due <= begin + length), due)


def lasts(name: str, due: datetime) -> timedelta:
    """How long the run of a tick goes on; never until the very moment of another tick."""
    return random.Random(f"{name} {due}").choice((4, 44, 101)) * MINUTE  # noqa: S311 - the same each time


def expected(name: str, plan: Plan) -> tuple[dict[datetime, TickState], set[datetime]]:
    """Every due time of the year with its fate, and those whose runs are cancelled."""
    fates: dict[datetime, TickState] = {}
    cancelled: set[datetime] = set()
    last, until = START, START  # the run before: of which tick, and when it ends
    for moment, group in itertools.groupby(due_times(plan), seen):
        due = list(group)
        if plan.catch_up is CatchUp.ALL:
            may = [tick for tick in due if moment - tick <= plan.lateness]
        else:
            allowed = MINUTE if plan.catch_up is CatchUp.NONE else plan.lateness
            may = [tick for tick in due[-1:] if moment - tick <= allowed]
        fates |= {tick: TickState.SKIPPED if tick in may else TickState.MISSED for tick in due}
        if plan.overlap is Overlap.QUEUE:
            fire = may
        elif plan.overlap is Overlap.SKIP:
            fire = [] if until > moment else may[:1]
        else:
            fire = may[-1:]
            cancelled |= {last} if fire and until > moment else set()
        for tick in fire:
            waits = plan.overlap is Overlap.QUEUE and until > moment
            fates[tick] = TickState.QUEUED if waits else TickState.FIRED
            last, until = tick, (until if waits else moment) + lasts(name, tick)
    return fates, cancelled


# --- the year ---------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for `kill -9`: nobody handles it."""


class House:
    """The runs that go on: each of them ends when its time has come."""

    def __init__(self) -> None:
        self.ends: dict[str, tuple[str, datetime]] = {}
        self.cancelled: set[str] = set()

    async def end(self, store: Store, moment: datetime) -> None:
        """End the runs whose time has come."""
        await ended(store, [run for run, (_, end) in self.ends.items() if end <= moment])
        self.ends = {run: item for run, item in self.ends.items() if item[1] > moment}

    async def begin(self, store: Store, moment: datetime) -> None:
        """Learn of new runs, which go on from now on, or when the one before has ended."""
        statement = select(runs.c.id, runs.c.workflow, runs.c.due).where(runs.c.state != RunState.ENDED)
        going = await store.rows(statement.order_by(runs.c.number))
        self.ends = {run: self.ends[run] for run, _, _ in going if run in self.ends}
        for run, workflow, due in going:
            before = max((end for name, end in self.ends.values() if name == workflow), default=moment)
            self.ends.setdefault(run, (workflow, before + lasts(workflow, due)))


class Mortal(Rows):
    """Starts runs that go on, on a server that can be told when to die: before it writes, or right afterwards."""

    def __init__(self, store: Store, house: House, dies: str | None = None) -> None:
        super().__init__()
        self.state = RunState.RUNNING
        self._store, self._house, self._dies = store, house, dies

    async def begin(self, row: WorkflowRow, due: datetime, *, queued: bool) -> Begun:
        begun = await super().begin(row, due, queued=queued)
        self._die("begin")
        return begun

    async def begun(self, run: RunId) -> None:
        await super().begun(run)
        self._die("begun")

    async def cancel(self, run: RunId) -> None:
        self._house.cancelled.add(run)
        await ended(self._store, [run])
        self._die("cancel")

    def _die(self, where: str) -> None:
        if self._dies == where:
            raise Killed


async def ended(store: Store, done: list[str] | list[RunId]) -> None:
    if done:
        await store.log.write(update(runs).where(runs.c.id.in_(done)).values(state=RunState.ENDED))


def server(store: Store, watch: Watch, starter: Rows) -> Ticker:
    async def scheduled() -> list[Scheduled]:
        return [Scheduled(row, (RULES[row.name],)) for row in await workflow_rows.enabled(store)]

    return Ticker(store, scheduled, starter, watch.clock)


async def lived(place: Path) -> House:
    """Two servers live through the year: they look at the same moments, and now and then one of them dies."""
    chance, house, watch = random.Random(4), House(), Watch()  # noqa: S311 - the same year each time
    moments = sorted({seen(due) for plan in PLANS.values() for due in due_times(plan)})
    async with await Store.open(place) as one, await Store.open(place) as other:
        for name in PLANS:
            await enabled(one, name, START)
        for moment in moments:
            await house.end(one, moment)
            watch.wall = moment + timedelta(seconds=5 * chance.random())
            first, second = chance.sample((one, other), 2)
            look = [server(it, watch, Mortal(it, house)).look for it in (first, second)]
            if (kind := chance.random()) < 0.1:
                dies = Mortal(first, house, chance.choice(("begin", "begun", "cancel")))
                with contextlib.suppress(Killed):
                    await server(first, watch, dies).look()
                watch.wall += timedelta(seconds=30)
                await look[1]()
            elif kind < 0.4:
                await asyncio.gather(look[0](), look[1]())
            else:
                await look[0]()
            await house.begin(one, moment)
    return house


async def test_a_year_of_two_servers(tmp_path: Path) -> None:
    """DST both ways in five zones, 78 minutes suspended, days down, one of two servers killed."""
    house = await lived(tmp_path / "handrail.db")
    async with await Store.open(tmp_path / "handrail.db") as store:
        for name, plan in PLANS.items():
            fates, cancelled = expected(name, plan)
            due = list(fates)
            found: dict[datetime, TickState] = {}
            for tick in reversed(await ticks.newest(store, name, 10_000)):
                row = [at for at in due if (tick.since or tick.due) <= at <= tick.due]
                assert (len(row), found.keys() & row) == (tick.count, set())
                found |= dict.fromkeys(row, tick.state)
            assert found == fates, name
            begun = await store.rows(
                select(runs.c.id, runs.c.due).where(runs.c.workflow == name).order_by(runs.c.number)
            )
            fired = [at for at, fate in fates.items() if fate in (TickState.FIRED, TickState.QUEUED)]
            assert [at for _, at in begun] == fired
            assert {at for run, at in begun if run in house.cancelled} == cancelled
