from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from handrail.errors import Conflict, InvalidInput, NotFound
from handrail.store import sessions
from handrail.store.engine import Store
from handrail.types import Control, Outcome, Permissions, Scope, SessionId, SessionState
from tests.store.making import ALICE, begin, session_row


async def test_a_row_comes_back_as_it_was(store: Store) -> None:
    row = replace(
        session_row("alice", await sessions.next_number(store)),
        holds=["reads", "writes"],
        tools=["/venv"],
        network=["pypi", "api.example.com:443"],
        secrets=["SEARCH_KEY"],
        untrusted=True,
        set_aside=["AGENTS.md"],
        scopes=[Scope("run:r-1")],
        permissions=Permissions.DENY,
        outcome=Outcome.BLOCKED,
        agent_capabilities={"load": True, "modes": ["ask"]},
        cost_nano=2**60,
    )
    await store.log.write(sessions.insert(row))
    assert await sessions.get(store, ALICE) == row


async def test_changes_touch_what_they_name_and_the_time(alice: Store) -> None:
    before = await sessions.get(alice, ALICE)
    await alice.log.write(sessions.update(ALICE, state=SessionState.RUNNING, turn=3))
    after = await sessions.get(alice, ALICE)
    assert after.updated > before.updated
    assert replace(after, updated=before.updated) == replace(before, state=SessionState.RUNNING, turn=3)


async def test_numbers_are_given_once(store: Store) -> None:
    numbers = await asyncio.gather(*(sessions.next_number(store) for _ in range(20)))
    assert sorted(numbers) == list(range(1, 21))
    await store.log.write(sessions.insert(session_row("alice", 1)))
    with pytest.raises(Conflict):
        await store.log.write(sessions.insert(session_row("bob", 1)))


async def test_a_session_is_found_by_what_a_person_says(store: Store) -> None:
    for name in ("ab12", "ab34", "abc", "ABX", "a_b", "ab"):
        await begin(store, name)
    assert (await sessions.find(store, "last")).id == "ab"
    assert (await sessions.find(store, "ab1")).id == "ab12"
    assert (await sessions.find(store, "ab")).id == "ab"
    assert (await sessions.find(store, "a_")).id == "a_b"
    with pytest.raises(InvalidInput, match=r"several begin so \(ab, a_b, abc, ab34, ab12\)"):
        await sessions.find(store, "a")
    for nothing in ("abd", "", "a%", "LAST"):
        with pytest.raises(NotFound):
            await sessions.find(store, nothing)
    with pytest.raises(NotFound):
        await sessions.get(store, SessionId("nobody"))


async def test_last_of_none_is_said(store: Store) -> None:
    with pytest.raises(NotFound, match="no session yet"):
        await sessions.find(store, "last")


async def test_sessions_are_listed_newest_first_by_state(store: Store) -> None:
    for name in ("one", "two", "three"):
        await begin(store, name)
    await store.log.write(sessions.update(SessionId("two"), state=SessionState.RUNNING))
    assert [row.id for row in await sessions.newest(store)] == ["three", "two", "one"]
    assert [row.id for row in await sessions.newest(store, limit=1)] == ["three"]
    assert [row.id for row in await sessions.newest(store, SessionState.RUNNING)] == ["two"]
    both = [SessionState.IDLE, SessionState.RUNNING]
    assert len(await sessions.newest(store, both, None)) == 3
    assert await sessions.count(store) == {
        SessionState.IDLE: 2,
        SessionState.RUNNING: 1,
        SessionState.WAITING: 0,
        SessionState.ENDED: 0,
    }


async def test_control_of_a_handed_off_session_is_kept(alice: Store) -> None:
    await alice.log.write(sessions.update(ALICE, control=Control.AGENT, goal_prompted=True, goal_turns=4))
    row = await sessions.get(alice, ALICE)
    assert (row.control, row.goal_prompted, row.goal_turns) == (Control.AGENT, True, 4)


async def test_sessions_with_work_are_those_to_resume(store: Store) -> None:
    for name in ("idle", "running", "waiting", "goal", "reached", "ended"):
        await begin(store, name)
    await store.log.write(
        sessions.update(SessionId("running"), state=SessionState.RUNNING),
        sessions.update(SessionId("waiting"), state=SessionState.WAITING),
        sessions.update(SessionId("goal"), control=Control.AGENT),
        sessions.update(SessionId("reached"), control=Control.AGENT, outcome=Outcome.DONE),
        sessions.update(SessionId("ended"), control=Control.AGENT, state=SessionState.ENDED),
    )
    assert [row.id for row in await sessions.under_way(store)] == ["running", "waiting", "goal"]
