"""What the API answers about money: sums, budgets, prices. The names are those of the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from handrail.types import Period
from handrail.web.answers.base import Answer, Nano, Seconds


class Sums(Answer):
    """Sums over calls; `unpriced` calls are not in `cost_nano`."""

    calls: int
    cost_nano: Nano
    unpriced: int
    input_tokens: int
    output_tokens: int


class ModelSpend(Sums):
    """What one model cost."""

    model: str


class SessionSpend(Sums):
    """What one session cost."""

    session: str


class ScopeSpend(Sums):
    """What the sessions of one scope cost together."""

    scope: str


class AgentSpend(Sums):
    """What the sessions of one agent cost."""

    agent: str


class WorkflowSpend(Sums):
    """What the runs of one workflow cost."""

    workflow: str


class MemberSpend(Sums):
    """What one person started; `schedule` and `event` are runs that nobody did."""

    member: str


class Forecast(Answer):
    """What the month under way comes to at the mean of the last seven days."""

    month_nano: Nano
    day_nano: Nano
    expected_nano: Nano


class DaySpend(Sums):
    """What was spent on one day (UTC)."""

    day: str


class Spend(Answer):
    """What was spent."""

    total_nano: Nano
    unpriced: int
    not_metered: Annotated[int, Field(description="sessions that a login of the user pays; nothing here counts them")]
    calls: int
    by_model: list[ModelSpend]
    by_session: list[SessionSpend]
    by_scope: list[ScopeSpend]
    by_agent: list[AgentSpend]
    by_workflow: list[WorkflowSpend]
    by_member: list[MemberSpend]
    by_day: list[DaySpend]
    forecast: Annotated[Forecast | None, Field(description="null while there is no whole day to judge by")]


class BudgetShown(Answer):
    """A budget, and what is used of it in the period under way."""

    scope: str
    period: Period
    money_nano: Nano | None
    tokens: int | None
    seconds: Seconds | None
    used_nano: Nano
    used_tokens: int
    used_seconds: Seconds
    spent: Annotated[bool, Field(description="no call leaves until it is set anew or its next period begins")]


class BudgetList(Answer):
    """Budgets, by scope."""

    budgets: list[BudgetShown]


class PriceShown(Answer):
    """US dollars for a million tokens, as decimal text."""

    model: str
    input: str
    output: str
    cached: str | None
    cache_written: str | None


class PriceList(Answer):
    """Prices of your own, by model."""

    prices: list[PriceShown]


MODELS: tuple[type[BaseModel], ...] = (Spend, BudgetShown, BudgetList, PriceShown, PriceList)
