"""What a run is to do, whole and frozen: compiled from a workflow file by `workflows`, kept with the run as JSON.

A run names the version of its workflow and carries its plan, so that a file that changes, or goes away, changes no run
that has begun. Goals are templates that were filled in already; money is nano-dollars, durations are seconds.
"""

from __future__ import annotations

import re

from msgspec import Struct, convert, field, to_builtins

from handrail.automation import EffectKind, Trust
from handrail.types import Check, Json, Limits

_MARKS = re.compile(r"</?data-[0-9a-z]+>")
"""what stands round the words of an event in a goal: see `handrail.workflows.template`"""


class Stage(Struct, frozen=True):
    """One goal of a task, reached by one session; the next stage goes on from its change.

    Args:
        name: unique within the plan.
        goal: what its agent is told, events from outside marked as data.
        checks: what decides.
        review: the agent's findings are handed to the next stage instead of a change.
    """

    name: str
    goal: str
    agent: str = "handrail"
    provider: str | None = None
    model: str | None = None
    checks: tuple[Check, ...] = ()
    limits: Limits = field(default_factory=Limits)
    review: bool = False


class Target(Struct, frozen=True):
    """One repository of a run.

    Args:
        repository: a path, a clone URL, or `FORGE:owner/name` for a repository of a forge that is set up here.
        ref: what to begin from; None is its default branch.
        number: the pull request or issue that it is about, if any.
        pull_request: that number is a pull request's.
        fork: whose branch may lie in another repository, where nothing can be pushed to it.
    """

    repository: str
    ref: str | None = None
    number: int | None = None
    pull_request: bool = False
    fork: bool = False


class PlannedEffect(Struct, frozen=True):
    """An effect that follows from the change of a task, named by the workflow.

    Args:
        kind: the act.
        values: its fields, filled in (`title`, `body`, `branch`, `labels` …); what is missing is taken from the change.
    """

    kind: EffectKind
    values: Json = field(default_factory=dict)


class Retries(Struct, frozen=True):
    """How often a task is tried again by itself, by cause; between tries it waits, longer each time."""

    provider: int = 5
    agent: int = 2
    quota: int = 3
    forge: int = 5


class Spread(Struct, frozen=True):
    """How the tasks of a run are spread over time.

    Args:
        concurrency: tasks at once.
        per_agent: of them, with one agent.
        per_provider: of them, on one provider.
        canary: tasks that go first; the rest follow when they are done.
        stop_at_failure_rate: 0 to 1; above it no further task is begun. None never stops.
    """

    concurrency: int = 4
    per_agent: int | None = None
    per_provider: int | None = None
    canary: int = 0
    stop_at_failure_rate: float | None = None


class Plan(Struct, frozen=True):
    """All that a run needs.

    Args:
        workflow: its name.
        version: of its file.
        stages: the goals of each task, in order.
        targets: a task each.
        effects: what follows from each change.
        may_propose: what its agents may propose besides.
        trust: how far it may act unwatched.
        unwatched: irreversible effects that the file lets go unwatched, by name.
        sample: of effects under `sampled`, the share that waits for a person, 0 to 1.
        policy: YAML, as a layer above the session's.
        run_limits: what all tasks together may use up (the stages' limits hold for each session).
        timeout: seconds from the start of a task until it is given up; None never.
        idle_alarm: runs in a row that do nothing until its people are told; 0 never.
    """

    workflow: str
    version: str
    stages: tuple[Stage, ...]
    targets: tuple[Target, ...]
    effects: tuple[PlannedEffect, ...] = ()
    may_propose: tuple[EffectKind, ...] = ()
    trust: Trust = Trust.SUPERVISED
    unwatched: tuple[EffectKind, ...] = ()
    sample: float = 0.2
    policy: str | None = None
    network: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    sandbox: str | None = None
    run_limits: Limits = field(default_factory=lambda: Limits(turns=None))
    retries: Retries = field(default_factory=Retries)
    spread: Spread = field(default_factory=Spread)
    timeout: float | None = None
    overlap: str = "skip"
    notify: tuple[str, ...] = ()
    idle_alarm: int = 5


def subject(plan: Plan) -> str:
    """What a run is about, in a line: the first of its first goal that changes anything, without the marks of data."""
    goal = next((stage for stage in plan.stages if not stage.review), plan.stages[0]).goal
    line = next((part.strip() for part in _MARKS.sub("", goal).splitlines() if part.strip()), "")
    return line[:72] if line and not line.startswith("@@") else f"Change by {plan.workflow}"


def as_json(plan: Plan) -> Json:
    """A plan as the JSON object that is kept with its run."""
    kept: Json = to_builtins(plan)
    return kept


def from_json(kept: Json) -> Plan:
    """The plan that `as_json` kept.

    Raises:
        msgspec.ValidationError: it is none; only a damaged database has such.
    """
    return convert(kept, Plan)
