from __future__ import annotations

import pytest
from msgspec.structs import replace

from handrail.gateway import ModelCall
from handrail.sessions import budgets
from handrail.sessions.allowance import Allowance, told
from handrail.sessions.record import Record
from handrail.types import Budget, Check, Control, Goal, Limits, NanoUSD, Scope, now
from tests.sessions.conftest import House

CENT = 10_000_000
TIME = [0.0]
"""seconds that have passed, for whoever counts them"""


async def allowance(house: House, limits: Limits | None = None) -> tuple[Allowance, Record]:
    """Of a session that is handed off in memory, and whose agent was never started."""
    row = await house.row(await house.new())
    if limits is not None:
        row = replace(row, control=Control.AGENT, goal=Goal("x", (Check("false"),), limits))
    record = Record(house.store, row, lambda: TIME[0])
    return Allowance(house.sessions._rooms, record), record


def grant(house: House, record: Record, turn: int | None = None) -> None:
    async def on_call(call: ModelCall) -> None:
        raise AssertionError(call)

    cap = None if turn is None else NanoUSD(turn)
    scopes = [Scope(scope) for scope in record.row.scopes]
    house.sessions._rooms.gateway.grant(
        record.id, budget=None, spent=NanoUSD(0), on_call=on_call, turn_budget=cap, scopes=scopes
    )


async def test_without_limits_nothing_binds_and_nothing_is_near(house: House) -> None:
    mine, _ = await allowance(house)
    mine.begin(anew=True)
    assert (mine.binding, mine.near(), mine.over()) == (False, None, None)
    mine.end()
    mine.end()


@pytest.mark.parametrize(
    ("limits", "used", "says"),
    [
        (Limits(budget=NanoUSD(100 * CENT)), {"cost_nano": 69 * CENT}, None),
        (Limits(budget=NanoUSD(100 * CENT)), {"cost_nano": 70 * CENT}, "$0.70 of $1.00 of the budget"),
        (Limits(budget=NanoUSD(100 * CENT)), {"cost_nano": 95 * CENT, "goal_spent_nano": 90 * CENT}, None),
        (Limits(turns=10), {"goal_turns": 6}, None),
        (Limits(turns=10), {"goal_turns": 7}, "7 of 10 turns"),
        (Limits(turns=10, budget=NanoUSD(100 * CENT)), {"goal_turns": 7, "cost_nano": 80 * CENT}, "$0.80 of $1.00"),
    ],
)
async def test_at_seven_tenths_of_the_nearest_limit_it_is_near(
    house: House, limits: Limits, used: dict[str, int], says: str | None
) -> None:
    mine, record = await allowance(house, limits)
    record.row = replace(record.row, **used)
    mine.begin(anew=True)
    near = mine.near()
    assert near is None if says is None else says in str(near)
    assert near is None or near in told(near)


async def test_time_counts_while_the_session_works_and_nobody_is_waited_for(house: House) -> None:
    mine, record = await allowance(house, Limits(seconds=1000))
    mine.begin(anew=True)
    TIME[0] += 5000
    assert (mine.binding, mine.near(), mine.over()) == (True, None, None)
    with record.watch.working():
        TIME[0] += 800
        assert str(mine.near()).endswith("of 17 min")
        with record.watch.waiting(), record.watch.waiting():
            TIME[0] += 5000
        TIME[0] += 199
        assert mine.over() is None
        TIME[0] += 1
        assert mine.over() == "the time that the goal allows is over"


async def test_a_scope_without_time_left_ends_the_turn(house: House) -> None:
    mine, _ = await allowance(house)
    mine.begin(anew=True)
    await budgets.put(house.store, house.sessions._rooms.gateway, Budget(Scope("member:test"), seconds=1e-6))
    assert mine.binding
    assert "member:test" in str(mine.over())
    await budgets.remove(house.store, house.sessions._rooms.gateway, Scope("member:test"), None)
    assert mine.over() is None


async def test_a_new_turn_has_its_own_budget_whole_and_one_that_goes_on_has_not(house: House) -> None:
    mine, record = await allowance(house)
    grant(house, record, turn=10)
    account = house.sessions._rooms.gateway.accounts[record.id]
    call = ModelCall(record.id, 1, now(), "p", "anthropic", "m", 200, 1, 0, 1, NanoUSD(9))  # type: ignore[arg-type]
    account.settle(await account.reserve(5, 5), call)
    mine.begin(anew=False)
    assert "budget of this turn" in str(mine.near())
    mine.begin(anew=True)
    assert mine.near() is None
