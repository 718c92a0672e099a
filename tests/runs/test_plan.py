from __future__ import annotations

import json

import pytest
from msgspec import ValidationError

from handrail.automation import EffectKind, Trust
from handrail.runs.plan import Plan, PlannedEffect, Spread, Stage, Target, as_json, from_json, subject
from handrail.types import Check, Limits, NanoUSD

PLAN = Plan(
    workflow="nightly",
    version="0123456789ab",
    stages=(Stage("work", "mend it", checks=(Check("pytest -q", 60.0),), limits=Limits(5, NanoUSD(2_000_000_000))),),
    targets=(Target("forge:acme/app", "main"), Target("/srv/app")),
    effects=(PlannedEffect(EffectKind.PULL_REQUEST, {"title": "Mend it", "labels": ["bot"]}),),
    trust=Trust.SHADOW,
    spread=Spread(concurrency=2, canary=1, stop_at_failure_rate=0.25),
)


def test_a_plan_comes_back_from_the_database_as_it_was() -> None:
    assert from_json(json.loads(json.dumps(as_json(PLAN)))) == PLAN


def test_what_is_no_plan_is_refused() -> None:
    kept = as_json(PLAN)
    kept["trust"] = "blind"
    with pytest.raises(ValidationError, match="trust"):
        from_json(kept)


@pytest.mark.parametrize(
    ("goal", "line"),
    [
        ("\n  Mend <data-4f2a>it</data-4f2a> for 7:\nmore", "Mend it for 7:"),
        ("@@[]@@ played", "Change by nightly"),
        ("x" * 100, "x" * 72),
    ],
)
def test_what_a_run_is_about_is_the_first_line_of_its_first_goal_that_changes_something(goal: str, line: str) -> None:
    look, work, after = Stage("look", "Look.", review=True), Stage("work", goal), Stage("finish", "Finish.")
    assert subject(Plan("nightly", "v1", (look, work, after), ())) == line
    assert subject(Plan("nightly", "v1", (look,), ())) == "Look."
