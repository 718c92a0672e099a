from __future__ import annotations

import json

import pytest
from msgspec import ValidationError

from handrail.automation import EffectKind, Trust
from handrail.runs.plan import Plan, PlannedEffect, Spread, Stage, Target, as_json, from_json
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
