from __future__ import annotations

import pytest

from handrail.automation import EffectKind, Trust
from handrail.errors import InvalidInput
from handrail.runs import plan as plans
from handrail.runs.plan import Plan, Target
from handrail.types import Check, Limits, NanoUSD
from handrail.workflows import compile as compiler
from handrail.workflows.compile import Cause
from handrail.workflows.read import read
from tests.workflows.samples import STEPS, WHOLE

HERE = (Target("github:acme/one"),)


def made(text: str, **said: object) -> Plan:
    cause = Cause(mark="m1", **said)  # type: ignore[arg-type]  # each is of its field's type
    return compiler.plan(read(text), "abc", HERE, cause)


def test_all_that_a_run_needs() -> None:
    plan = made(WHOLE, inputs={"branch": "dev"}, event={"pull_request": {"title": "A typo"}})
    (stage,) = plan.stages
    assert stage.goal.startswith("Mend dev: <data-m1>A typo</data-m1>")
    assert (stage.agent, stage.model) == ("claude", "opus")
    assert stage.checks == (Check("pytest -q"), Check("make lint", 300))
    assert stage.limits == Limits(12, NanoUSD(2_500_000_000), 3600)
    assert plan.run_limits == Limits(None, NanoUSD(20_000_000_000), None)
    assert [(effect.kind, effect.values) for effect in plan.effects] == [
        ("pull_request", {"title": "Mend A typo", "draft": False}),
        ("push", {}),
        ("label", {"add": ["mended"], "remove": []}),
    ]
    assert plan.may_propose == (EffectKind.COMMENT,)
    assert (plan.trust, plan.sample, plan.unwatched) == (Trust.SAMPLED, 0.1, (EffectKind.MERGE,))
    assert (plan.spread.concurrency, plan.spread.canary, plan.spread.stop_at_failure_rate) == (3, 1, 0.3)
    assert (plan.retries.quota, plan.timeout, plan.notify, plan.overlap) == (9, 86_400, ("slack",), "skip")
    assert plans.from_json(plans.as_json(plan)) == plan


def test_each_step_has_its_agent_and_the_model_of_the_workflow_only_with_its_agent() -> None:
    plan = made(STEPS, inputs={"what": "Add a test"})
    assert [(stage.agent, stage.model, stage.provider, stage.review) for stage in plan.stages] == [
        ("claude", "opus", "work", False),
        ("codex", None, None, True),
        ("claude", "opus", "work", False),
    ]
    assert plan.stages[0].goal == "Add a test"
    assert plan.stages[1].checks == ()
    assert plan.stages[1].limits.budget == 1_000_000_000


def test_inputs() -> None:
    workflow = read(WHOLE)
    assert compiler.given(workflow, {}) == {"branch": "main", "depth": 3}
    assert compiler.given(workflow, {"depth": "5"}) == {"branch": "main", "depth": 5}
    for inputs, field, mend in (
        ({"depht": 1}, "inputs.depht", "did you mean depth"),
        ({"depth": "deep"}, "inputs.depth", "whole number"),
    ):
        with pytest.raises(InvalidInput, match=mend) as refused:
            compiler.given(workflow, inputs)
        assert refused.value.field == field
    with pytest.raises(InvalidInput, match=r"give this input \(what to do\)"):
        made(STEPS)
    with pytest.raises(InvalidInput, match="takes no inputs"):
        compiler.given(read("name: x\ngoal: y"), {"a": 1})


def test_an_event_that_does_not_fit() -> None:
    text = "name: x\non: {webhook: {source: ci}}\ngoal: 'see {{ length(event.items) }}'\n"
    assert made(text, event={"items": [1, 2]}).stages[0].goal == "see 2"
    with pytest.raises(InvalidInput, match=r"goal: .* this event does not fit"):
        made(text, event={"items": 3})
