from __future__ import annotations

from handrail.gateway import ModelCall, Wire
from handrail.store import budgets, calls
from handrail.store.calls import Totals
from handrail.store.engine import Store
from handrail.types import NanoUSD, Scope, SessionId, now
from tests.store.making import ALICE, BOB, begin


def call(session: SessionId, model: str, cost: int | None, tokens: int = 10, status: int = 200) -> ModelCall:
    return ModelCall(
        session=session,
        turn=1,
        time=now(),
        provider="anthropic",
        wire=Wire.ANTHROPIC,
        model=model,
        status=status,
        input_tokens=tokens,
        cached_tokens=tokens // 2,
        output_tokens=tokens,
        cost=None if cost is None else NanoUSD(cost),
        seconds=0.5,
    )


async def test_a_call_comes_back_as_it_was_metered(alice: Store) -> None:
    metered = call(ALICE, "opus", 123)
    await alice.log.write(calls.insert(metered), calls.insert(metered, turn=4))
    row, other = await calls.of(alice, ALICE)
    assert (row.turn, row.time, row.wire, row.cost_nano, row.seconds) == (1, metered.time, "anthropic", 123, 0.5)
    assert other.turn == 4


async def test_sums_are_exact_and_say_what_has_no_price(alice: Store) -> None:
    await begin(alice, "bob")
    assert await calls.totals(alice) == Totals()
    await alice.log.write(
        calls.insert(call(ALICE, "opus", 10**15 + 1)),
        calls.insert(call(ALICE, "opus", 10**15 + 1)),
        calls.insert(call(ALICE, "local", None)),
        calls.insert(call(ALICE, "local", None, tokens=0, status=500)),
        calls.insert(call(BOB, "haiku", 5)),
    )
    assert await calls.totals(alice, ALICE) == Totals(4, 2 * 10**15 + 2, 1, 30, 15, 30)
    spend = await calls.spend(alice)
    assert spend.total.cost_nano == 2 * 10**15 + 7
    assert list(spend.by_model) == ["opus", "haiku", "local"]
    assert spend.by_model["local"] == Totals(2, 0, 1, 10, 5, 10)
    assert list(spend.by_session) == [ALICE, BOB]


async def test_sums_by_agent_workflow_and_member_and_of_one_person(alice: Store) -> None:
    await begin(alice, "bob", agent="claude", by="bob")
    await alice.log.write(
        *budgets.share(ALICE, [Scope("member:alice"), Scope("run:r-1"), Scope("workflow:nightly")]),
        *budgets.share(BOB, [Scope("member:bob")]),
        calls.insert(call(ALICE, "opus", 3)),
        calls.insert(call(BOB, "haiku", 5)),
    )
    spend = await calls.spend(alice)
    assert {name: sums.cost_nano for name, sums in spend.by_agent.items()} == {"claude": 5, "handrail": 3}
    assert {name: sums.cost_nano for name, sums in spend.by_member.items()} == {"bob": 5, "alice": 3}
    assert {name: sums.cost_nano for name, sums in spend.by_workflow.items()} == {"nightly": 3}
    own = await calls.spend(alice, "bob")
    assert (own.total.cost_nano, list(own.by_session), list(own.by_member)) == (5, [BOB], ["bob"])
