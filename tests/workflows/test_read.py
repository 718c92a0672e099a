from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.automation import EffectKind, Trust
from handrail.errors import InvalidInput
from handrail.workflows.read import look, read, text_of, version_of
from handrail.workflows.rules import CatchUp, Overlap
from tests.workflows.samples import STEPS, WHOLE

AGENTS = ("handrail", "claude", "codex")


def changed(old: str, new: str, text: str = WHOLE) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_a_whole_file() -> None:
    workflow = read(WHOLE, agents=AGENTS)
    first, second = workflow.rules()
    assert (first.cron.text, first.cron.zone.key) == ("0 3 * * 1-5", "Europe/Berlin")
    assert (first.catch_up, first.lateness, first.overlap) == (CatchUp.NONE, timedelta(hours=2), Overlap.SKIP)
    assert (second.cron.text, second.cron.zone.key, second.catch_up) == ("0 0 * * *", "UTC", CatchUp.LATEST)
    assert workflow.on.forge[0].events == ("pull_request",)
    assert [check.value().timeout for check in workflow.checks] == [900, 300]
    assert workflow.budget.limits().budget == 2_500_000_000
    assert workflow.budget.run.usd == 20_000_000_000
    assert workflow.trust is Trust.SAMPLED
    assert workflow.unwatched == (EffectKind.MERGE,)
    assert (workflow.sample, workflow.stop_at_failure_rate, workflow.timeout) == (0.1, 0.3, 86_400)
    assert [follow.kind for follow in workflow.effects.then] == ["pull_request", "push", "label"]
    assert workflow.effects.then[2].values == {"add": ["mended"], "remove": []}
    assert workflow.concurrency.tasks == 3
    assert workflow.policy_text == "shell:\n  allow:\n  - pytest *\n  deny:\n  - git push *\n"


def test_steps() -> None:
    workflow = read(STEPS, agents=AGENTS)
    assert [(step.name, step.agent, step.review) for step in workflow.goals()] == [
        ("implement", None, False), ("look", "codex", True), ("mend", None, False),
    ]  # fmt: skip


def test_nothing_behind_a_field_is_as_good_as_left_out() -> None:
    assert read("name: x\ngoal: y\nchecks:\non:\n  schedule: ~\nbudget: null\n") == read("name: x\ngoal: y\n")


def test_catching_up_all_waits_by_itself() -> None:
    text = changed("catch_up: none", "catch_up: all")
    assert read(text).rules()[0].overlap is Overlap.QUEUE


@pytest.mark.parametrize(
    ("text", "where", "value", "mend"),
    [
        ("", "f:1: the file", "None", "write fields: name"),
        ("[x]", "f:1: the file", "a list", "write fields"),
        ("name: x", "f:1: goal", "None", "either goal or steps"),
        ("nam: x\nname: x\ngoal: y", "f:1: nam", "nam", "did you mean name?"),
        ("name: Mein Ablauf\ngoal: y", "f:1: name", "Mein Ablauf", "lower case"),
        ("name: x\nname: y", "f:2: the file", "name", "name it once"),
        ("name: x\ngoal: ''", "f:2: goal", "", "say something"),
        ("name: x\ngoal: y\nsteps: [{name: a, goal: b}]", "f:2: goal", "y", "either goal or steps"),
        ("name: x\nsteps: [{name: a, goal: b}, {name: a, goal: c}]", "f:2: steps[1].name", "a", "differently"),
        ("name: x\nsteps: 3", "f:2: steps", "3", "write a list"),
        ("name: x\non: {shedule: 1}\ngoal: y", "f:2: on.shedule", "shedule", "did you mean schedule?"),
        (changed('"0 3', '"99 3'), "f:5: on.schedule[0].cron", "99 3", "field minute"),
        (changed("Europe/Berlin", "Berlin"), "f:5: on.schedule[0].zone", "Berlin", "such as Europe/Berlin"),
        (changed("lateness: 2h", "lateness: soon"), "f:5: on.schedule[0].lateness", "soon", "30m"),
        (changed("catch_up: none", "catch_up: nome"), "f:5: on.schedule[0].catch_up", "nome", "did you mean none?"),
        (changed("lateness: 2h", "catch_up: all"), "f:5: the file", "catch_up", "name it once"),
        (changed("catch_up: none", "overlap: skip, catch_up: all"), "f:5: on.schedule[0]", "mapping", "overlap: queue"),
        (changed("events: pull_request", "events: pull_requests"), "f:8: on.forge[0].events", "", "mean pull_request?"),
        (changed("== `false`", "=="), "f:10: on.forge[0].when", "pull_request.draft ==", "JMESPath"),
        (changed("status ==", "contian(status) =="), "f:11: on.alert.when", "contian", "did you mean contains?"),
        (changed("status ==", "contains(status) =="), "f:11: on.alert.when", "contains", "takes 2 arguments"),
        (changed("{default: main}", "{type: txt}"), "f:14: on.manual.inputs.branch.type", "txt", "mean text?"),
        (changed("default: 3", "default: x"), "f:15: on.manual.inputs.depth", "mapping", "whole number"),
        (changed("{default: main}", "{type: choice}"), "f:14: on.manual.inputs.branch", "mapping", "choices"),
        (changed("{default: main}", "{}"), "f:14: on.manual.inputs.branch", "None", "nobody is there"),
        (changed("inputs.branch", "inputs.brnch"), "f:16: goal", "inputs.brnch", "did you mean branch?"),
        (changed("title }}", "title"), "f:16: goal", "", "close each {{"),
        (changed("title }}", "| }}"), "f:16: goal", "", "JMESPath"),
        (changed("agent: claude", "agent: cluade"), "f:18: agent", "cluade", "did you mean claude?"),
        (changed("agent: codex", "agent: codx", STEPS), "f:8: steps[1].agent", "codx", "did you mean codex?"),
        (changed("github:acme/*", "acme/*"), "f:20: repositories[0]", "acme/*", "behind a forge"),
        (changed("github:acme/*", "'../x'"), "f:20: repositories[0]", "../x", "without"),
        (changed("github:acme/*", "event"), "f:20: repositories", "event", "stand alone"),
        (changed('[github:acme/*, "!github:acme/old"]', "event"), "f:20: repositories", "event", "has no event"),
        (changed("make lint", "''"), "f:21: checks[1].command", "", "say something"),
        (changed("5m", "-5m"), "f:21: checks[1].timeout", "-5m", "30m"),
        (changed("git push *", "a && b"), "f:26: policy.shell.deny[0]", "a && b", "one command"),
        (changed("shell:", "shel:"), "f:23: policy.shel", "shel", "known here are shell"),
        (changed("network: pypi", "network: pipy"), "f:27: network", "pipy", "pypi, "),
        (changed("- push", "- pusch"), "f:31: effects.then[1]", "pusch", "did you mean push?"),
        (changed("- push", "- {push: , merge: }"), "f:31: effects.then[1]", "mapping", "name one act"),
        (changed("add: mended", "ad: mended"), "f:33: effects.then[2].label.ad", "ad", "did you mean add?"),
        (changed('title: "Mend', 'titel: "Mend'), "f:30: effects.then[0].pull_request.titel", "", "mean title?"),
        (changed("propose: comment", "propose: deploy"), "f:34: effects.propose", "deploy", "known here are push"),
        (changed("usd: 2.50", "usd: lots"), "f:35: budget.usd", "lots", "US dollars"),
        (changed("usd: 2.50", "usd: -1"), "f:35: budget.usd", "-1", "US dollars"),
        (changed("turns: 12", "turns: 0"), "f:35: budget.turns", "0", "at least 1"),
        (changed("trust: sampled", "trust: total"), "f:36: trust", "total", "known here are shadow"),
        (changed("10%", "110%"), "f:37: sample", "110%", "from 0% to 100%"),
        (changed("unwatched: merge", "unwatched: push"), "f:38: unwatched", "push", "only merge, message, webhook"),
        (changed("quota: 9", "quota: many"), "f:39: retries.quota", "many", "whole number"),
        (changed("concurrency: 3", "concurrency: 0"), "f:41: concurrency", "0", "at least 1"),
        (changed("concurrency: 3", "concurrency: {tasks: 501}"), "f:41: concurrency.tasks", "501", "at most 500"),
        (changed("canary: 1", "canary: yes"), "f:42: canary", "yes", "whole number"),
        ("a: &a [*a]", "f:1: the file", "", "nested at most 40"),
        ("a: [", "f:1: the file", "", "valid YAML"),
        ("a:\n\tb", "f:2: the file", "", "valid YAML"),
        ("? [a]\n: b", "f:1: the file", "a list", "name a field with a text"),
        ("#" * 200_000, "f:1: the file", "200000 characters", "at most 131072"),
        ("[" * 3000, "f:1: the file", "", "nest less deeply"),
    ],
)  # fmt: skip
def test_a_refusal_names_file_line_field_value_and_mend(text: str, where: str, value: str, mend: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(text, "f", AGENTS)
    assert refused.value.field == where
    assert value in str(refused.value.value)
    assert mend in refused.value.mend


def test_all_problems_are_told_in_the_order_of_their_lines() -> None:
    workflow, problems = look(changed("canary: 1", "canary: x").replace("usd: 2.50", "usd: x").replace("add:", "ad:"))
    assert workflow is None
    assert [(problem.line, problem.field) for problem in problems] == [
        (33, "effects.then[2].label.ad"), (35, "budget.usd"), (42, "canary"),
    ]  # fmt: skip


def test_an_event_that_no_trigger_brings() -> None:
    with pytest.raises(InvalidInput, match="no event starts this workflow"):
        read("name: x\ngoal: 'look at {{ event.number }}'\n")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(WHOLE)
    assert text_of(path) == WHOLE
    path.write_bytes(b"name: \xff")
    with pytest.raises(InvalidInput, match="UTF-8"):
        text_of(path)
    for bad in (tmp_path, tmp_path / "none"):
        with pytest.raises(InvalidInput, match="can be read"):
            text_of(bad)


def test_versions_follow_the_text() -> None:
    assert version_of(WHOLE) == version_of(WHOLE)
    assert version_of(WHOLE) != version_of(WHOLE + "\n")
    assert len(version_of("\ud800")) == 12


_WORDS = st.sampled_from(
    [
        "name",
        "on",
        "goal",
        "steps",
        "checks",
        "effects",
        "then",
        "push",
        "schedule",
        "cron",
        "policy",
        "x",
        "budget",
        "usd",
    ]
)
_TREES = st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=12), st.just("{{ a }}"), st.just("* * * * *")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_WORDS, inner, max_size=4)),
    max_leaves=12,
)


@given(st.one_of(st.text(max_size=200), _TREES.map(repr), st.text("{}[]:,-&*!|>'\"#%@`? \n\tname", max_size=60)))
def test_no_text_gives_a_traceback(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        read(text)
