"""A clock that is wrong, or is set right, ends no work and makes no time negative."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handrail.kinds import Kind
from handrail.store import sessions as rows
from handrail.store import turns
from handrail.types import Check, Goal, Limits, Outcome, Permissions, SessionState, now
from tests.fake_provider import prompt
from tests.sessions.conftest import Open


@pytest.mark.parametrize("days", [-400, 400])
async def test_a_time_limit_is_measured_with_the_clock_that_it_was_set_by(open_house: Open, days: int) -> None:
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
