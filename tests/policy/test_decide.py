from __future__ import annotations

import pytest

from handrail.policy import Action, Verdict
from handrail.types import Permissions
from tests.policy.battery import ALLOWED, ASKED, DENIED, FREE, HIDDEN, SESSION
from tests.policy.conftest import of, policy, shell

A, Q, D = Verdict.ALLOW, Verdict.ASK, Verdict.DENY


@pytest.mark.parametrize("command", ALLOWED)
def test_allowed(command: str) -> None:
    decision = shell(policy(SESSION), command)
    assert decision.verdict is A, decision


@pytest.mark.parametrize("command", ASKED)
def test_asked(command: str) -> None:
    decision = shell(policy(SESSION), command)
    assert decision.verdict is Q, decision


@pytest.mark.parametrize("command", DENIED)
@pytest.mark.parametrize("permissions", list(Permissions))
def test_denied(command: str, permissions: Permissions) -> None:
    decision = shell(policy(SESSION, permissions=permissions), command)
    assert decision.verdict is D, decision
    if permissions is not Permissions.DENY:
        assert decision.rule is not None
        assert decision.layer == "session"


@pytest.mark.parametrize("command", HIDDEN)
def test_what_may_hide_a_denied_command_is_asked_for(command: str) -> None:
    decision = shell(policy(SESSION, permissions=Permissions.ALLOW), command)
    assert decision.verdict is not A, decision


@pytest.mark.parametrize("command", FREE)
def test_deny_rules_leave_alone_what_they_do_not_name(command: str) -> None:
    decision = shell(policy(SESSION, permissions=Permissions.ALLOW), command)
    assert decision.verdict is A, decision


@pytest.mark.parametrize(
    ("argv", "verdict"),
    [
        (("git", "push"), D),
        (("git", "status"), A),
        (("bash", "-lc", "git push"), D),
        (("bash", "-lc", "pytest -q"), A),
        (("/bin/zsh", "-lc", "pytest"), A),
        (("git", "status; git push"), Q),
        (("pytest", "; git push"), A),
        (("pytest", "$(git push)"), A),
        (("$X",), Q),
        (("bash", "-lc", "x 'y"), Q),
        (("echo", "git push"), Q),
        (("git", "\ue000"), Q),
    ],
)
def test_a_command_in_words_is_not_split_again(argv: tuple[str, ...], verdict: Verdict) -> None:
    assert shell(policy(SESSION), argv).verdict is verdict


@pytest.mark.parametrize(
    ("action", "target", "verdict"),
    [
        (Action.WRITE, "src/a.py", A),
        (Action.WRITE, "/work/project/src/a.py", A),
        (Action.WRITE, "./src/a/b.py", A),
        (Action.WRITE, "README.md", Q),
        (Action.WRITE, "src/../README.md", Q),
        (Action.WRITE, "src/../src/a.py", Q),
        (Action.WRITE, "/etc/passwd", Q),
        (Action.WRITE, "../src/a.py", Q),
        (Action.WRITE, "/work/projectx/src/a", Q),
        (Action.WRITE, "~/src/a", Q),
        (Action.WRITE, "", Q),
        (Action.WRITE, "src/a\n", Q),
        (Action.WRITE, "SRC/a.py", Q),
        (Action.WRITE, ".github/x", D),
        (Action.WRITE, ".github/workflows/ci.yml", D),
        (Action.WRITE, ".GitHub/x", D),
        (Action.WRITE, "./.github/x", D),
        (Action.WRITE, "src/../.github/x", D),
        (Action.WRITE, ".github", D),
        (Action.WRITE, "/work/project/./.github/x", D),
        (Action.WRITE, "file:///work/project/.github/x", D),
        (Action.WRITE, "/proc/self/cwd/src/x", Q),
        (Action.WRITE, "sub/.github/x", Q),
        (Action.WRITE, "//work/project/.github/x", D),
        (Action.READ, "README.md", A),
        (Action.READ, "/etc/hosts", A),
        (Action.READ, ".env", D),
        (Action.READ, "sub/.env", D),
        (Action.READ, ".github/x", A),
        (Action.READ, "x/../.env", D),
        (Action.READ, ".ENV", D),
        (Action.WRITE, ".env", Q),
        (Action.NETWORK, "pypi.org:443", Q),
        (Action.EFFECT, "push", Q),
        (Action.OTHER, "anything", Q),
    ],
)
def test_files_and_the_rest(action: Action, target: str, verdict: Verdict) -> None:
    assert of(policy(SESSION), action, target).verdict is verdict


@pytest.mark.parametrize(
    ("permissions", "action", "verdict"),
    [
        (Permissions.ASK, Action.READ, A),
        (Permissions.ASK, Action.WRITE, Q),
        (Permissions.ASK, Action.SHELL, Q),
        (Permissions.ASK, Action.OTHER, Q),
        (Permissions.ASK, Action.NETWORK, Q),
        (Permissions.ASK, Action.EFFECT, Q),
        (Permissions.ALLOW, Action.SHELL, A),
        (Permissions.ALLOW, Action.OTHER, A),
        (Permissions.ALLOW, Action.WRITE, A),
        (Permissions.DENY, Action.READ, A),
        (Permissions.DENY, Action.WRITE, D),
        (Permissions.DENY, Action.SHELL, D),
        (Permissions.DENY, Action.OTHER, D),
        (Permissions.DENY, Action.NETWORK, D),
    ],
)
def test_permissions_alone(permissions: Permissions, action: Action, verdict: Verdict) -> None:
    decision = of(policy(permissions=permissions), action, "x")
    assert (decision.verdict, decision.layer) == (verdict, "built-in")


def test_allowing_everything_inside_the_walls_asks_for_nothing() -> None:
    for command in [*ALLOWED, *ASKED, *DENIED, *HIDDEN]:
        assert shell(policy(permissions=Permissions.ALLOW), command).verdict is A, command


def test_a_decision_tells_its_rule_and_layer() -> None:
    given = policy('shell: {allow: ["git push *"]}', team='shell: {deny: ["git push *"]}')
    decision = shell(given, "pytest && git push origin")
    assert (decision.verdict, decision.rule, decision.layer) == (D, "git push *", "team")
    assert "`git push origin`" in decision.reason
