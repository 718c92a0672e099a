from __future__ import annotations

from pathlib import Path

import pytest

from handrail.commands import values
from handrail.commands.values import GoalSpec
from handrail.errors import InvalidInput
from handrail.types import Check, Goal, Limits, NanoUSD, SandboxKind


def test_text_is_kept_as_it_is_up_to_its_limit_in_bytes() -> None:
    assert values.text("prompt", " héllo\n", 8) == " héllo\n"
    with pytest.raises(InvalidInput, match="prompt: '8 bytes' cannot be used: give at most 7 bytes"):
        values.text("prompt", " héllo\n", 7)


@pytest.mark.parametrize("given", ["", "  \n\t", "a\ud800b"])
def test_text_that_says_nothing_or_is_no_unicode_is_refused(given: str) -> None:
    with pytest.raises(InvalidInput, match="prompt"):
        values.text("prompt", given, 100)


def test_a_title_is_one_line() -> None:
    assert values.title("title", " a\n\x1b[31m b\t") == "a [31m b"
    assert values.title("title", "\n") is None
    assert values.title("title", None) is None
    with pytest.raises(InvalidInput, match="at most 200"):
        values.title("title", "x" * 201)


@pytest.mark.parametrize("given", ["", "relative", "a\x00b", "/x\x00", "/" + "x" * 5000, "\ud800"])
def test_a_path_must_be_absolute_and_sound(given: str) -> None:
    with pytest.raises(InvalidInput, match="repository"):
        values.path("repository", given)


def test_a_home_path_is_expanded() -> None:
    assert values.path("repository", "~/x") == Path.home() / "x"


@pytest.mark.parametrize("given", ["main", "feature/x", "v1.0", "HEAD~2", "0f3c^", "a@{1}"])
def test_revisions_that_git_knows(given: str) -> None:
    assert values.revision("ref", given) == given


@pytest.mark.parametrize("given", ["", "-x", "--upload-pack=x", "a b", "a\nb", "a:b", "a*", "x" * 300])
def test_revisions_that_would_be_something_else(given: str) -> None:
    with pytest.raises(InvalidInput, match="ref"):
        values.revision("ref", given)


@pytest.mark.parametrize("given", ["main", "feature/x", "handrail/s-1"])
def test_branches_that_git_takes(given: str) -> None:
    assert values.branch("branch", given) == given


@pytest.mark.parametrize("given", ["", "-x", "/x", "x/", "a..b", "a//b", "x.lock", "a~1", "a b", "@{x", ".x", "x."])
def test_branches_that_git_refuses(given: str) -> None:
    with pytest.raises(InvalidInput, match="branch"):
        values.branch("branch", given)


def test_a_choice_names_the_known_ones() -> None:
    assert values.choice("sandbox", "none", SandboxKind) is SandboxKind.NONE
    with pytest.raises(InvalidInput, match="'docker' cannot be used: choose one of bubblewrap, none, seatbelt"):
        values.choice("sandbox", "docker", SandboxKind)


@pytest.mark.parametrize(
    ("given", "nano"), [("2", 2_000_000_000), ("$0.50", 500_000_000), (" 0.000000001 ", 1), ("1e-3", 1_000_000)]
)
def test_money_is_exact(given: str, nano: int) -> None:
    assert values.money("budget", given) == nano


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "1e400", "two", "", "1000001", "1e-10"])
def test_money_that_is_none(given: str) -> None:
    with pytest.raises(InvalidInput, match="budget"):
        values.money("budget", given)


@pytest.mark.parametrize("given", [0, -1.0, float("nan"), float("inf"), 1e12])
def test_durations_that_are_none(given: float) -> None:
    with pytest.raises(InvalidInput, match="seconds"):
        values.duration("seconds", given)


def test_a_goal_is_judged_whole() -> None:
    spec = GoalSpec("Make it pass.", (("pytest -q", None), ("ruff check", 5.0)), 3, "1.5", 60)
    assert values.goal(spec, 1000) == Goal(
        "Make it pass.",
        (Check("pytest -q"), Check("ruff check", 5.0)),
        Limits(3, NanoUSD(1_500_000_000), 60.0),
    )
    assert values.goal(GoalSpec("x"), 1000).limits == Limits()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (GoalSpec(""), r"goal\.text"),
        (GoalSpec("x", (("", None),)), r"goal\.checks\[0\]\.command"),
        (GoalSpec("x", (("a", None), ("b\x00", None))), r"goal\.checks\[1\]\.command"),
        (GoalSpec("x", (("a", 0.0),)), r"goal\.checks\[0\]\.timeout"),
        (GoalSpec("x", (("a", None),) * 51), r"goal\.checks"),
        (GoalSpec("x", turns=0), r"goal\.turns"),
        (GoalSpec("x", budget_usd="0"), r"goal\.budget_usd"),
        (GoalSpec("x", seconds=-1), r"goal\.seconds"),
    ],
)
def test_a_goal_names_what_is_wrong(spec: GoalSpec, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        values.goal(spec, 1000)
