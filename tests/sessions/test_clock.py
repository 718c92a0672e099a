"""A clock that is wrong, or is set right, ends no work and makes no time negative."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handrail.kinds import Kind
from handrail.store import approvals, turns
from handrail.store import sessions as rows
from handrail.store.tables import ApprovalState
from handrail.types import ApprovalId, Check, Goal, Limits, Outcome, Permissions, SessionState, now
from tests.fake_provider import prompt
from tests.sessions.conftest import Open


@pytest.mark.parametrize("days", [-400, 400])
async def test_a_clock_that_is_wrong_ends_no_work(open_house: Open, days: int) -> None:
    steps = [{"text": "not yet"}, {"shell": "sed -i s/Hallo/Hello/ greet.py"}, {"text": "done"}]
    goal = Goal(prompt(steps, "Make it English."), (Check("sh check.sh"),), Limits(seconds=3600))
    async with open_house(clock=lambda: now() + timedelta(days=days)) as house:
        session = await house.new(permissions=Permissions.ALLOW, goal=goal)
        end = await house.outcome(session)
        row = await house.row(session)
    assert end.data["outcome"] == Outcome.DONE, end.data
    assert row.goal_set is not None
    assert abs((row.goal_set - now()).days - days) <= 1


async def test_a_turn_that_began_later_than_now_is_settled_with_no_time(open_house: Open) -> None:
    async with open_house() as house:
        session = await house.new()
        late = now() + timedelta(days=400)
        begun = turns.insert(session, 1, text="x", by="you", started=late)
        await house.store.log.write(begun, rows.update(session, turn=1, state=SessionState.RUNNING))
    async with open_house() as house:
        end = await house.until(session, Kind.TURN_ENDED)
    assert end.data["stop_reason"] == "interrupted"
    assert end.data["seconds"] == 0.0


async def test_a_clock_that_is_set_in_the_middle_of_work_neither_takes_time_nor_gives_it(open_house: Open) -> None:
    wall, gone = [timedelta()], [0.0]
    steps: list[dict[str, object]] = [{"shell": "sleep 0.5"}, {"text": "not yet"}]
    goal = Goal(prompt([{"repeat": 40, "step": step} for step in steps]), (Check("false"),), Limits(None, None, 100))
    async with open_house(clock=lambda: now() + wall[0], running=lambda: gone[0], loop_calls=500) as house:
        session = await house.new(permissions=Permissions.ALLOW, goal=goal)
        for ahead in (400, -400, 0):
            await house.until(session, Kind.TOOL_ENDED, count=len(await house.events(session, Kind.TOOL_ENDED)) + 1)
            wall[0] = timedelta(days=ahead)
            gone[0] += 30
        assert not await house.events(session, Kind.OUTCOME_REACHED)
        await house.until(session, Kind.MODEL_CALLED, count=len(await house.events(session, Kind.MODEL_CALLED)) + 1)
        kept = (await house.row(session)).goal_seconds
        assert kept == 90
    async with open_house(running=lambda: 7.0 + gone[0] - 90, loop_calls=500) as house:  # another machine, a week later
        await house.until(session, Kind.TURN_STARTED, count=2)
        assert not await house.events(session, Kind.OUTCOME_REACHED)
        gone[0] += 10
        end = await house.outcome(session)
    assert (end.data["outcome"], end.data["cause"]) == (Outcome.NEEDS_PERSON, "time_spent")


async def test_a_question_outlives_a_clock_that_was_far_ahead(open_house: Open) -> None:
    ahead = [timedelta(days=400)]
    async with open_house(
        clock=lambda: now() + ahead[0], approval_deadline=3600.0, approval_then="deny", approval_release=9999.0
    ) as house:
        session = await house.new(permissions=Permissions.ASK)
        await house.say(session, [{"shell": "echo hello > made.txt"}])
        asked = await house.until(session, Kind.APPROVAL_ASKED)
        identity = ApprovalId(str(asked.data["approval"]))
        await house.sessions._lookout.look()
        ahead[0] = timedelta()  # set right
        await house.sessions._lookout.look()
        row = await approvals.get(house.store, identity)
        assert abs((row.asked - now()).total_seconds()) < 60
        assert row.deadline is not None
        assert (row.deadline - row.asked).total_seconds() == 3600
        assert any("counts from now" in str(e.data["text"]) for e in await house.events(session, Kind.NOTICE))
        ahead[0] = timedelta(seconds=-9)  # less than a jump
        await house.sessions._lookout.look()
        ahead[0] = timedelta(seconds=3599)
        await house.sessions._lookout.look()
        assert (await approvals.get(house.store, identity)).state is ApprovalState.OPEN
        ahead[0] = timedelta(seconds=3700)
        await house.sessions._lookout.look()
        row = await approvals.get(house.store, identity)
    assert (row.state, row.decision, row.by) == (ApprovalState.ANSWERED, "deny", "deadline")
