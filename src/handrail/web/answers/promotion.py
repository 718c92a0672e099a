"""Answers about promotion and rehearsal."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from handrail.types import Outcome
from handrail.web.answers.base import Answer
from handrail.workflows.rehearse import Came, How


class RuleShown(Answer):
    """One rule of a mined policy."""

    section: str
    rule: str
    seen: Annotated[int, Field(description="acts of the session that it would have matched")]


class AskShown(Answer):
    """Something that the session did and that would now wait for a person."""

    what: str
    times: int


class InputShown(Answer):
    """A literal value of a prompt that was made an input."""

    name: str
    type: str
    value: str


class DraftShown(Answer):
    """The draft of a workflow, made from a session."""

    name: str
    text: Annotated[str, Field(description="the file")]
    repository: Annotated[str, Field(description="checkout that the session began from")]
    acts: Annotated[int, Field(description="how much the session did")]
    rules: list[RuleShown]
    asks: list[AskShown]
    inputs: list[InputShown]
    checks: Annotated[list[str], Field(description="what its agent ran last as a test, taken as the check")]
    suggested: Annotated[list[str], Field(description="checks that stand in the file as comments")]
    kept: Annotated[int | None, Field(description="number of the version that it was kept as, switched off")]


class CaseShown(Answer):
    """One past case of a rehearsal. Times are seconds."""

    name: Annotated[str, Field(description="the commit, or the id of the event")]
    subject: str
    task: str
    outcome: Outcome | None
    cause: str | None
    reason: str | None
    verified: bool
    checks: int
    passed: int
    files: int
    added: int
    removed: int
    past: Annotated[int, Field(description="files that the past commit really changed")]
    common: Annotated[int, Field(description="files that both changed")]
    asks: Annotated[int, Field(description="things that would have waited for a person")]
    denials: Annotated[int, Field(description="things that the policy forbids")]
    beyond: list[str]
    effects: list[str]
    cost_nano: int
    seconds: float


class ForecastShown(Answer):
    """What is to be expected; nano-dollars."""

    mean_nano: int
    p90_nano: int
    runs_a_month: int | None
    month_mean_nano: int | None
    month_p90_nano: int | None


class RehearsalShown(Answer):
    """The scorecard of a version."""

    workflow: str
    version: str
    number: int
    state: Came
    how: How
    by: str
    begun: datetime
    ended: datetime | None
    runs: list[str]
    cases: Annotated[int, Field(description="of them, results tells of those whose runs have begun")]
    good: int
    results: list[CaseShown]
    forecast: ForecastShown | None


MODELS: tuple[type[BaseModel], ...] = (DraftShown, RehearsalShown)
