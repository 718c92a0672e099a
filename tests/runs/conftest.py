"""Runs over a whole room of sessions: real store, git, walls and agent; only the model is played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from handrail.automation import EffectKind, EffectState, RunState, TaskState, TriggerKind, Trust
from handrail.kinds import Kind
from handrail.notify import Notice
from handrail.runs.local import LocalCarrier, LocalSources
from handrail.runs.plan import Plan, PlannedEffect, Stage, Target
from handrail.runs.rooms import Carried, Carrier, Refused, Rooms, Sources
from handrail.runs.supervisor import NewRun, Runs
from handrail.runs.verdict import Pace
from handrail.store import effects, runs, tasks
from handrail.store.effects import EffectRow
from handrail.store.log import Write
from handrail.store.runs import RunRow
from handrail.store.tasks import TaskRow
from handrail.types import ApprovalId, Check, Limits, RunId, SessionId, now
from tests.fake_provider import prompt
from tests.sessions.conftest import House, Open, fake, git, open_house, repository

__all__ = ["fake", "git", "open_house", "repository"]

MEND: dict[str, object] = {"shell": "sed -i s/Hallo/Hello/ greet.py"}
CHECK = Check("sh check.sh")
MODEL = "claude-sonnet-4-5"


def stage(*steps: dict[str, object], name: str = "work", checks: tuple[Check, ...] = (CHECK,), review: bool = False,
          turns: int = 3) -> Stage:  # fmt: skip
    goal = prompt(list(steps or (MEND,)), "Make it say Hello.")
    return Stage(name, goal, model=MODEL, checks=checks, limits=Limits(turns), review=review)


@dataclass
class Ledger:
    """What would have gone outside, each with the key that it was asked for with; `answers` are given first."""

    carried: list[EffectRow] = field(default_factory=list)
    answers: list[Refused] = field(default_factory=list)
    inner: Carrier = field(default_factory=LocalCarrier)
    asked: int = 0

    async def carry(self, effect: EffectRow, source: Path) -> Carried | Refused:
        self.asked += 1
        if self.answers:
            return self.answers.pop(0)
        done = await self.inner.carry(effect, source)
        if isinstance(done, Carried):
            self.carried.append(effect)
        return done


@dataclass
class Works:
    """Runs over a house of sessions."""

    house: House
    runs: Runs
    rooms: Rooms
    ledger: Ledger
    told: list[Notice]
    channels: list[str]
    """that were named for what was told"""

    def plan(
        self, *stages: Stage, targets: Iterable[Path] = (), trust: Trust = Trust.AUTONOMOUS, **more: object
    ) -> Plan:
        of = tuple(Target(str(path)) for path in targets) or (Target(str(self.house.repository)),)
        given = Plan("nightly", "0123456789ab", stages or (stage(),), of, trust=trust,
                     effects=(PlannedEffect(EffectKind.PULL_REQUEST, {"title": "Say Hello"}),))  # fmt: skip
        return replace(given, **more)

    async def begin(self, plan: Plan, trigger: TriggerKind = TriggerKind.MANUAL, **more: object) -> RunId:
        return await self.runs.begin(NewRun(plan=plan, trigger=trigger, by="alice", **more))  # type: ignore[arg-type]

    async def ended(self, run: RunId, seconds: float = 60) -> RunRow:
        async with asyncio.timeout(seconds):
            while (row := await runs.get(self.house.store, run)).state is not RunState.ENDED:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return row

    async def tasks(self, run: RunId) -> list[TaskRow]:
        return await tasks.of_run(self.house.store, run)

    async def until(self, run: RunId, state: TaskState, seconds: float = 60) -> TaskRow:
        """The first task of the run, once it is in this state."""
        async with asyncio.timeout(seconds):
            while (row := (await self.tasks(run))[0]).state is not state:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return row

    async def at_work(self, run: RunId, seconds: float = 60) -> SessionId:
        """The session of the first task, once it has one."""
        async with asyncio.timeout(seconds):
            while (session := (await self.tasks(run))[0].session) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return session

    async def effects(self, run: RunId) -> list[EffectRow]:
        return await effects.of_run(self.house.store, run)

    async def proposed(self, session: SessionId) -> list[EffectRow]:
        await asyncio.sleep(0.02)
        return await effects.of_sessions(self.house.store, [session])

    async def decide(self, effect: EffectRow, state: EffectState, because: str | None = None) -> None:
        change = effects.change(
            effect.id, EffectState.WAITING, state=state, decided_by="alice", because=because, decided=effect.created
        )
        await self.house.store.log.write(guard=change)
        assert effect.task is not None
        await self.runs.decided(effect.task)

    async def commit(self, message: str) -> None:
        """Commit what is in the repository."""
        git(self.house.repository, "commit", "-q", "-a", "-m", message)

    async def lines(self, run: RunId) -> list[str]:
        return [event.kind for event in await runs.events(self.house.store, run)]


async def by_hand(works: Works, task: TaskRow) -> None:
    """Change something by hand and give the task back."""
    session = task.session
    assert session is not None
    await works.house.say(session, [{"shell": "echo '# by hand' >> greet.py"}])
    asked = await works.house.until(session, Kind.APPROVAL_ASKED)
    approval = ApprovalId(str(asked.data["approval"]))
    await works.house.sessions.answer(approval, "allow", option=None, because=None, by="alice")
    await works.house.until(session, Kind.TURN_ENDED, count=2)
    await works.house.rest(session)
    goal = (await works.house.row(session)).goal
    assert goal is not None
    await works.house.sessions.handoff(session, goal, "alice")
    await works.runs.give_back(task.id, "alice")


OpenWorks = Callable[..., AbstractAsyncContextManager[Works]]


@pytest.fixture
def open_works(open_house: Open) -> OpenWorks:
    @asynccontextmanager
    async def opened(
        ledger: Ledger | None = None,
        pace: Pace | None = None,
        clock: Callable[[], datetime] = now,
        sources: Sources | None = None,
        **settings: object,
    ) -> AsyncIterator[Works]:
        told: list[Notice] = []
        channels: list[str] = []

        def tell(notice: Notice, _key: str, to: tuple[str, ...]) -> tuple[Write, ...]:
            told.append(notice)
            channels.extend(to)
            return ()

        heard: list[Runs] = []

        def settled(session: SessionId) -> None:
            for one in heard:
                one.settled(session)

        async with open_house(settled=settled, **settings) as house:
            kept = ledger or Ledger()
            rooms = Rooms(house.config, house.store, house.sessions, kept, sources or LocalSources(), tell,
                          clock, pace or Pace(0.05, 0.05, 0.05, 0.05))  # fmt: skip
            made = Runs(rooms)
            heard.append(made)
            await made.start()
            try:
                yield Works(house, made, rooms, kept, told, channels)
            finally:
                await made.stop()

    return opened


@pytest.fixture
async def works(open_works: OpenWorks) -> AsyncIterator[Works]:
    async with open_works() as opened:
        yield opened
