"""Rehearsal: past cases, how each of them went, and what that says of a version of a workflow. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct, convert, to_builtins
from msgspec.structs import replace

from handrail.policy import Verdict
from handrail.policy.document import Document, Section, read
from handrail.policy.learn import render
from handrail.runs.acts import Outside
from handrail.runs.results import Made
from handrail.store.tasks import TaskRow
from handrail.types import Json, Outcome

GOOD = frozenset({Outcome.DONE, Outcome.NOTHING_TO_DO})
MOST_SHOWN = 20
"""things beyond the policy that are kept of one case"""


class How(StrEnum):
    """What the cases are."""

    COMMITS = "commits"
    EVENTS = "events"


class Came(StrEnum):
    """How a rehearsal stands."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


class Case(Struct, frozen=True):
    """One past case.

    Args:
        name: the commit, or the id of the event.
        subject: a line of it.
        run: the run that has its task.
        position: of its task in that run.
        base: what the task begins from.
        files: what the past commit really changed.
    """

    name: str
    subject: str
    run: str
    position: int
    base: str | None = None
    files: tuple[str, ...] = ()


class Result(Struct, frozen=True):
    """How one case went. Money is nano-dollars, time seconds.

    Args:
        asks: things that would have waited for a person.
        denials: things that the policy forbids.
        beyond: what these were.
        common: files that both this change and the past commit touched.
        effects: what was recorded, and in earnest would have been proposed.
    """

    name: str
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
    past: int
    common: int
    asks: int
    denials: int
    beyond: tuple[str, ...]
    effects: tuple[str, ...]
    cost_nano: int
    seconds: float


class Forecast(Struct, frozen=True):
    """What is to be expected of a run, and of a month of its schedule (None: it has none)."""

    mean_nano: int
    p90_nano: int
    runs_a_month: int | None
    month_mean_nano: int | None
    month_p90_nano: int | None


class Rehearsal(Struct, frozen=True):
    """The scorecard of a version, kept with it."""

    state: Came
    how: How
    by: str
    begun: str
    tasks_a_run: int
    cases: tuple[Case, ...]
    runs_a_month: int | None = None
    ended: str | None = None
    results: tuple[Result, ...] = ()
    forecast: Forecast | None = None
    runs: tuple[str, ...] = ()

    @property
    def good(self) -> int:
        """Cases that ended well."""
        return sum(1 for result in self.results if result.outcome in GOOD)

    @property
    def failures(self) -> tuple[Result, ...]:
        """Cases that ended, and not well."""
        return tuple(one for one in self.results if one.outcome is not None and one.outcome not in GOOD)


def as_json(rehearsal: Rehearsal) -> Json:
    """As it is kept."""
    kept: Json = to_builtins(rehearsal)
    return kept


def from_json(kept: Json) -> Rehearsal:
    """What `as_json` kept."""
    return convert(kept, Rehearsal)


def result(case: Case, task: TaskRow, made: Made, beyond: Sequence[Outside], effects: Sequence[str]) -> Result:
    """How a case went, as far as it has come."""
    changed = {str(file["path"]) for file in made.files}
    seconds = (task.ended - task.started).total_seconds() if task.ended and task.started else 0.0
    return Result(
        name=case.name,
        subject=case.subject,
        task=task.id,
        outcome=task.outcome,
        cause=task.cause,
        reason=task.reason,
        verified=made.verified,
        checks=len(made.checks),
        passed=sum(1 for check in made.checks if check.passed),
        files=len(changed),
        added=sum(int(str(file["added"])) for file in made.files),
        removed=sum(int(str(file["removed"])) for file in made.files),
        past=len(case.files),
        common=len(changed & set(case.files)),
        asks=sum(1 for one in beyond if one.verdict is Verdict.ASK),
        denials=sum(1 for one in beyond if one.verdict is Verdict.DENY),
        beyond=tuple(one.what for one in beyond[:MOST_SHOWN]),
        effects=tuple(effects),
        cost_nano=task.cost_nano,
        seconds=round(seconds, 1),
    )


def judged(rehearsal: Rehearsal, results: Sequence[Result], ended: str) -> Rehearsal:
    """A rehearsal with what came of its cases; it has passed once all of them have ended well."""
    now = replace(rehearsal, results=tuple(results))
    if any(one.outcome is None for one in results):
        return now
    state = Came.FAILED if now.failures or not results else Came.PASSED
    return replace(now, state=state, ended=ended, forecast=forecast(results, now.tasks_a_run, now.runs_a_month))


def forecast(results: Sequence[Result], tasks_a_run: int, runs_a_month: int | None) -> Forecast:
    """What runs will cost: the mean, and what nine of ten stay under (the nearest rank)."""
    costs = sorted(one.cost_nano * tasks_a_run for one in results)
    mean = round(sum(costs) / len(costs)) if costs else 0
    p90 = costs[max(0, math.ceil(0.9 * len(costs)) - 1)] if costs else 0
    month = (None, None) if runs_a_month is None else (mean * runs_a_month, p90 * runs_a_month)
    return Forecast(mean, p90, runs_a_month, *month)


def unwatched(policy: str | None) -> str | None:
    """A policy as it holds in a rehearsal: nobody is there to be asked, so that what asks is refused, and counted."""
    if policy is None:
        return None
    document = read(policy, "the workflow's policy")
    return render(
        Document(
            shell=_strict(document.shell),
            files=_strict(document.files),
            network=_strict(document.network),
            effects=document.effects,
            limits=document.limits,
            rest=_no(document.rest),
        )
    )


def _strict(section: Section) -> Section:
    return Section(allow=section.allow, deny=(*section.deny, *section.ask), rest=_no(section.rest))


def _no(verdict: Verdict | None) -> Verdict | None:
    return Verdict.DENY if verdict is Verdict.ASK else verdict
