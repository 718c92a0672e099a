from __future__ import annotations

import asyncio

import pytest

from handrail.commands import approvals
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.errors import Conflict, HandrailError, InvalidInput, NotFound
from handrail.store import approvals as rows
from handrail.store import sessions
from handrail.store.tables import ApprovalState
from handrail.types import ApprovalId, SessionState
from tests.commands.desks import ask, begin


async def test_what_waits_is_listed_the_longest_waiting_first(desk: Desk) -> None:
    alice, bob = await begin(desk, "s-alice"), await begin(desk, "s-bob")
    first, second = await ask(desk, alice, "a-9"), await ask(desk, bob, "a-1")
    assert [row.id for row in await approvals.waiting(desk, OWNER)] == [first, second]
    await desk.store.log.write(guard=rows.void(first))
    assert [row.id for row in await approvals.waiting(desk, OWNER)] == [second]
    assert len(await approvals.waiting(desk, OWNER, only_open=False)) == 2


async def test_the_first_answer_wins_and_the_second_hears_whose_it_was(desk: Desk) -> None:
    alice = await begin(desk, state=SessionState.WAITING)
    asked = await ask(desk, alice)
    row = await approvals.answer(desk, OWNER, asked, "deny", option=None, because="not that folder")
    assert (row.state, row.decision, row.by, row.because) == (
        ApprovalState.ANSWERED,
        "deny",
        "you",
        "not that folder",
    )
    with pytest.raises(Conflict, match="answered before, with deny by you"):
        await approvals.answer(desk, OWNER, asked, "allow", option=None, because=None)


async def test_of_many_answers_at_once_one_wins(desk: Desk) -> None:
    alice = await begin(desk, state=SessionState.WAITING)
    asked = await ask(desk, alice)
    tries = [
        approvals.answer(desk, OWNER, asked, decision, option=None, because=None) for decision in ("allow", "deny") * 3
    ]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert all("answered before" in str(result) for result in results if isinstance(result, HandrailError))


async def test_answers_that_cannot_be(desk: Desk) -> None:
    asked = await ask(desk, await begin(desk))
    with pytest.raises(InvalidInput, match="decision: 'maybe' cannot be used: choose one of allow, deny"):
        await approvals.answer(desk, OWNER, asked, "maybe", option=None, because=None)
    with pytest.raises(InvalidInput, match="because"):
        await approvals.answer(desk, OWNER, asked, "deny", option=None, because="x" * 5000)
    with pytest.raises(InvalidInput, match="option"):
        await approvals.answer(desk, OWNER, asked, "allow", option="always", because=None)
    with pytest.raises(NotFound):
        await approvals.answer(desk, OWNER, ApprovalId("a-none"), "allow", option=None, because=None)
    await desk.store.log.write(guard=rows.void(asked))
    with pytest.raises(Conflict, match="waits no more"):
        await approvals.answer(desk, OWNER, asked, "allow", option=None, because=None)


async def test_a_question_of_another_servers_session_is_shown_and_answered_there(desk: Desk) -> None:
    asked = await ask(desk, await begin(desk, state=SessionState.WAITING, server="another"))
    assert (await approvals.show(desk, OWNER, asked))[1] is None
    with pytest.raises(Conflict, match="is on another server"):
        await approvals.answer(desk, OWNER, asked, "allow", option=None, because=None)


async def test_always_is_shown_before_it_is_written(desk: Desk) -> None:
    alice = await begin(desk, state=SessionState.WAITING, policy='shell: {deny: ["git push *"]}')
    await ask(desk, alice, "a-1", input={"command": "make run-1234"})
    asked = await ask(desk, alice, "a-2", input={"command": "make run-5678"})
    row, always = await approvals.show(desk, OWNER, asked)
    assert (row.id, always) == (asked, approvals.Always(("shell: allow make run-*",), 1, 1, stands=True))
    with pytest.raises(InvalidInput, match="it goes with allow"):
        await approvals.answer(desk, OWNER, asked, "deny", option=None, because=None, lasts="session")
    await approvals.answer(desk, OWNER, asked, "allow", option=None, because=None, lasts="session")
    kept = (await sessions.get(desk.store, alice)).policy or ""
    assert "make run-*" in kept
    assert "git push *" in kept
    assert await approvals.show(desk, OWNER, asked) == (await rows.get(desk.store, asked), None)
    unclear = await ask(desk, alice, "a-3", input={"command": "eval x"})
    assert (await approvals.show(desk, OWNER, unclear))[1] is None
    with pytest.raises(InvalidInput, match="no narrow rule"):
        await approvals.answer(desk, OWNER, unclear, "allow", option=None, because=None, lasts="session")
