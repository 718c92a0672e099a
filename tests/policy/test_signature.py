from __future__ import annotations

from handrail.policy.signature import signature


def test_the_same_question_has_the_same_signature_whatever_the_agent_calls_it() -> None:
    one = signature("execute", "Run the tests", {"command": "pytest", "cwd": "/w"})
    again = signature("execute", "Running tests again", {"cwd": "/w", "command": "pytest"})
    assert one == again


def test_another_command_is_another_question() -> None:
    assert signature("execute", "x", {"command": "pytest"}) != signature("execute", "x", {"command": "pytest -x"})
    assert signature("edit", "x", {"command": "pytest"}) != signature("execute", "x", {"command": "pytest"})
    assert signature(None, "Confirm A", None) != signature(None, "Confirm B", None)
