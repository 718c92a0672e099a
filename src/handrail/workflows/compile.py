"""A workflow and what started it, made into the plan of a run: templates filled in, nothing left to be looked up."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from handrail.errors import InvalidInput
from handrail.runs.plan import Plan, PlannedEffect, Retries, Spread, Stage, Target
from handrail.types import Json, Limits, NanoUSD
from handrail.workflows.meant import guess
from handrail.workflows.template import plain, told

if TYPE_CHECKING:
    from handrail.workflows.document import Step, Workflow
    from handrail.workflows.follows import Follow


class Cause(Struct, frozen=True):
    """What a run is about.

    Args:
        inputs: what a person gave; missing ones take their defaults.
        event: what came from outside, as its sender wrote it; of a schedule, its due time.
        mark: fences what came from outside; new for each run.
    """

    inputs: Mapping[str, object] = field(default_factory=dict)
    event: Json = field(default_factory=dict)
    mark: str = field(default_factory=lambda: secrets.token_hex(6))


def plan(workflow: Workflow, version: str, targets: Sequence[Target], cause: Cause) -> Plan:
    """The plan of one run.

    Args:
        workflow: as it was read.
        version: that its text is.
        targets: its repositories, patterns and `event` resolved.
        cause: what started it.

    Raises:
        InvalidInput: an input is missing, unknown or of another type, or a template fails on this event.
    """
    values = given(workflow, cause.inputs)
    budget = workflow.budget
    cap = None if budget.run.usd is None else NanoUSD(budget.run.usd)
    return Plan(
        workflow=workflow.name,
        version=version,
        stages=tuple(_stage(workflow, step, at, values, cause) for at, step in enumerate(workflow.goals())),
        targets=tuple(targets),
        effects=tuple(
            PlannedEffect(follow.kind, _effect(follow, at, values, cause))
            for at, follow in enumerate(workflow.effects.then)
        ),
        may_propose=workflow.effects.propose,
        trust=workflow.trust,
        unwatched=workflow.unwatched,
        sample=workflow.sample,
        policy=workflow.policy_text,
        network=workflow.network,
        secrets=workflow.secrets,
        sandbox=workflow.sandbox,
        run_limits=Limits(turns=None, budget=cap, seconds=budget.run.time),
        retries=Retries(**workflow.retries.model_dump()),
        spread=Spread(
            workflow.concurrency.tasks,
            workflow.concurrency.agent,
            workflow.concurrency.provider,
            workflow.canary,
            workflow.stop_at_failure_rate,
        ),
        timeout=workflow.timeout,
        overlap=next((rule.overlap.value for rule in workflow.rules()), "skip"),
        notify=workflow.notify,
        idle_alarm=workflow.idle_alarm,
    )


def given(workflow: Workflow, inputs: Mapping[str, object]) -> dict[str, object]:
    """The inputs of a run in their types, defaults for those that are missing.

    Raises:
        InvalidInput: one is missing, unknown, or of another type.
    """
    known = workflow.on.manual.inputs
    for name in inputs:
        if name not in known:
            mend = guess(name, known) if known else "this workflow takes no inputs"
            raise InvalidInput(f"inputs.{name}", inputs[name], mend)
    values: dict[str, object] = {}
    for name, item in known.items():
        value = inputs.get(name, item.default)
        if value is None:
            raise InvalidInput(f"inputs.{name}", None, f"give this input ({item.description or item.type})")
        try:
            values[name] = item.value(value)
        except ValueError as error:
            raise InvalidInput(f"inputs.{name}", value, str(error)) from error
    return values


def _stage(workflow: Workflow, step: Step, at: int, values: Mapping[str, object], cause: Cause) -> Stage:
    where = f"steps[{at}].goal" if workflow.steps else "goal"
    agent = step.agent or workflow.agent
    same = step.agent in (None, workflow.agent)
    budget = step.budget or workflow.budget
    checks = step.checks or (() if step.review else workflow.checks)
    try:
        goal = told(step.goal, values, cause.event, mark=cause.mark)
    except ValueError as error:
        raise InvalidInput(where, step.goal, f"this event does not fit: {error}") from error
    return Stage(
        name=step.name,
        goal=goal,
        agent=agent,
        provider=step.provider or (workflow.provider if same else None),
        model=step.model or (workflow.model if same else None),
        checks=tuple(check.value() for check in checks),
        limits=budget.limits(),
        review=step.review,
    )


def _effect(follow: Follow, at: int, values: Mapping[str, object], cause: Cause) -> Json:
    filled: dict[str, Any] = {}
    for key, value in follow.values.items():
        try:
            filled[key] = plain(value, values, cause.event) if isinstance(value, str) else value
        except ValueError as error:
            where = f"effects.then[{at}].{follow.kind}.{key}"
            raise InvalidInput(where, value, f"this event does not fit: {error}") from error
    return filled
