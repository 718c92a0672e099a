from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.commands import sessions
from handrail.commands.actor import OWNER, Actor
from handrail.commands.desk import Desk
from handrail.commands.sessions import Wanted
from handrail.commands.values import GoalSpec
from handrail.errors import Conflict, Forbidden, HandrailError, InvalidInput, NotFound
from handrail.kinds import Kind
from handrail.store import sessions as rows
from handrail.store.log import Draft
from handrail.types import SandboxKind, SessionId, SessionState
from tests.commands.desks import ask, begin, open_desk
from tests.fake_provider import FakeProvider, prompt


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "greet.py").write_text("print('Hallo')\n")
    who = ["-c", "user.name=Alice", "-c", "user.email=alice@example.invalid"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)
    return folder


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk whose provider answers by script."""
    async with FakeProvider() as fake:
        environ = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": fake.url, "PATH": os.environ["PATH"]}
        async with open_desk(tmp_path / "live", environ) as desk:
            yield desk


async def until(desk: Desk, session: SessionId, kind: Kind) -> None:
    async with asyncio.timeout(30), desk.store.log.subscribe(session) as events:
        async for event in events:
            if event.kind == kind:
                return


async def test_a_session_is_made_prompted_and_read(live: Desk, repository: Path) -> None:
    wanted = Wanted(
        str(repository),
        sandbox="none",
        title=" first\nlight ",
        model="claude-sonnet-4-5",
        prompt=prompt([{"text": "Hello"}]),
    )
    made = await sessions.create(live, OWNER, wanted)
    await until(live, made.row.id, Kind.TURN_ENDED)
    seen = await sessions.show(live, OWNER, "last")
    assert (seen.row.id, seen.row.title, seen.row.sandbox) == (made.row.id, "first light", SandboxKind.NONE)
    assert seen.row.turn == 1
    events, last = await sessions.events(live, OWNER, made.row.id[:5])
    assert events[0].kind == Kind.SESSION_CREATED
    assert last == events[-1].seq
    ended = await sessions.end(live, OWNER, made.row.id)
    assert ended.row.state is SessionState.ENDED
    with pytest.raises(Conflict):
        await sessions.prompt(live, OWNER, made.row.id, "more")


async def test_a_goal_hands_off(live: Desk, repository: Path) -> None:
    goal = GoalSpec(prompt([{"shell": "sed -i s/Hallo/Hello/ greet.py"}]), (("grep -q Hello greet.py", None),), turns=3)
    wanted = Wanted(str(repository), sandbox="none", permissions="allow", model="claude-sonnet-4-5", goal=goal)
    made = await sessions.create(live, OWNER, wanted)
    await until(live, made.row.id, Kind.OUTCOME_REACHED)
    seen = await sessions.show(live, OWNER, made.row.id)
    assert seen.row.outcome == "done", seen.row.outcome_reason
    assert seen.row.goal is not None
    assert seen.row.goal.limits.turns == 3


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (Wanted("relative"), "repository"),
        (Wanted("/x", agent=""), "agent"),
        (Wanted("/x", sandbox="docker"), "sandbox"),
        (Wanted("/x", permissions="maybe"), "permissions"),
        (Wanted("/x", ref="-x"), "ref"),
        (Wanted("/x", prompt="x" * (1 << 20) + "x"), "prompt"),
        (Wanted("/x", prompt=" "), "prompt"),
        (Wanted("/x", tools=("y",)), r"tools\[0\]"),
        (Wanted("/x", tools=("/y",) * 21), "tools"),
        (Wanted("/x", goal=GoalSpec("x", turns=-1)), r"goal\.turns"),
        (Wanted("/x", prompt="x", goal=GoalSpec("x")), "goal"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_made(desk: Desk, wanted: Wanted, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        await sessions.create(desk, OWNER, wanted)
    assert await sessions.newest(desk, OWNER) == []


async def test_a_repository_that_is_none_and_an_agent_that_is_unknown(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=str(tmp_path)):
        await sessions.create(desk, OWNER, Wanted(str(tmp_path), model="m"))
    with pytest.raises(HandrailError, match=r"cody.*handrail, claude, codex"):
        await sessions.create(desk, OWNER, Wanted(str(tmp_path), agent="cody"))


async def test_sessions_are_listed_newest_first_with_what_waits(desk: Desk) -> None:
    alice = await begin(desk, "s-alice")
    bob = await begin(desk, "s-bob", state=SessionState.WAITING)
    await ask(desk, bob, "a-2")
    found = await sessions.newest(desk, OWNER)
    assert [seen.row.id for seen in found] == [bob, alice]
    assert [len(seen.approvals) for seen in found] == [1, 0]
    assert [seen.last_seq for seen in found] == [2, 1]
    assert [seen.row.id for seen in await sessions.newest(desk, OWNER, "waiting")] == [bob]
    with pytest.raises(InvalidInput, match=r"state.*idle, running, waiting, ended"):
        await sessions.newest(desk, OWNER, "asleep")
    with pytest.raises(InvalidInput, match="limit"):
        await sessions.newest(desk, OWNER, limit=0)


async def test_a_session_is_meant_by_a_beginning_that_is_its_own(desk: Desk) -> None:
    await begin(desk, "s-alice")
    await begin(desk, "s-albert")
    assert (await sessions.show(desk, OWNER, "s-ali")).row.id == "s-alice"
    with pytest.raises(InvalidInput, match="s-al"):
        await sessions.show(desk, OWNER, "s-al")
    with pytest.raises(NotFound):
        await sessions.show(desk, OWNER, "s-charlie")


async def test_the_log_is_followed_from_where_one_was(desk: Desk) -> None:
    alice = await begin(desk)
    await desk.store.log.append(alice, [Draft(Kind.NOTICE, {"level": "info", "text": str(n)}) for n in range(3)])
    async with await sessions.follow(desk, OWNER, "last", after=2) as subscription:
        assert [event.seq for event in await subscription.batch()] == [3, 4]
        await desk.store.log.append(alice, [Draft(Kind.NOTICE, {"level": "info", "text": "now"})])
        assert [event.seq for event in await subscription.batch()] == [5]


async def test_acts_on_a_session_at_rest(desk: Desk) -> None:
    alice = await begin(desk)
    with pytest.raises(Conflict):
        await sessions.cancel(desk, OWNER, alice)
    with pytest.raises(Conflict):
        await sessions.withdraw(desk, OWNER, alice, "p-none")
    assert (await sessions.take(desk, OWNER, alice)).row.control == "you"
    assert (await rows.get(desk.store, alice)).state is SessionState.IDLE


async def test_a_stranger_gets_nothing(desk: Desk) -> None:
    charlie = Actor("charlie", frozenset())
    with pytest.raises(Forbidden):
        await sessions.newest(desk, charlie)
    with pytest.raises(Forbidden):
        await sessions.create(desk, charlie, Wanted("/x"))
