from __future__ import annotations

import pytest

from handrail.cli.layout import (
    Span,
    cost,
    diff_lines,
    diff_size,
    dollars,
    duration,
    fit,
    indented,
    line,
    paint,
    patch_line,
    plain,
    table,
    width,
)


@pytest.mark.parametrize(
    ("nano", "want"),
    [(0, "$0.00"), (1, "$0.0000"), (12_300_000, "$0.0123"), (2_500_000_000, "$2.50"), (None, "unknown")],
)
def test_dollars(nano: int | None, want: str) -> None:
    assert dollars(nano) == want


def test_what_nobody_could_price_is_never_shown_as_free() -> None:
    assert cost(0, 3) == "cost unknown (unpriced calls: 3)"
    assert cost(None, 3) == "cost unknown (unpriced calls: 3)"
    assert cost(12_300_000, 2) == "$0.0123 (unpriced calls: 2)"
    assert cost(None) == "$0.00"


@pytest.mark.parametrize(
    ("seconds", "want"),
    [(None, ""), (0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_duration(seconds: float | None, want: str) -> None:
    assert duration(seconds) == want


def test_width_counts_columns() -> None:
    assert width("日本") == 4
    assert width("e\u0301") == 1
    assert fit("日本語", 4) == "日…"


def test_table_is_aligned_cut_and_clean() -> None:
    rows = table(("name", "about"), [("日本", "x\x1b[31m"), ("abcdef", "y" * 50)], limit=20)
    assert [plain(row) for row in rows] == ["name    about", "日本    x\\x1b[31m", "abcdef  yyyyyyyyyyy…"]


def test_paint_only_where_colour_is_wanted() -> None:
    row = line("a ", Span("b", "red"))
    assert paint(row, colour=False) == "a b"
    assert paint(row, colour=True) == "a \x1b[31mb\x1b[0m"


def test_diff_is_short_and_says_what_is_left_out() -> None:
    diff = {"path": "a.py", "old": "one\ntwo\n", "new": "one\n2\n"}
    assert [plain(row) for row in diff_lines([diff])] == ["    @@ -1,2 +1,2 @@", "     one", "    -two", "    +2"]
    assert diff_size([diff]) == "+1 -1"
    long = {"path": "a", "new": "\n".join(map(str, range(50)))}
    assert plain(diff_lines([long])[-1]) == "    … 39 more lines"
    assert len(diff_lines([long], limit=None)) == 51
    assert "too long to compare" in plain(diff_lines([{"path": "a", "new": "x\n" * 5000}])[0])


def test_a_patch_line_hides_nothing() -> None:
    row = patch_line("+\x1b[2Kevil\u202e")
    assert plain(row) == "+\\x1b[2Kevil\\u202e"
    assert row[0].style == "green"


def test_output_is_cut_from_the_front() -> None:
    assert [plain(row) for row in indented("1\n2\n\n3\n", last=2)] == ["    … 1 lines before", "    2", "    3"]
