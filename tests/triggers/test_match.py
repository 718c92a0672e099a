from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from handrail.triggers.match import Wanted, judge, wanted_by
from handrail.types import Json
from handrail.workflows.starts import On


@dataclass(frozen=True)
class Sample:
    source: str = "github"
    event: str = "pull_request"
    action: str | None = "opened"
    repository: str | None = "acme/app"
    payload: Json = field(
        default_factory=lambda: {
            "pull_request": {"draft": False, "base": {"ref": "main"}, "labels": [{"name": "bot"}], "changed_files": 3}
        }
    )


@pytest.mark.parametrize(
    ("wanted", "matched", "why"),
    [
        (Wanted(), True, "the event that is wanted"),
        (Wanted(events=("pull_request",), actions=("opened", "synchronize")), True, "wanted"),
        (Wanted(actions=("closed",)), False, "the action is opened, not closed"),
        (Wanted(events=("push", "issues")), False, "the event is pull_request, not push or issues"),
        (Wanted(sources=("gitlab",)), False, "the source is github"),
        (Wanted(repositories=("acme/*",)), True, "wanted"),
        (Wanted(repositories=("ACME/App",)), True, "wanted"),
        (Wanted(repositories=("other/*",)), False, "the repository is acme/app, not other/*"),
        (Wanted(when="!(pull_request.draft) && pull_request.base.ref == 'main'"), True, "gives true"),
        (Wanted(when="pull_request.labels[?name=='bot']"), True, "gives"),
        (Wanted(when="pull_request.labels[?name=='urgent']"), False, "gives []"),
        (Wanted(when="pull_request.changed_files > `10`"), False, "gives false"),
        (Wanted(when="pull_requst.draft"), False, "the event has no pull_requst.draft: is it spelt"),
        (Wanted(when="length(pull_request.missing)"), False, "could not be applied"),
    ],
)
def test_a_trigger_says_whether_and_why(wanted: Wanted, matched: bool, why: str) -> None:
    verdict = judge(wanted, Sample())
    assert verdict.matched is matched
    assert why in verdict.why


def test_what_is_not_given_is_said() -> None:
    verdict = judge(Wanted(actions=("opened",)), Sample(action=None))
    assert (verdict.matched, verdict.why) == (False, "the action is not given, not opened")


def test_what_a_workflow_waits_for() -> None:
    on = On.model_validate(
        {
            "forge": {
                "events": "pull_request",
                "actions": ["opened"],
                "when": "!(pull_request.draft)",
                "forge": "github",
            },
            "webhook": {"source": "ci"},
            "alert": {},
        }
    )
    assert wanted_by(on) == (
        Wanted(("pull_request",), ("opened",), ("github",), (), "!(pull_request.draft)"),
        Wanted(sources=("ci",)),
        Wanted(("alert",)),
    )
