from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from handrail.commands import budgets
from handrail.commands.actor import NOBODY, OWNER, person
from handrail.commands.budgets import Forecast
from handrail.commands.desk import Desk
from handrail.errors import Forbidden, InvalidInput, NotFound
from handrail.store import calls
from handrail.store.calls import Spend, Totals
from handrail.types import Budget, NanoUSD, Period, Role, Scope, Used
from tests.commands.desks import begin, open_desk


async def test_a_budget_is_set_listed_kept_and_removed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with open_desk(data) as desk:
        shown = await budgets.put(desk, OWNER, "team:core", period="day", money="5", tokens=100, seconds=60)
        assert shown.budget == Budget(Scope("team:core"), Period.DAY, NanoUSD(5 * 10**9), 100, 60.0)
        assert shown.used == Used()
        await budgets.put(desk, OWNER, "team:core", tokens=9)
    async with open_desk(data) as desk:
        assert [item.budget.period for item in await budgets.listed(desk, OWNER)] == [Period.DAY, Period.TOTAL]
        assert len(desk.gateway.pots.of([Scope("team:core")])) == 2
        await budgets.remove(desk, OWNER, "team:core", "total")
        assert [item.budget.period for item in await budgets.listed(desk, OWNER)] == [Period.DAY]
        await budgets.remove(desk, OWNER, "team:core")
        assert await budgets.listed(desk, OWNER) == []
        with pytest.raises(NotFound, match="there is no budget of team:core"):
            await budgets.remove(desk, OWNER, "team:core")


@pytest.mark.parametrize(
    ("scope", "limits", "told"),
    [
        ("core", {"money": "5"}, ("scope", "'core'", "such as member:alice")),
        ("team:core", {"money": "-5"}, ("money_usd", "'-5'", "US dollars more than 0")),
        ("team:core", {"money": "nan"}, ("money_usd", "'nan'", "US dollars more than 0")),
        ("team:core", {"tokens": 0}, ("tokens", "tokens: 0 ", "whole number from 1")),
        ("team:core", {"seconds": 0.0}, ("seconds", "seconds: 0.0 ", "give seconds, more than 0")),
        ("team:core", {"money": "5", "period": "year"}, ("period", "'year'", "choose one of total, day, week, month")),
        ("team:core", {}, ("budget", "'team:core'", "give a limit of money, tokens or time")),
    ],
)
async def test_what_is_no_budget_is_refused_by_field_value_and_mend(
    desk: Desk, scope: str, limits: dict[str, str], told: tuple[str, str, str]
) -> None:
    field, value, mend = told
    with pytest.raises(InvalidInput) as refused:
        await budgets.put(desk, OWNER, scope, **limits)  # type: ignore[arg-type]  # of several types
    assert refused.value.field == field
    assert value in str(refused.value)
    assert mend in refused.value.mend
    assert await budgets.listed(desk, OWNER) == []


async def test_prices_win_by_the_fullest_name_and_outlive_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with open_desk(data) as desk:
        await budgets.put_price(desk, OWNER, "*", {"input": "9", "output": "9"})
        await budgets.put_price(desk, OWNER, "my-model", {"input": "3", "output": "15", "cached": "0.3"})
        await budgets.put_price(desk, OWNER, "my-*", {"input": "0", "output": "0"})
        assert list(desk.gateway.prices.overrides) == ["my-model", "my-*", "*"]
    async with open_desk(data) as desk:
        assert desk.gateway.prices.overrides["my-model"].cached == Decimal("0.3")
        await budgets.remove_price(desk, OWNER, "my-model")
        assert [row.model for row in await budgets.prices(desk, OWNER)] == ["*", "my-*"]
        with pytest.raises(NotFound, match="my-model"):
            await budgets.remove_price(desk, OWNER, "my-model")


@pytest.mark.parametrize(
    ("model", "figures", "field"),
    [
        ("a b", {"input": "1", "output": "1"}, "model"),
        ("m", {"input": "1", "output": None}, "output"),
        ("m", {"input": "-1", "output": "1"}, "input"),
        ("m", {"input": "1", "output": "x"}, "output"),
        ("m", {"input": "1", "output": "Infinity"}, "output"),
    ],
)
async def test_what_is_no_price_is_refused(desk: Desk, model: str, figures: dict[str, str | None], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await budgets.put_price(desk, OWNER, model, figures)
    assert refused.value.field == field
    assert desk.gateway.prices.overrides == {}


async def test_a_member_sees_the_budget_that_binds_them(desk: Desk) -> None:
    for scope in ("member:alice", "member:bob", "team:core"):
        await budgets.put(desk, OWNER, scope, money="5")
    found = await budgets.listed(desk, person("alice", Role.MEMBER))
    assert [item.budget.scope for item in found] == ["member:alice"]


def test_a_forecast_goes_on_with_the_mean_of_the_last_days() -> None:
    def spent(**days: int) -> Spend:
        by_day = {day.replace("_", "-")[1:]: Totals(1, nano) for day, nano in days.items()}
        return Spend(Totals(), {}, {}, {}, {}, {}, {}, by_day)

    today = date(2026, 11, 20)
    assert budgets.forecast(spent(), today) is None
    assert budgets.forecast(spent(d2026_11_20=50), today) is None, "there is no whole day yet"
    assert budgets.forecast(spent(d2026_11_19=30, d2026_11_20=50), today) == Forecast(80, 30, 80 + 30 * 10)
    far = spent(d2026_10_01=7000, d2026_11_13=70, d2026_11_19=70)
    assert budgets.forecast(far, today) == Forecast(140, 20, 140 + 20 * 10)
    assert budgets.forecast(spent(d2026_01_01=5), today) is None, "nothing lately"


async def test_spend_is_the_ledgers(desk: Desk) -> None:
    assert await budgets.spend(desk, OWNER) == await calls.spend(desk.store)
    await begin(desk)
    assert (await budgets.spend(desk, OWNER)).total.calls == 0


async def test_nobody_may_set_or_see_money(desk: Desk) -> None:
    with pytest.raises(Forbidden):
        await budgets.put(desk, NOBODY, "team:core", money="5")
    with pytest.raises(Forbidden):
        await budgets.remove(desk, NOBODY, "team:core")
    with pytest.raises(Forbidden):
        await budgets.spend(desk, NOBODY)
    with pytest.raises(Forbidden):
        await budgets.listed(desk, NOBODY)
    with pytest.raises(Forbidden):
        await budgets.put_price(desk, NOBODY, "m", {"input": "1", "output": "1"})
