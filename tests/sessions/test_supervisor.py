from __future__ import annotations

from handrail.kinds import Kind
from handrail.types import Check, Control, Goal, Limits, NanoUSD, Outcome, SessionState, StopReason
from tests.sessions.conftest import House

WRONG_THEN_RIGHT = [
    {"shell": "sed -i s/Hallo/Hullo/ greet.py"},
    {"text": "Mended."},
    {"shell": "sed -i s/Hullo/Hello/ greet.py"},
    {"text": "Now it is."},
]
CHECK = Check("sh check.sh")


def script(steps: list[dict[str, object]], text: str = "Make it say Hello.") -> str:
    from tests.fake_provider import prompt  # noqa: PLC0415

    return prompt(steps, text)


async def test_a_prompt_is_one_turn_and_control_comes_back(house: House) -> None:
    session = await house.new()
    await house.say(session, [{"read": "greet.py"}, {"text": "It greets in German.", "chunks": 3}])
    end = await house.until(session, Kind.TURN_ENDED)
    row = await house.rest(session)
    assert end.data["stop_reason"] == StopReason.END_TURN
    assert end.data["tools"] == 1
    assert "".join(str(e.data["text"]) for e in await house.events(session, Kind.AGENT_TEXT)) == "It greets in German."
    assert (row.control, row.state, row.turn) == (Control.YOU, SessionState.IDLE, 1)
    assert row.cost_nano > 0
    assert len(await house.events(session, Kind.MODEL_CALLED)) == 2


async def test_a_goal_is_pursued_until_the_check_passes(house: House) -> None:
    goal = Goal(script(WRONG_THEN_RIGHT), (CHECK,), Limits(turns=5, budget=NanoUSD(10**9)))
    session = await house.hand_off(goal)
    reached = await house.outcome(session)
    row = await house.rest(session)
    assert reached.data["outcome"] == Outcome.DONE
    assert reached.data["turns"] == 2
    assert [e.data["passed"] for e in await house.events(session, Kind.CHECK_ENDED)] == [False, True]
    assert row.outcome is Outcome.DONE
    assert row.control is Control.YOU
    change = await house.sessions.diff(session, None, None)
    assert [file.path for file in change.files] == ["greet.py"]
    assert '+    return "Hello " + name' in change.patch
    assert "Hallo" in (house.repository / "greet.py").read_text()
