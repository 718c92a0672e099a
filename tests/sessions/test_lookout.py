from __future__ import annotations

import asyncio
import resource
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import asdict
from sqlalchemy import Connection, insert

from handrail.errors import Conflict
from handrail.kinds import Kind
from handrail.notify import Notice, Occasion
from handrail.sessions import turns as turns_module
from handrail.store import approvals, outbox, tables
from handrail.store import sessions as rows
from handrail.store.approvals import ApprovalRow
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.tables import Then
from handrail.types import (
    ApprovalId,
    Check,
    Control,
    Goal,
    Limits,
    Outcome,
    Permissions,
    SandboxKind,
    SessionId,
    SessionState,
    StopReason,
    now,
)
from tests.fake_provider import prompt
from tests.sessions.conftest import House, Open

MEND: dict[str, object] = {"shell": "sed -i s/Hallo/Hello/ greet.py"}
PLAN = {"tool": "plan", "args": {"entries": [{"text": "Mend the greeting", "status": "in_progress"}]}}
CHECK = Check("sh check.sh")


class Clock:
    """The time, and what was added to it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return now() + self.ahead

    def on(self, **much: float) -> None:
        self.ahead += timedelta(**much)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "QUIET", 0.1)


async def look(house: House) -> None:
    await house.sessions._lookout.look()


async def parked(house: House, session: SessionId, clock: Clock) -> ApprovalRow:
    """Wait for a question, and then until its agent was let go."""
    asked = await house.until(session, Kind.APPROVAL_ASKED)
    clock.on(seconds=301)
    async with asyncio.timeout(20):
        while not any(e.data["stop_reason"] == "parked" for e in await house.events(session, Kind.TURN_ENDED)):
            await asyncio.sleep(0.1)
            await look(house)
    await look(house)
    row = await approvals.get(house.store, ApprovalId(str(asked.data["approval"])))
    assert row.released is not None
    assert (await house.row(session)).state is SessionState.WAITING
    return row


def goal(*steps: Mapping[str, object]) -> Goal:
    return Goal(prompt([dict(step) for step in steps]), (CHECK,), Limits(seconds=3600))


async def how(house: House, session: SessionId) -> list[object]:
    return [event.data["how"] for event in await house.events(session, Kind.AGENT_STARTED)]


async def test_answered_twelve_hours_and_two_restarts_later_it_goes_on_and_completes(open_house: Open) -> None:
    """Incident 4 (agentric#138, KiroCrew#7659); that a person is told of it: tests/whole/test_notify.py."""
    clock = Clock()
    async with open_house(clock=clock) as house:
        steps = goal(PLAN, MEND, MEND, {"text": "done"})
        session = await house.hand_off(steps, permissions=Permissions.ASK)
        row = await parked(house, session, clock)
        assert row.why == "step: Mend the greeting · $0.01 so far"
        actor = house.sessions.actors.living[session]
        assert actor.workplace.agent is None
        async with asyncio.timeout(10):
            while actor.busy:  # noqa: ASYNC110  # the task is what is watched
                await asyncio.sleep(0.02)
    calls = len(house.fake.calls)
    clock.on(hours=6)
    async with open_house(clock=clock) as house:
        await look(house)
        await asyncio.sleep(0.3)
        assert house.sessions.actors.living == {}  # nothing is kept for a session that waits
    clock.on(hours=6)
    async with open_house(clock=clock) as house:
        assert len(house.fake.calls) == calls
        await house.sessions.answer(row.id, "allow", option=None, because=None, by="alice")
        reached = await house.outcome(session)
        assert reached.data["outcome"] == Outcome.DONE
        assert await how(house, session) == ["new", "loaded"]
        assert len(await house.events(session, Kind.APPROVAL_ASKED)) == 1
        ends = [e.data["stop_reason"] for e in await house.events(session, Kind.TURN_ENDED)]
        assert ends == ["parked", "end_turn"]
        assert not any("error" in e.data for e in await house.events(session, Kind.TURN_ENDED))
        assert (await approvals.get(house.store, row.id)).used
        with pytest.raises(Conflict):
            await house.sessions.answer(row.id, "deny", option=None, because=None, by="bob")


async def test_denied_hours_later_changes_nothing_and_is_no_success(open_house: Open) -> None:
    """Incident 5 (copilot-cli#4537, hermes#83205: a refusal was a success), long after."""
    clock = Clock()
    steps = goal(MEND, {"text": "Then I leave it."})
    async with open_house(clock=clock) as house:
        session = await house.hand_off(steps, permissions=Permissions.ASK)
        row = await parked(house, session, clock)
    clock.on(hours=12)
    async with open_house(clock=clock) as house:
        await house.sessions.answer(row.id, "deny", option=None, because="not that file", by="alice")
        reached = await house.outcome(session)
        assert (reached.data["outcome"], reached.data["cause"]) == (Outcome.NEEDS_PERSON, "denied")
        assert not (await house.sessions.diff(session, None, None)).files
        assert "not that file" in house.fake.calls[-1].raw.decode()


async def test_the_same_question_asked_again_is_denied_from_the_answer(open_house: Open) -> None:
    clock = Clock()
    async with open_house(clock=clock) as house:
        session = await house.hand_off(goal(MEND, MEND, {"text": "no"}), permissions=Permissions.ASK)
        row = await parked(house, session, clock)
        await house.sessions.answer(row.id, "deny", option=None, because=None, by="alice")
        reached = await house.outcome(session)
        assert reached.data["cause"] == "denied"
        assert len(await house.events(session, Kind.APPROVAL_ASKED)) == 1
        statuses = [e.data["status"] for e in await house.events(session, Kind.TOOL_ENDED)]
        assert statuses == ["interrupted", "denied"]


async def test_a_hands_on_question_is_let_go_and_goes_on(open_house: Open) -> None:
    clock = Clock()
    async with open_house(clock=clock) as house:
        session = await house.new()
        await house.say(session, [MEND, MEND, {"text": "done"}])
        row = await parked(house, session, clock)
        await house.sessions.answer(row.id, "allow", option=None, because=None, by="alice")
        await house.until(session, Kind.TURN_ENDED, count=2)
        await house.rest(session)
        assert (await house.sessions.diff(session, None, None)).files
        assert await how(house, session) == ["new", "loaded"]


async def test_a_prompt_goes_past_a_question_that_waits(open_house: Open) -> None:
    clock = Clock()
    async with open_house(clock=clock) as house:
        session = await house.new()
        await house.say(session, [MEND, {"text": "no"}])
        row = await parked(house, session, clock)
        await house.say(session, [{"text": "something else"}])
        await house.until(session, Kind.TURN_ENDED, count=2)
        await house.rest(session)
        with pytest.raises(Conflict):
            await house.sessions.answer(row.id, "allow", option=None, because=None, by="alice")


async def test_cancelling_what_waits_ends_handed_off_work(open_house: Open) -> None:
    clock = Clock()
    async with open_house(clock=clock) as house:
        session = await house.hand_off(goal(MEND, {"text": "no"}), permissions=Permissions.ASK)
        await parked(house, session, clock)
        await house.sessions.cancel(session, "alice")
        row = await house.rest(session)
        assert (row.outcome, row.control) == (Outcome.CANCELLED, Control.YOU)
        assert not await approvals.open_of(house.store, session)


async def test_an_agent_that_works_beside_its_question_is_not_let_go(open_house: Open) -> None:
    clock = Clock()
    async with open_house(clock=clock) as house:
        session = await house.new()
        await house.say(session, [MEND, {"text": "done"}])
        asked = await house.until(session, Kind.APPROVAL_ASKED)
        clock.on(seconds=301)
        actor = house.sessions.actors.living[session]
        actor.workplace.transcript.heard += 3600  # it spoke just now, and goes on to
        await look(house)
        assert actor.workplace.agent is not None
        row = await approvals.get(house.store, ApprovalId(str(asked.data["approval"])))
        assert (row.released, row.due is not None) == (None, True)
        await house.sessions.answer(row.id, "allow", option=None, because=None, by="alice")
        end = await house.until(session, Kind.TURN_ENDED)
        assert end.data["stop_reason"] == StopReason.END_TURN


async def test_an_answer_that_meets_the_letting_go_is_not_lost(open_house: Open) -> None:
    clock = Clock()
    async with open_house(clock=clock) as house:
        session = await house.hand_off(goal(MEND, MEND, {"text": "done"}), permissions=Permissions.ASK)
        asked = await house.until(session, Kind.APPROVAL_ASKED)
        clock.on(seconds=301)
        await asyncio.sleep(0.3)
        await look(house)  # the turn is ending now
        await house.sessions.answer(
            ApprovalId(str(asked.data["approval"])), "allow", option=None, because=None, by="alice"
        )
        reached = await house.outcome(session)
        assert reached.data["outcome"] == Outcome.DONE
        assert len(await house.events(session, Kind.APPROVAL_ASKED)) == 1


async def test_the_deadline_denies(open_house: Open) -> None:
    clock = Clock()
    async with open_house(clock=clock, approval_deadline=3600, approval_then="deny") as house:
        session = await house.hand_off(goal(MEND, {"text": "I could not."}), permissions=Permissions.ASK)
        row = await parked(house, session, clock)
        assert row.deadline is not None
        assert row.due == row.deadline
        clock.on(minutes=50)
        await look(house)
        assert await approvals.open_of(house.store, session)
        clock.on(minutes=10)
        await look(house)
        reached = await house.outcome(session)
        assert reached.data["cause"] == "denied"
        answered = await approvals.get(house.store, row.id)
        assert (answered.decision, answered.by) == ("deny", "deadline")
        assert answered.because == "nobody answered by the deadline"


async def test_the_deadline_tells_again_and_goes_on_waiting(open_house: Open) -> None:
    clock = Clock()
    told: list[tuple[str, Notice]] = []

    def tell(notice: Notice, key: str) -> tuple[Write, ...]:
        told.append((key, notice))
        return (outbox.put(key, "desk", notice.as_json(), created=clock(), due=clock()),)

    async with open_house(clock=clock, tell=tell, approval_deadline=3600, approval_then="escalate") as house:
        session = await house.hand_off(goal(MEND, MEND, {"text": "done"}), permissions=Permissions.ASK)
        row = await parked(house, session, clock)
    for hours in range(1, 8):
        clock.on(hours=1)
        async with open_house(clock=clock, tell=tell, approval_deadline=3600, approval_then="escalate") as house:
            await look(house)
            await look(house)
            escalated = await house.events(session, Kind.APPROVAL_ESCALATED)
            assert [event.data["times"] for event in escalated] == list(range(1, min(hours, 5) + 1))
            assert "deadline" not in escalated[-1].data or len(escalated) < 5
    async with open_house(clock=clock, tell=tell) as house:
        await house.sessions.answer(row.id, "allow", option=None, because=None, by="alice")
        await house.outcome(session)
        kept = {item.key for item in await outbox.newest(house.store)}
        keys = [f"approval:{row.id}:{times}" for times in range(6)]
        assert kept == {*keys, f"outcome:{session}:2"}
    assert [key for key, _ in told] == [*keys, f"outcome:{session}:2"]
    assert [notice.occasion for _, notice in told] == [Occasion.ASKED, *[Occasion.ESCALATED] * 5, Occasion.OUTCOME]
    assert told[-1][1].outcome == "done"


async def test_five_thousand_questions_cost_rows_and_no_memory(open_house: Open, tmp_path: Path) -> None:
    many, clock = 5000, Clock()
    async with await Store.open(tmp_path / "data" / "handrail.db") as store:
        await fill(store, many)
    async with open_house(clock=clock) as house:
        before = resident()
        clock.on(hours=1)
        tasks = len(asyncio.all_tasks())
        while await approvals.due(house.store, clock()):
            await look(house)
        async with asyncio.timeout(30):
            while len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110 - the sweeper looks as well, in its own time
                await asyncio.sleep(0.05)
        assert house.sessions.actors.living == {}
        assert resident() - before < 40 << 20
        await look(house)  # nothing is due any more
        assert len(await approvals.everywhere(house.store, limit=many + 1)) == many


async def fill(store: Store, many: int) -> None:
    """As many sessions, each parked on a question: written at once, past the log."""
    asked = now()
    sessions = [
        rows.SessionRow(
            id=SessionId(f"s-{number}"),
            number=number,
            title="x",
            agent="handrail",
            repository="/r",
            repository_key="r-1",
            workspace="/w",
            base="0" * 40,
            branch="b",
            sandbox=SandboxKind.BUBBLEWRAP,
            state=SessionState.WAITING,
            turn=1,
            created=asked,
            updated=asked,
        )
        for number in range(1, many + 1)
    ]
    turn = {"turn": 1, "text": "x", "by": "you", "started": asked, "ended": asked, "stop_reason": "parked"}

    def written(connection: Connection) -> None:
        with connection.begin():
            for table, values in (
                (tables.sessions, [asdict(row) for row in sessions]),
                (tables.turns, [{"session": row.id, "cost_nano": 0, "unpriced": 0} | turn for row in sessions]),
                (tables.approvals, [asdict(open_question(row.id, asked)) for row in sessions]),
            ):
                connection.execute(insert(table), values)

    await store._database.write(written)


def open_question(session: SessionId, asked: datetime) -> ApprovalRow:
    return ApprovalRow(
        id=ApprovalId(f"a-{session}"),
        session=session,
        turn=1,
        call="c",
        title="rm",
        tool="execute",
        input={"command": "rm"},
        diffs=[],
        options=[],
        signature="rm",
        asked=asked,
        then=Then.PARK,
        due=asked + timedelta(seconds=300),
    )


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
