from __future__ import annotations

from datetime import timedelta

from handrail.store import budgets, turns
from handrail.store.engine import Store
from handrail.types import Scope, StopReason, now
from tests.store.making import ALICE


async def test_a_turn_has_a_beginning_and_an_end(alice: Store) -> None:
    begun, ended = now(), now()
    await alice.log.write(turns.insert(ALICE, 1, text="do it", by="you", started=begun, snapshot="c0"))
    await alice.log.write(turns.insert(ALICE, 2, text="go on", by="goal", started=begun))
    await alice.log.write(
        turns.end(ALICE, 1, ended=ended, stop_reason=StopReason.ERROR, error="quota", cost_nano=7, unpriced=1)
    )
    first, second = await turns.of(alice, ALICE)
    assert (first.snapshot, first.ended, first.stop_reason, first.error) == ("c0", ended, "error", "quota")
    assert (first.cost_nano, first.unpriced) == (7, 1)
    assert (second.ended, second.stop_reason, second.cost_nano) == (None, None, 0)
    assert await turns.get(alice, ALICE, 2) == second
    assert await turns.get(alice, ALICE, 3) is None


async def test_turns_that_were_parked_or_cut_off_lead_to_the_next(alice: Store) -> None:
    for turn, reason in enumerate(("end_turn", "parked", "interrupted", None), 1):
        await alice.log.write(turns.insert(ALICE, turn, text="x", by="you", started=now()))
        if reason is not None:
            await alice.log.write(turns.end(ALICE, turn, ended=now(), stop_reason=reason))
    assert [await turns.begun_by(alice, ALICE, turn) for turn in (1, 2, 3, 4)] == [1, 2, 2, 2]


async def test_time_worked_is_no_matter_of_the_clock(alice: Store) -> None:
    scope = Scope("run:r-1")
    await alice.log.write(*budgets.share(ALICE, [scope]))
    begun = now()
    for turn, ended in ((1, begun - timedelta(days=1)), (2, begun + timedelta(days=9))):  # set back, then forward
        await alice.log.write(turns.insert(ALICE, turn, text="x", by="you", started=begun))
        await alice.log.write(turns.end(ALICE, turn, ended=ended, stop_reason=StopReason.END_TURN, seconds=60))
    assert (await budgets.used(alice, scope, None)).seconds == 120, "turns of one session follow one another"
    await alice.log.write(turns.insert(ALICE, 3, text="x", by="you", started=begun + timedelta(days=400)))
    assert (await budgets.used(alice, scope, None, {ALICE: 30.0})).seconds == 150
