from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from handrail.gateway.accounts import BudgetSpentError
from handrail.gateway.pots import Hold, Pot, Pots, minutes, window
from handrail.types import Budget, NanoUSD, Period, Scope, SessionId, Used
from tests.fake_provider import prompt
from tests.fake_provider.forms import FORMATS
from tests.gateway.conftest import SESSION, Lab

RUN, TEAM = Scope("run:r-1"), Scope("team:core")
NOON = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
USAGE = {"input": 60, "output": 200}
COST = 60 * 3_000 + 200 * 15_000


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


async def nothing(_: datetime | None) -> Used:
    return Used()


@pytest.mark.parametrize(
    ("period", "began"),
    [
        (Period.TOTAL, None),
        (Period.DAY, datetime(2026, 11, 26, tzinfo=UTC)),
        (Period.WEEK, datetime(2026, 11, 23, tzinfo=UTC)),
        (Period.MONTH, datetime(2026, 11, 1, tzinfo=UTC)),
    ],
)
def test_periods_begin_with_the_day_monday_and_the_first(period: Period, began: datetime | None) -> None:
    assert window(period, NOON) == began


def test_a_new_day_is_whole_again_and_a_clock_set_back_opens_nothing() -> None:
    clock = Clock()
    pot = Pot(Budget(RUN, Period.DAY, NanoUSD(100)), "it", clock=clock)
    pot.settle(pot.hold(100, 0), 100, 0)
    assert pot.full()
    clock.now += timedelta(hours=-20)
    assert pot.full()
    clock.now += timedelta(days=1, hours=20)
    assert not pot.full()
    over_midnight = pot.hold(50, 0)
    clock.now += timedelta(days=1)
    pot.settle(over_midnight, 50, 0)
    assert pot.used.money == 0, "a call belongs to the day on which it began"
    pot.settle(pot.hold(9, 0), 9, 0)
    clock.now -= timedelta(days=1)
    assert pot.used.money == 59, "the day is as it was, with what was spent since on top: as the ledger has it"
    pot.settle(pot.hold(30, 0), 30, 0)
    assert pot.used.money == 89, "what is spent while the clock is set back is spent"
    clock.now += timedelta(days=1)
    assert pot.used.money == 9
    clock.now -= timedelta(days=400)
    assert pot.used.money == 189, "and before the first day that is known, all that is known is used"


def test_time_that_a_pot_counts_is_no_matter_of_the_clock() -> None:
    clock = Clock()
    pot = Pot(Budget(RUN, Period.DAY, seconds=100), "it", clock=clock)
    pot.work(SessionId("a"))
    pot._since -= 30
    clock.now += timedelta(days=1)
    assert round(pot.used.seconds) == 0, "a new day"
    pot._since -= 20
    clock.now -= timedelta(days=1)
    assert round(pot.used.seconds) == 50
    pot.rest(SessionId("a"))
    assert round(pot.used.seconds) == 50


def test_a_pot_remembers_a_hundred_days() -> None:
    clock = Clock()
    pot = Pot(Budget(RUN, Period.DAY, NanoUSD(100)), "it", clock=clock)
    for _ in range(300):
        pot.settle(pot.hold(1, 0), 1, 0)
        clock.now += timedelta(days=1)
    assert pot.used.money == 0
    clock.now -= timedelta(days=300)
    assert pot.used.money == 99


def test_a_hard_pot_lets_nothing_out_that_may_pass_it() -> None:
    pot = Pot(Budget(RUN, money=NanoUSD(100), tokens=50), "the budget of run:r-1")
    assert pot.fits(100, 50)
    assert not pot.hopeless(100, 50)
    assert pot.hopeless(101, 0)
    assert pot.hopeless(0, 51)
    hold = pot.hold(60, 10)
    assert not pot.fits(60, 10)
    assert not pot.hopeless(60, 10), "what is reserved may come back"
    pot.settle(hold, 70, 10)
    assert pot.hopeless(60, 10)
    assert pot.standing().text == "$0.00000007 of $0.0000001 of the budget of run:r-1"


def test_time_runs_while_anybody_works_and_once_for_all() -> None:
    pots = Pots()
    pot = Pot(Budget(RUN, seconds=100), "it", used=Used(seconds=70))
    pots._pots[RUN] = {Period.TOTAL: pot}
    assert pot.seconds_left() == 30
    pots.work(SessionId("a"), [RUN])
    pots.work(SessionId("b"), [RUN])
    pot._since -= 20
    assert 9 < (pot.seconds_left() or 0) <= 10
    pots.rest(SessionId("a"))
    pots.rest(SessionId("a"))
    pot._since -= 10
    assert pot.seconds_left() == 0
    assert pot.full()
    pots.rest(SessionId("b"))
    assert pots.working == {}
    assert pot.standing().share >= 1


async def test_who_waits_longest_goes_first(lab: Lab) -> None:
    await lab.gateway.pots.put(Budget(RUN, money=NanoUSD(10)), nothing)
    accounts = []
    for name in ("a", "b", "c"):
        grant = lab.gateway.grant(SessionId(name), budget=None, spent=NanoUSD(0), on_call=lab.note, scopes=(RUN,))
        accounts.append(lab.gateway._tokens[grant.token])
    (pot,) = lab.gateway.pots.of([RUN])
    first, second = await accounts[0].reserve(5, 0), await accounts[0].reserve(3, 0)
    large = asyncio.create_task(accounts[1].reserve(6, 0))
    await asyncio.sleep(0)
    small = asyncio.create_task(accounts[2].reserve(1, 0))
    await asyncio.sleep(0)
    assert (large.done(), small.done()) == (False, False), "the small one would fit, but stands behind"
    for reservation in (first, second):
        for held, hold in reservation.holds:
            held.settle(hold, 0, 0)
    lab.gateway.pots.wake()
    await asyncio.gather(large, small)
    assert pot.line == []


async def test_what_is_counted_while_the_ledger_is_read_is_read_again() -> None:
    pots = Pots()
    reads = []

    async def read(since: datetime | None) -> Used:
        reads.append(since)
        if len(reads) == 1:
            (pot,) = pots.of([RUN])
            assert not pot.fits(0, 0), "nothing leaves while it is read"
            pot.settle(None, 7, 1)
        return Used(NanoUSD(7), 1)

    pot = await pots.put(Budget(RUN, money=NanoUSD(10)), read)
    assert len(reads) == 2
    assert pot.used == Used(NanoUSD(7), 1)
    assert pot.fits(3, 0)


async def test_a_budget_that_cannot_be_read_changes_nothing() -> None:
    pots = Pots()
    before = await pots.put(Budget(RUN, money=NanoUSD(10)), nothing)

    async def broken(_: datetime | None) -> Used:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await pots.put(Budget(RUN, money=NanoUSD(20)), broken)
    assert pots.of([RUN]) == [before]
    pots.remove(RUN)
    pots.remove(RUN)
    assert pots.of([RUN, TEAM]) == []


async def test_every_scope_binds_and_the_smallest_decides(lab: Lab) -> None:
    form = FORMATS["chat"]
    await lab.gateway.pots.put(Budget(RUN, money=NanoUSD(100 * COST)), nothing)
    await lab.gateway.pots.put(Budget(TEAM, Period.DAY, tokens=3000), nothing)
    lab.gateway.revoke(SESSION)
    grant = lab.gateway.grant(SESSION, budget=None, spent=NanoUSD(0), on_call=lab.note, scopes=(RUN, TEAM))
    body = json.loads(form.body(prompt([{"text": "x", "usage": USAGE}]))) | {"max_tokens": 200}
    sends = [lab.client.post(lab.url + form.path, json=body, headers=form.headers(grant.token)) for _ in range(20)]
    answers = await asyncio.gather(*sends)
    ledger = await lab.told(len(lab.fake.calls))
    (team,) = lab.gateway.pots.of([TEAM])
    assert team.used.tokens == 260 * len(ledger) <= 3000
    assert len(ledger) >= 10
    refused = [answer.json()["error"]["message"] for answer in answers if answer.status_code == 400]
    assert len(refused) == 20 - len(ledger)
    assert all(text.startswith("Handrail: the budget of team:core is spent") for text in refused)
    assert (lab.gateway.exhausted(SESSION) or "").startswith("the budget of team:core is spent")
    lab.gateway.pots.remove(TEAM)
    lab.gateway.accounts[SESSION].open()
    assert lab.gateway.exhausted(SESSION) is None


async def test_a_turn_has_a_budget_of_its_own(lab: Lab) -> None:
    form = FORMATS["anthropic"]
    script = prompt([{"text": "x", "usage": USAGE}])
    grant = lab.gateway.grant(SESSION, budget=None, spent=NanoUSD(0), on_call=lab.note, turn_budget=NanoUSD(2 * COST))
    lab.token = grant.token
    for _ in range(2):
        codes = []
        for _ in range(3):
            codes.append((await lab.ask(form, script)).status_code)
            await lab.told(len(lab.fake.calls))
        assert codes == [200, 200, 400]
        account = lab.gateway.accounts.get(SESSION)
        assert account is not None
        assert account.turn_standing.share == 1
        assert lab.gateway.exhausted(SESSION) == "the budget of this turn of $0.00636 is spent"
        account.begin_turn()
    assert lab.gateway.exhausted(SESSION) is None


async def test_an_output_without_a_maximum_is_reserved_as_the_longest_yet(lab: Lab) -> None:
    form = FORMATS["chat"]
    lab.gateway.revoke(SESSION)
    await lab.gateway.pots.put(Budget(RUN, tokens=100_000), nothing)
    lab.token = lab.gateway.grant(SESSION, budget=None, spent=NanoUSD(0), on_call=lab.note, scopes=(RUN,)).token
    long = prompt([{"text": "x", "usage": {"input": 10, "output": 60_000}}])
    assert (await lab.ask(form, long)).status_code == 200
    await lab.told()
    assert (await lab.ask(form, long)).status_code == 400, "60,000 more would pass the budget"


async def test_a_refused_account_stays_so_until_limits_change(lab: Lab) -> None:
    await lab.gateway.pots.put(Budget(RUN, money=NanoUSD(10)), nothing)
    lab.gateway.revoke(SESSION)
    lab.gateway.grant(SESSION, budget=None, spent=NanoUSD(0), on_call=lab.note, scopes=(RUN,))
    account = lab.gateway.accounts[SESSION]
    with pytest.raises(BudgetSpentError, match=r"has only \$0.00000001 left, and this call may cost up to"):
        await account.reserve(11, 5)
    with pytest.raises(BudgetSpentError):
        await account.reserve(1, 5)
    assert account.refused
    lab.gateway.accounts[SESSION].open()
    held = await account.reserve(10, 5)
    assert [hold for pot, hold in held.holds if pot.hard] == [Hold(10, 5, None)]


async def test_a_scope_that_was_said_to_be_spent_is_closed_for_everybody_and_every_size(lab: Lab) -> None:
    kept: list[Budget] = []

    async def keep(budget: Budget) -> None:
        await asyncio.sleep(0.01)
        kept.append(budget)

    pots = lab.gateway.pots
    pots.keep = keep
    pot = await pots.put(Budget(RUN, money=NanoUSD(100)), nothing)
    accounts = []
    for name in ("a", "b", "c", "d"):
        lab.gateway.grant(SessionId(name), budget=None, spent=NanoUSD(0), on_call=lab.note, scopes=(RUN,))
        accounts.append(lab.gateway.accounts[SessionId(name)])
    with pytest.raises(BudgetSpentError, match="has only"):
        await accounts[0].reserve(101, 0)
    held = await accounts[1].reserve(69, 0)
    assert kept == [], "a call that is too large for a budget that is hardly used stops nobody else"
    pot.settle(dict(held.holds)[pot], 70, 0)
    under_way = await accounts[1].reserve(20, 0)
    waits = asyncio.create_task(accounts[2].reserve(15, 0))
    await asyncio.sleep(0)
    assert not waits.done(), "what the other has reserved may come back"
    too_large = asyncio.create_task(accounts[3].reserve(31, 0))
    tiny = asyncio.create_task(accounts[1].reserve(1, 0))
    told = await asyncio.gather(waits, too_large, tiny, return_exceptions=True)
    assert [type(one) for one in told] == [BudgetSpentError] * 3
    assert "spent but for $0.00000003, and this call may cost up to $0.000000031" in str(told[1])
    assert kept == [Budget(RUN, money=NanoUSD(100))], "it is written down before it is said, and once"
    pot.settle(dict(under_way.holds)[pot], 0, 0)
    with pytest.raises(BudgetSpentError, match=r"is spent \("):
        await accounts[2].reserve(1, 0)
    await pots.put(Budget(RUN, money=NanoUSD(200)), nothing)
    accounts[2].open()
    assert (await accounts[2].reserve(1, 0)).holds, "it was raised"


async def test_a_day_that_was_spent_is_spent_after_a_restart_and_the_next_one_is_whole() -> None:
    clock = Clock()
    pot = await Pots(clock).put(Budget(RUN, Period.DAY, NanoUSD(100)), nothing, spent=NOON)
    assert pot.full()
    clock.now += timedelta(days=1)
    assert not pot.full()
    clock.now -= timedelta(days=2)
    assert pot.full(), "a clock that is set back opens nothing"


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (720, "12 min"), (9000, "2.5 h")])
def test_minutes(seconds: float, text: str) -> None:
    assert minutes(seconds) == text
