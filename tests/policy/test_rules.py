from __future__ import annotations

import pytest

from handrail.policy.rules import Verdict, decide, signature
from handrail.types import Permissions


@pytest.mark.parametrize(
    ("permissions", "kind", "verdict"),
    [
        (Permissions.ASK, "read", Verdict.ALLOW),
        (Permissions.ASK, "search", Verdict.ALLOW),
        (Permissions.ASK, "edit", Verdict.ASK),
        (Permissions.ASK, "execute", Verdict.ASK),
        (Permissions.ASK, None, Verdict.ASK),
        (Permissions.ALLOW, "execute", Verdict.ALLOW),
        (Permissions.ALLOW, None, Verdict.ALLOW),
        (Permissions.DENY, "read", Verdict.ALLOW),
        (Permissions.DENY, "edit", Verdict.DENY),
        (Permissions.DENY, None, Verdict.DENY),
        (Permissions.DENY, "fetch", Verdict.DENY),
    ],
)
def test_decide(permissions: Permissions, kind: str | None, verdict: Verdict) -> None:
    assert decide(permissions, kind) is verdict


def test_the_same_question_has_the_same_signature_whatever_the_agent_calls_it() -> None:
    one = signature("execute", "Run the tests", {"command": "pytest", "cwd": "/w"})
    again = signature("execute", "Running tests again", {"cwd": "/w", "command": "pytest"})
    assert one == again


def test_another_command_is_another_question() -> None:
    assert signature("execute", "x", {"command": "pytest"}) != signature("execute", "x", {"command": "pytest -x"})
    assert signature("edit", "x", {"command": "pytest"}) != signature("execute", "x", {"command": "pytest"})
    assert signature(None, "Confirm A", None) != signature(None, "Confirm B", None)
