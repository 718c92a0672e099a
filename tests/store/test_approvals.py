from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from handrail.errors import Conflict, NotFound
from handrail.store import approvals, rail, sessions
from handrail.store.approvals import ApprovalRow
from handrail.store.engine import Store
from handrail.store.tables import ApprovalState
from handrail.types import ApprovalId, now
from tests.store.making import ALICE, said


def question(name: str, signature: str = "edit a.py") -> ApprovalRow:
    return ApprovalRow(
        id=ApprovalId(name),
        session=ALICE,
        turn=1,
        call="call-1",
        title="Edit a.py",
        tool="edit",
        input={"path": "a.py"},
        diffs=[{"path": "a.py", "old": None, "new": "x"}],
        options=[{"id": "yes", "name": "Yes", "kind": "allow_once"}],
        signature=signature,
        asked=now(),
    )


async def test_a_question_comes_back_as_it_was(alice: Store) -> None:
    row = replace(question("a-1"), input=None)
    await alice.log.write(approvals.insert(row))
    assert await approvals.get(alice, row.id) == row
    with pytest.raises(NotFound):
        await approvals.get(alice, ApprovalId("a-2"))


async def test_of_many_answers_one_wins_and_alone_is_in_the_log(alice: Store) -> None:
    row = question("a-1")
    await alice.log.write(approvals.insert(row))

    async def answer(by: str, decision: str) -> None:
        await alice.log.append(ALICE, [said(by)], guard=approvals.answer(row.id, decision=decision, by=by))

    results = await asyncio.gather(
        *(answer(f"person {number}", "allow" if number % 2 else "deny") for number in range(10)),
        return_exceptions=True,
    )
    assert [type(result) for result in results].count(Conflict) == 9
    (event,) = await alice.log.read(ALICE)
    kept = await approvals.get(alice, row.id)
    assert kept.state is ApprovalState.ANSWERED
    assert kept.by == event.data["text"]
    assert kept.answered is not None
    assert await approvals.open_of(alice, ALICE) == []


async def test_an_answer_is_used_once(alice: Store) -> None:
    row = question("a-1")
    await alice.log.write(approvals.insert(row))
    assert await approvals.unused_answer(alice, ALICE, row.signature) is None
    await alice.log.write(guard=approvals.answer(row.id, decision="deny", by="you", because="not this file"))
    found = await approvals.unused_answer(alice, ALICE, row.signature)
    assert found is not None
    assert found.because == "not this file"
    assert await approvals.unused_answer(alice, ALICE, "another") is None
    await alice.log.write(guard=approvals.use(row.id))
    assert await approvals.unused_answer(alice, ALICE, row.signature) is None
    with pytest.raises(Conflict):
        await alice.log.write(guard=approvals.use(row.id))


async def test_open_questions_are_listed_longest_waiting_first(alice: Store) -> None:
    for name in ("a-1", "a-2", "a-3"):
        await alice.log.write(approvals.insert(question(name, f"edit {name}")))
    await alice.log.write(guard=approvals.void(ApprovalId("a-2")))
    assert [row.id for row in await approvals.open_of(alice, ALICE)] == ["a-1", "a-3"]
    assert [row.id for row in await approvals.everywhere(alice)] == ["a-1", "a-3"]
    assert (await sessions.standing(alice, ALICE)).asks == 2
    for by, waiting in ((None, 2), ("you", 2), ("somebody", 0)):
        assert (await rail.read(alice, by, 7, effects_too=True, runs_too=True)).waiting == waiting
        assert len(await approvals.everywhere(alice, by=by)) == waiting
    assert [row.id for row in await approvals.everywhere(alice, only_open=False)] == ["a-3", "a-2", "a-1"]
    same = await approvals.open_with(alice, ALICE, "edit a-3")
    assert same is not None
    assert same.id == "a-3"
    with pytest.raises(Conflict):
        await alice.log.write(guard=approvals.answer(ApprovalId("a-2"), decision="allow", by="you"))


async def test_only_what_is_due_is_looked_at(alice: Store) -> None:
    at = now()
    late = at + timedelta(hours=1)
    rows = [replace(question(f"a-{n}", f"edit {n}"), due=due) for n, due in enumerate((at, late, None))]
    for row in rows:
        await alice.log.write(approvals.insert(row))
    assert [row.id for row in await approvals.due(alice, at)] == ["a-0"]
    await alice.log.write(guard=approvals.release(ApprovalId("a-0"), at, late))
    assert await approvals.due(alice, at) == []
    assert [row.id for row in await approvals.due(alice, late)] == ["a-0", "a-1"]
    (found,) = [row for row in await approvals.due(alice, late) if row.id == "a-0"]
    await alice.log.write(guard=approvals.escalate(found, late + timedelta(hours=1)))
    with pytest.raises(Conflict):
        await alice.log.write(guard=approvals.escalate(found, None))
    await alice.log.write(guard=approvals.answer(ApprovalId("a-1"), decision="allow", by="you"))
    assert await approvals.due(alice, late) == []
    with pytest.raises(Conflict):
        await alice.log.write(guard=approvals.release(ApprovalId("a-1"), at, late))


async def test_a_refused_question_counts_from_its_turn_on(alice: Store) -> None:
    row = question("a-1", "a-1")
    await alice.log.write(approvals.insert(row))
    await alice.log.write(guard=approvals.answer(row.id, decision="deny", by="you"))
    assert await approvals.denied_since(alice, ALICE, 1)
    assert not await approvals.denied_since(alice, ALICE, 2)
