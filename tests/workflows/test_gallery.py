from __future__ import annotations

import json

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from handrail.agents.catalogue import catalogue
from handrail.automation import Trust
from handrail.errors import NotFound
from handrail.runs.plan import Target
from handrail.types import Json
from handrail.workflows import gallery, schema
from handrail.workflows.compile import Cause, plan
from handrail.workflows.read import look, read
from handrail.workflows.sound import notes

NEEDED = {
    "answer-review", "fix-failing-tests", "review-pull-requests", "triage-alerts", "triage-issues",
    "upgrade-dependency", "weekly-report",
}  # fmt: skip
EVENT: Json = {
    "number": 7,
    "pull_request": {"title": "T", "number": 7, "head": {"ref": "topic", "sha": "a" * 40}, "base": {"ref": "main"}},
    "issue": {"number": 3, "title": "I", "body": "B"},
    "review": {"state": "changes_requested", "body": "R", "user": {"type": "User"}},
    "commonLabels": {"alertname": "Down"},
    "alerts": [{"annotations": {"summary": "S"}, "labels": {"a": "b"}}],
}
INPUTS = {"dependency": "httpx", "version": "2.0"}


def test_it_holds_what_is_promised() -> None:
    assert set(gallery.names()) == NEEDED
    with pytest.raises(NotFound, match="did you mean triage-alerts"):
        gallery.text("triage-alert")


@pytest.mark.parametrize("name", gallery.names())
def test_each_is_sound_bounded_and_supervised(name: str) -> None:
    text = gallery.text(name)
    workflow, problems = look(text, list(catalogue()))
    assert problems == []
    assert workflow is not None
    assert workflow.name == name
    assert workflow.trust is Trust.SUPERVISED
    assert workflow.budget.usd
    assert workflow.budget.run.usd
    assert workflow.timeout
    assert [note for note in notes(workflow) if not note.startswith("checks")] == []
    loaded = json.loads(json.dumps(yaml.safe_load(text.replace("\non:", '\n"on":'))))
    assert [error.message for error in Draft202012Validator(schema.schema()).iter_errors(loaded)] == []


@pytest.mark.parametrize("name", gallery.names())
def test_each_gives_a_plan_in_which_events_are_data(name: str) -> None:
    workflow = read(gallery.text(name))
    given = INPUTS if workflow.on.manual.inputs and "dependency" in workflow.on.manual.inputs else {}
    made = plan(workflow, "v1", [Target("/src/x")], Cause(given, EVENT, "m1"))
    assert made.effects
    for stage in made.stages:
        assert "{{" not in stage.goal
        assert "(not given)" not in stage.goal or name == "review-pull-requests" or "answer" in name
        if "event" in gallery.text(name):
            assert "<data-m1>" in stage.goal or stage.name == "finish"
