from __future__ import annotations

import re
from datetime import timedelta

import pytest

from handrail.types import now
from handrail.web.pages import render
from handrail.web.pages.render import WEB, cost, diff_lines, seconds, when


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
    assert when(now() + timedelta(seconds=2)) == "just now"
    assert when(now() + timedelta(seconds=30)) == "in a moment"
    assert when(now() + timedelta(hours=2, minutes=1)) == "in 2 h"
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


@pytest.mark.parametrize("template", sorted(path.name for path in (WEB / "templates").iterdir()))
def test_templates_hold_no_script_no_style_and_trust_nothing(template: str) -> None:
    text = (WEB / "templates" / template).read_text("utf-8")
    for word in ("style=", "<style", "onclick", "hx-on", "js:", "| safe", "|safe", "autoescape false", "javascript:"):
        assert word not in text
    assert re.findall(r"<script(?! src=)", text) == []
    render.environment().get_template(template)


ATTRIBUTES = {
    "get",
    "post",
    "target",
    "swap",
    "trigger",
    "select",
    "config",
    "sync",
    "partial",
    "request",
    "sse:connect",
}


@pytest.mark.parametrize("template", sorted(path.name for path in (WEB / "templates").iterdir()))
def test_templates_use_a_few_attributes_of_htmx(template: str) -> None:
    text = (WEB / "templates" / template).read_text("utf-8")
    assert set(re.findall(r"[\s<]hx-([a-z:-]+)", text)) <= ATTRIBUTES


def test_markdown_of_an_agent_is_harmless() -> None:
    hostile = (
        "<script>alert(1)</script> [x](javascript:alert(1)) ![i](https://evil.example/p.png) "
        "[ok](https://example.org) <img src=x onerror=alert(1)> \x1b[31mred **bold** <hx-partial hx-target='#log'>"
    )
    html = str(render.markdown(hostile))
    for word in ("<script", "<img", 'javascript:alert(1)"', "\x1b", "<hx-partial"):
        assert word not in html
    assert 'href="https://example.org"' in html
    assert "noopener" in html
    assert "<strong>bold</strong>" in html


def test_very_long_words_are_shown_as_they_are() -> None:
    html = str(render.markdown("<b>**x**</b>" * 5000))
    assert "<strong>" not in html
    assert "&lt;b&gt;" in html


def test_tokens_are_counted_short() -> None:
    assert [render.count(n) for n in (7, 1500, 200_000, 1_250_000)] == ["7", "1.5k", "200k", "1.2M"]
