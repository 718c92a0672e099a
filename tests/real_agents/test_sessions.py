"""Real agents as whole sessions, through gateway and walls: approved, denied, cancelled, killed; nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from handrail.kinds import Kind
from handrail.store import approvals
from handrail.types import ApprovalId, Check, Goal, Outcome, Permissions, SessionId, StopReason
from tests.fake_provider import prompt
from tests.real_agents.door import mount
from tests.sessions.conftest import House, Open, fake, open_house, repository

__all__ = ["fake", "open_house", "repository"]

pytestmark = [pytest.mark.agents, pytest.mark.timeout(300)]

CHECK = Check("sh check.sh")


def _unlike(agent: str) -> str:
    """Agents that write by patch need to know the file; all get their own words, so that no two scripts are alike."""
    return f"For {agent}: make it say Hello."


async def _house_of(house: House, agent: str) -> House:
    house.model = "claude-sonnet-4-5" if agent == "handrail" else None
    mount(house)
    return house


async def told(house: House, session: SessionId) -> str:
    """The log, one line an event, for a failure's message."""
    quiet = (Kind.MODEL_CALLED, Kind.CONTEXT_UPDATED, Kind.SESSION_CREATED)
    events = [event for event in await house.events(session) if event.kind not in quiet]
    return "\n".join(f"{event.turn} {event.kind} {str(event.data)[:300]}" for event in events)


@asynccontextmanager
async def person(house: House, session: SessionId, *, allow: bool) -> AsyncIterator[list[str]]:
    """Somebody who answers each question of a session at once; gives the titles of those that came."""
    titles: list[str] = []

    async def answer() -> None:
        async with house.store.log.subscribe(session) as events:
            async for event in events:
                if event.kind == Kind.APPROVAL_ASKED:
                    titles.append(str(event.data["title"]))
                    asked = ApprovalId(str(event.data["approval"]))
                    said = "allow" if allow else "deny"
                    await house.sessions.answer(asked, said, option=None, because=None, by="alice")

    answering = asyncio.create_task(answer())
    try:
        yield titles
        assert not answering.done(), answering.result()
    finally:
        answering.cancel()


async def test_what_a_person_approves_is_done_and_what_is_cancelled_ends(open_house: Open, agent: str) -> None:
    async with open_house(agent_start=90.0) as opened:
        house = await _house_of(opened, agent)
        session = await house.new(agent=agent, permissions=Permissions.ASK)
        workspace = Path((await house.row(session)).workspace)
        steps: list[dict[str, object]] = [
            {"read": f"{workspace}/greet.py"},
            run(agent, "sed -i s/Hallo/Hello/ greet.py"),
            {"text": "done"},
        ]
        async with person(house, session, allow=True) as asked:
            await house.sessions.handoff(session, Goal(prompt(steps, _unlike(agent)), (CHECK,)), "test")
            reached = await house.outcome(session, seconds=120)
            assert reached.data["outcome"] == Outcome.DONE, await told(house, session)
            assert asked
            assert [file.path for file in (await house.sessions.diff(session, None, None)).files] == ["greet.py"]
            await keyless(house, session)
            await house.rest(session)
            turns = len(await house.events(session, Kind.TURN_ENDED))
            await house.say(session, [run(agent, "touch begun; sleep 47; touch never"), {"text": "slept"}])
            async with asyncio.timeout(60):
                while not (workspace / "begun").exists():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await house.sessions.cancel(session, "test")
            ended = await house.until(session, Kind.TURN_ENDED, count=turns + 1)
            assert ended.data["stop_reason"] == StopReason.CANCELLED, await told(house, session)
            assert not (workspace / "never").exists()
    assert not left(session)


async def keyless(house: House, session: SessionId) -> None:
    """What an agent has written, and what it was given, holds no key."""
    assert await house.events(session, Kind.MODEL_CALLED)
    home = (await house.row(session)).workspace
    for folder in (Path(home), Path(home).parents[1] / "home"):
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink():
                assert b"house-key-5b21c9" not in file.read_bytes(), file


def run(agent: str, command: str) -> dict[str, object]:
    """A step that runs a command. Codex asks only where the model says that it must; else it may not run at all."""
    if agent != "codex":
        return {"shell": command}
    args = {"cmd": command, "sandbox_permissions": "require_escalated", "justification": "a trial"}
    return {"tool": "exec_command", "args": args}


def left(session: SessionId) -> list[str]:
    """Living processes that have to do with a session, by their words or their folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes() + os.fsencode((entry / "cwd").readlink())
            if session.encode() in words:
                found.append(words.decode("utf-8", "replace"))
    return found


async def test_what_a_person_refuses_is_not_done_and_is_no_success(open_house: Open, agent: str) -> None:
    async with open_house(agent_start=90.0) as opened:
        house = await _house_of(opened, agent)
        session = await house.new(agent=agent, permissions=Permissions.ASK)
        write = {"write": {"path": f"{(await house.row(session)).workspace}/new.py", "content": "print('hello')\n"}}
        goal = Goal(prompt([write, {"text": "I was not allowed to."}], _unlike(agent)), (Check("true"),))
        await house.sessions.handoff(session, goal, "test")
        try:
            await house.until(session, Kind.APPROVAL_ASKED, seconds=90)
        except TimeoutError:
            pytest.fail(await told(house, session))
        (asked,) = await approvals.open_of(house.store, session)
        await house.sessions.answer(asked.id, "deny", option=None, because=None, by="alice")
        reached = await house.outcome(session, seconds=60)
        assert (reached.data["outcome"], reached.data["cause"]) == (Outcome.NEEDS_PERSON, "denied")
        assert not (await house.sessions.diff(session, None, None)).files
    assert not left(session)


async def test_killed_in_mid_tool_it_goes_on_or_says_that_it_forgot(open_house: Open, agent: str) -> None:
    async with open_house(agent_start=90.0) as opened:
        house = await _house_of(opened, agent)
        session = await house.new(agent=agent)
        steps: list[dict[str, object]] = [
            {"read": f"{(await house.row(session)).workspace}/greet.py"},
            {"shell": "test -e begun || { touch begun; sleep 41; }"},  # goose forgets the call, and makes it again
            {"repeat": 3, "step": {"shell": "sed -i s/Hallo/Hello/ greet.py # {i}"}},  # Claude loads one round more
            {"text": "done"},
        ]
        await house.sessions.handoff(session, Goal(prompt(steps, _unlike(agent)), (CHECK,)), "test")
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
        if not lost:  # else the script in the replayed summary starts over: its long tool is not waited for
            try:
                reached = await house.outcome(session, seconds=90)
            except TimeoutError:
                pytest.fail(await told(house, session))
            assert reached.data["outcome"] == Outcome.DONE, await told(house, session)
    assert not left(session)
