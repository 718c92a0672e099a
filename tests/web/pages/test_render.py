from __future__ import annotations

from datetime import timedelta

import pytest

from handrail.types import now
from handrail.web.pages import render
from handrail.web.pages.render import WEB, cost, diff_lines, patch_lines, seconds, when


@pytest.mark.parametrize(
    ("nano", "unpriced", "said"),
    [
        (0, 0, "$0.00"),
        (1_230_000_000, 0, "$1.23"),
        (4_200_000, 0, "$0.0042"),
        (0, 3, "cost unknown"),
        (2_000_000_000, 1, "$2.00 and 1 call without a price"),
    ],
)
def test_money_never_hides_what_is_unknown(nano: int, unpriced: int, said: str) -> None:
    assert cost(nano, unpriced) == said


def test_times() -> None:
    assert when(now()) == "just now"
    assert when(now() + timedelta(hours=1)) == "just now"
    assert when(now() - timedelta(minutes=5, seconds=3)) == "5 min ago"
    assert when(now() - timedelta(days=2, hours=1)) == "2 days ago"
    assert len(when(now() - timedelta(days=40))) == 11
    assert (seconds(0.0072), seconds(1.26), seconds(61)) == ("7 ms", "1.3 s", "1 min 1 s")


def test_an_edit_is_shown_with_what_is_round_it() -> None:
    old = "\n".join(str(n) for n in range(20))
    lines = list(diff_lines(old, old.replace("\n10\n", "\nten\n")))
    assert ("removed", "10") in lines
    assert ("added", "ten") in lines
    assert ("same", "9") in lines
    assert ("same", "2") not in lines
    assert list(diff_lines("", "new")) == [("hunk", "@@ line 1 @@"), ("added", "new")]
    assert list(diff_lines("same", "same")) == []


def test_a_huge_edit_is_cut_before_it_is_compared() -> None:
    lines = list(diff_lines("a\n" * 50_000, "b\n" * 50_000))
    assert len(lines) < 1000
    assert "only the first" in lines[-1][1]


def test_a_patch_is_marked_and_cut() -> None:
    patch = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n same\n"
    lines, cut = patch_lines(patch)
    assert [mark for mark, _ in lines] == ["file", "same", "same", "hunk", "removed", "added", "same"]
    assert not cut
    assert patch_lines("+x\n" * (render.PATCH_LINES + 1))[1]


@pytest.mark.parametrize("template", sorted(path.name for path in (WEB / "templates").iterdir()))
def test_templates_hold_no_script_no_style_and_trust_nothing(template: str) -> None:
    text = (WEB / "templates" / template).read_text("utf-8")
    for word in ("<script", "style=", "<style", "onclick", "| safe", "|safe", "autoescape false", "javascript:"):
        assert word not in text
    render.environment().get_template(template)


def test_the_stylesheet_is_one_file_in_layers_that_fetches_nothing() -> None:
    css = render.style().decode()
    assert "@layer tokens, base, layout, parts;" in css
    assert "url(" not in css
    assert "@import" not in css
    assert "light-dark(" in css
