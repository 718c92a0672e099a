from __future__ import annotations

import pytest

from handrail.workflows import expressions

EVENT = {"action": "opened", "pull_request": {"draft": False, "labels": [{"name": "bug"}], "title": ""}, "number": 0}


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("action == 'opened'", True),
        ("action == 'opened' && !(pull_request.draft)", True),
        ("contains(pull_request.labels[].name, 'bug')", True),
        ("pull_request.nosuch.field", False),
        ("pull_request.title", False),
        ("number", True),
        ("number == `0`", True),
        ("@", True),
    ],
)
def test_filters(text: str, held: bool) -> None:
    expressions.check(text)
    assert expressions.holds(text, EVENT) is held


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("", "cannot be empty"),
        ("a ==", "JMESPath"),
        ("a b", "JMESPath"),
        ("action == 'x' && !pull_request.draft", "put brackets behind the !"),
        ("nosuch(a)", "nosuch is none of abs"),
        ("pull_request.contian(@, 'x')", "did you mean contains"),
        ("a[?lenght(@) > `1`]", "did you mean length"),
        ("contains(a)", "takes 2 arguments, not 1"),
        ("length(a, b)", "takes 1 argument, not 2"),
        ("a" * 2001, "at most 2000"),
        ("(" * 1500, "JMESPath"),
    ],
)
def test_what_cannot_be_used_is_told_before_an_event_comes(text: str, mend: str) -> None:
    with pytest.raises(ValueError, match=mend):
        expressions.check(text)


def test_a_function_that_gets_what_it_cannot_take() -> None:
    with pytest.raises(ValueError, match="length"):
        expressions.find("length(number)", EVENT)


def test_the_paths_that_begin_at_the_root() -> None:
    text = "pull_request.labels[?name=='bot'] && !(draft) || length(a.b.c) > `1` || x.y[].z"
    assert expressions.paths(text) == [("pull_request", "labels"), ("draft",), ("a", "b", "c"), ("x", "y")]
