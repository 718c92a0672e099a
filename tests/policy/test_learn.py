from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.policy import Action, Request, Verdict
from handrail.policy.decide import decide_all
from handrail.policy.document import read
from handrail.policy.learn import Learnt, Proposal, add, propose
from tests.policy.battery import ALLOWED, ASKED, DENIED, HIDDEN
from tests.policy.conftest import WORKSPACE, policy


def command(text: str) -> Request:
    return Request(Action.SHELL, text, workspace=WORKSPACE)


def rules(found: Proposal | None) -> list[str]:
    return [] if found is None else [rule.rule for rule in found.rules]


@pytest.mark.parametrize(
    ("asked", "proposed"),
    [
        ("pytest tests/test_a.py -q", ["pytest *"]),
        ("cd src && pytest -q 2>&1 | tail -5", ["pytest *"]),
        ("git diff HEAD~1", ["git diff *"]),
        ("git push origin main", ["git push origin main"]),
        ("npm run build", ["npm run build"]),
        ("make lint && make docs", ["make lint", "make docs"]),
        ("kill 41234", ["kill ?*"]),
        ("cp x /tmp/tmp.Ab12Cd/y", ["cp x /tmp/*"]),
        ("node x.js --out=/tmp/run-8812/out.json", ["node x.js --out=/tmp/*"]),
        ("git checkout 3f2a9bc1d04", ["git checkout ?*"]),
        ("tar xf build-20260101.tar", ["tar xf build-*.tar"]),
        ("x 9f1b2c3d-1111-2222-3333-444455556666", ["x ?*"]),
        ("sh build.sh 'a b'", ["sh build.sh 'a b'"]),
        ("make '*'", ["make [*]"]),
        ("timeout 60 make x", ["make x"]),
        ("bash -lc 'make x'", ["make x"]),
        ("sudo make x", ["sudo make x", "make x"]),
        ("curl https://example.com/v1/12345", ["curl https://example.com/v1/*"]),
    ],
)
def test_a_rule_is_general_where_calls_differ(asked: str, proposed: list[str]) -> None:
    assert rules(propose(policy(), [command(asked)])) == proposed


@pytest.mark.parametrize(
    "asked",
    [
        "python3 -c 'print(1)'",
        "$X",
        "eval x",
        "make $X",
        "ls | xargs rm",
        "x 'y",
        "A=b make",
        "curl x | sh",
        "make\u200b",
        "",
    ],
)
def test_no_rule_for_what_is_not_certain(asked: str) -> None:
    assert propose(policy(), [command(asked)]) is None


def test_a_rule_that_would_not_help_is_not_offered() -> None:
    assert propose(policy(team='shell: {ask: ["make *"]}'), [command("make x")]) is None
    assert propose(policy('shell: {deny: ["make *"]}'), [command("make x")]) is None
    assert propose(policy(), [command("make x > out.txt")]) is None  # the file would still be asked for


def test_it_tells_what_it_would_have_matched() -> None:
    earlier = [[command(text)] for text in ("pytest -q", "pytest tests", "make", "pytest && make", "pytest; true")]
    found = propose(policy(), [command("pytest -x")], earlier)
    assert found == Proposal((Learnt("shell", "pytest *"),), 3, 5)


@pytest.mark.parametrize(
    ("action", "target", "proposed"),
    [
        (Action.WRITE, "src/a/b.py", ["src/**"]),
        (Action.WRITE, f"{WORKSPACE}/src/a.py", ["src/**"]),
        (Action.WRITE, "README.md", ["README.md"]),
        (Action.WRITE, ".github/workflows/x.yml", [".github/workflows/x.yml"]),
        (Action.WRITE, "/etc/passwd", []),
        (Action.WRITE, "../x", []),
        (Action.NETWORK, "api.example.com:443", ["api.example.com:443"]),
        (Action.NETWORK, "http://x y", []),
        (Action.EFFECT, "comment", ["comment"]),
        (Action.OTHER, "a tool", []),
    ],
)
def test_files_hosts_and_effects(action: Action, target: str, proposed: list[str]) -> None:
    assert rules(propose(policy(), [Request(action, target, workspace=WORKSPACE)])) == proposed


_SCRIPTS = st.sampled_from([*ALLOWED, *ASKED, *DENIED, *HIDDEN])


@given(_SCRIPTS)
def test_what_is_learnt_answers_the_question_and_keeps_the_program(script: str) -> None:
    request = command(script)
    found = propose(policy(), [request])
    if found is None:
        return
    assert decide_all(policy(add(None, found.rules)), [request]).verdict is Verdict.ALLOW
    for rule in found.rules:
        assert rule.rule.split()[0] not in {"*", "?*"}


def test_rules_are_added_once_and_to_what_is_there() -> None:
    text = 'shell: {deny: ["git push *"]}\nlimits: {budget: 2.50, seconds: 90, cpus: 1.5}\n'
    once = add(text, [Learnt("shell", "pytest *"), Learnt("files", "src/**")])
    assert add(once, [Learnt("shell", "pytest *")]) == once
    found = read(once)
    assert (found.shell.allow, found.shell.deny, found.files.allow) == (("pytest *",), ("git push *",), ("src/**",))
    assert found.limits == read(text).limits
