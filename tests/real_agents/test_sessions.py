"""Real agents as sessions: handed off through the real gateway and walls, killed, denied, taken back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from handrail.kinds import Kind
from handrail.store import approvals
from handrail.types import Check, Goal, Outcome, Permissions, SessionId
from tests.fake_provider import prompt
from tests.real_agents.conftest import CI
from tests.sessions.conftest import House, Open, fake, open_house, repository

__all__ = ["fake", "open_house", "repository"]

pytestmark = [pytest.mark.agents, pytest.mark.timeout(180)]

CHECK = Check("sh check.sh")
WRITE: dict[str, object] = {
    "write": {"path": "new.py", "content": "print('hello')\n"},
}


def _unlike(agent: str) -> str:
    """Agents that write by patch need to know the file; all get their own words, so that no two scripts are alike."""
    return f"For {agent}: make it say Hello."


async def _house_of(house: House, agent: str) -> House:
    house.model = "claude-sonnet-4-5" if agent == "handrail" else None
    return house


@pytest.fixture(autouse=True)
def _of_ci(agent: str) -> None:
    if agent not in CI:
        pytest.skip("the scripts here fit the agents of CI; the tour (test_tour.py) drives the others")


async def told(house: House, session: SessionId) -> str:
    """The log, one line an event, for a failure's message."""
    quiet = (Kind.MODEL_CALLED, Kind.CONTEXT_UPDATED, Kind.SESSION_CREATED)
    events = [event for event in await house.events(session) if event.kind not in quiet]
    return "\n".join(f"{event.turn} {event.kind} {str(event.data)[:300]}" for event in events)


async def test_a_goal_is_reached_with_a_placeholder_for_a_key(open_house: Open, agent: str) -> None:
    async with open_house(agent_start=90.0) as opened:
        house = await _house_of(opened, agent)
        mend: dict[str, object] = {"shell": "sed -i s/Hallo/Hello/ greet.py"}
        read: dict[str, object] = {"read": "greet.py"}
        steps: list[dict[str, object]] = [read, mend, {"text": "done"}]
        goal = Goal(prompt(steps, _unlike(agent)), (CHECK,))
        session = await house.hand_off(goal, agent=agent)
        reached = await house.outcome(session, seconds=120)
        assert reached.data["outcome"] == Outcome.DONE, await told(house, session)
        assert [file.path for file in (await house.sessions.diff(session, None, None)).files] == ["greet.py"]
        assert await house.events(session, Kind.MODEL_CALLED)
        home = (await house.row(session)).workspace
        for folder in (Path(home), Path(home).parents[1] / "home"):
            for file in folder.rglob("*"):
                if file.is_file() and not file.is_symlink():
                    assert b"secret-key" not in file.read_bytes(), file


async def test_what_a_person_refuses_is_not_done_and_is_no_success(open_house: Open, agent: str) -> None:
    async with open_house(agent_start=90.0) as opened:
        house = await _house_of(opened, agent)
        goal = Goal(prompt([WRITE, {"text": "I was not allowed to."}], _unlike(agent)), (Check("true"),))
        session = await house.hand_off(goal, agent=agent, permissions=Permissions.ASK)
        await house.until(session, Kind.APPROVAL_ASKED, seconds=90)
        (asked,) = await approvals.open_of(house.store, session)
        await house.sessions.answer(asked.id, "deny", option=None, because=None, by="alice")
        reached = await house.outcome(session, seconds=60)
        assert (reached.data["outcome"], reached.data["cause"]) == (Outcome.NEEDS_PERSON, "denied")
        assert not (await house.sessions.diff(session, None, None)).files


async def test_killed_in_mid_tool_it_goes_on_or_says_that_it_forgot(open_house: Open, agent: str) -> None:
    async with open_house(agent_start=90.0) as opened:
        house = await _house_of(opened, agent)
        steps: list[dict[str, object]] = [
            {"read": "greet.py"},
            {"shell": "touch begun; sleep 41"},
            {"repeat": 3, "step": {"shell": "sed -i s/Hallo/Hello/ greet.py # {i}"}},  # Claude loads one round more
            {"text": "done"},
        ]
        session = await house.hand_off(Goal(prompt(steps, _unlike(agent)), (CHECK,)), agent=agent)
        await house.until(session, Kind.TOOL_STARTED, count=2, seconds=90)
        await asyncio.sleep(2)  # Claude shows a tool a moment before it keeps it
        started = (await house.events(session, Kind.AGENT_STARTED))[0]
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(str(started.data["pid"])), signal.SIGKILL)
        await house.until(session, Kind.AGENT_STARTED, count=2, seconds=90)
        again = (await house.events(session, Kind.AGENT_STARTED))[1]
        lost = await house.events(session, Kind.MEMORY_LOST)
        assert again.data["how"] == ("replayed" if lost else "loaded")
        assert not lost or agent in ("gemini", "openhands"), await told(house, session)
        if lost:  # the script in the replayed summary starts over: its long tool is not waited for
            return
        try:
            reached = await house.outcome(session, seconds=90)
        except TimeoutError:
            pytest.fail(await told(house, session))
        assert reached.data["outcome"] == Outcome.DONE, await told(house, session)
