from __future__ import annotations

from pathlib import Path

import pytest

from handrail.cli.options import allowed, decoded, fits, goal, repository, seconds, usd, utf8
from handrail.errors import InvalidInput


@pytest.mark.parametrize(("text", "want"), [("2", "2"), ("2.50", "2.50"), ("$1e-2", "0.01"), (None, None)])
def test_usd(text: str | None, want: str | None) -> None:
    assert usd(text) == want


@pytest.mark.parametrize("text", ["abc", "", "-1", "0", "nan", "inf", "1e99", "2,50"])
def test_what_is_no_money_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"--budget: .* give a positive amount of US dollars"):
        usd(text)


@pytest.mark.parametrize(
    ("text", "want"), [("90", 90.0), ("45s", 45.0), ("30m", 1800.0), ("1h30m", 5400.0), ("2d", 172800.0)]
)
def test_seconds(text: str, want: float) -> None:
    assert seconds(text) == want


@pytest.mark.parametrize("text", ["", "0", "0m", "m", "1.5h", "-3", "3 m", "9" * 40])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="--time"):
        seconds(text)


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"PROMPT.*UTF-8"):
        utf8("caf\udce9", "PROMPT")
    with pytest.raises(InvalidInput, match=r"stdin.*UTF-8"):
        decoded(b"caf\xe9")
    with pytest.raises(InvalidInput, match="give a text"):
        utf8("  \n", "PROMPT")


def test_a_prompt_of_ten_megabytes_is_refused_with_the_limit(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"10485760 bytes.*at most 1048576 bytes"):
        fits("x" * (10 << 20), "PROMPT", tmp_path)


def test_the_repository_is_the_top_of_the_tree_one_is_in(tmp_path: Path) -> None:
    inside = tmp_path / "repo" / "src"
    inside.mkdir(parents=True)
    with pytest.raises(InvalidInput, match="git init"):
        repository(inside)
    (tmp_path / "repo" / ".git").write_text("gitdir: elsewhere")
    assert repository(inside) == str(tmp_path / "repo")


def test_a_goal_holds_only_what_was_given() -> None:
    assert goal("x", ["pytest -q"], budget="2", turns=None, time="30m") == {
        "text": "x",
        "checks": ["pytest -q"],
        "budget_usd": "2",
        "seconds": 1800.0,
    }


def test_a_word_outside_the_choices_is_refused_with_the_choices() -> None:
    assert allowed(None, "--sandbox", "bubblewrap", "none") is None
    with pytest.raises(InvalidInput, match="give bubblewrap or none"):
        allowed("docker", "--sandbox", "bubblewrap", "none")
