from __future__ import annotations

import asyncio

import pytest

from handrail.errors import Conflict
from handrail.store import prompts, sessions
from handrail.store.engine import Store
from tests.store.making import ALICE, BOB, begin


async def test_prompts_are_taken_in_order_once(alice: Store) -> None:
    await begin(alice, "bob")
    await asyncio.gather(*(alice.log.write(prompts.insert(f"p-{n}", ALICE, f"text {n}", "you")) for n in range(5)))
    await alice.log.write(prompts.insert("p-bob", BOB, "his", "you"))
    assert [row.id for row in await prompts.queued(alice, ALICE)] == [f"p-{n}" for n in range(5)]
    assert [(await sessions.standing(alice, one)).queued for one in (ALICE, BOB)] == [5, 1]
    await alice.log.write(guard=prompts.withdraw(ALICE, "p-1"))
    taken = []
    while row := await prompts.head(alice, ALICE):
        await alice.log.write(guard=prompts.begin(ALICE, row.id))
        taken.append(row.id)
    assert taken == ["p-0", "p-2", "p-3", "p-4"]
    assert [(await sessions.standing(alice, one)).queued for one in (ALICE, BOB)] == [0, 1]


async def test_a_prompt_is_taken_or_withdrawn_never_both(alice: Store) -> None:
    await alice.log.write(prompts.insert("p-1", ALICE, "do it", "you"))
    taken, withdrawn = await asyncio.gather(
        alice.log.write(guard=prompts.begin(ALICE, "p-1")),
        alice.log.write(guard=prompts.withdraw(ALICE, "p-1")),
        return_exceptions=True,
    )
    assert isinstance(taken, Conflict) != isinstance(withdrawn, Conflict)
    with pytest.raises(Conflict):
        await alice.log.write(guard=prompts.withdraw(BOB, "p-1"))
