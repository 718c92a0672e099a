"""Words, numbers and tables laid out for a terminal.

A `Line` is a tuple of `Span`s. Only `paint` turns styles into control sequences, so a test reads lines as text.
"""

from __future__ import annotations

import difflib
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from msgspec import Struct

from handrail.cli.clean import clean, one_line, reveal

STYLES: Mapping[str, str] = {
    "": "",
    "dim": "2",
    "bold": "1",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "loud": "1;31",
}
DIFF_LINES = 12
_DIFF_BOUND = 4000  # lines of old and new together: difflib is quadratic at its worst


class Span(Struct, frozen=True):
    """A piece of text in one style of `STYLES`."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    """A line of plain strings and spans."""
    return tuple(Span(part) if isinstance(part, str) else part for part in parts)


def plain(row: Line) -> str:
    """The line as text without styles."""
    return "".join(span.text for span in row)


def paint(row: Line, *, colour: bool) -> str:
    """The line as it goes to the terminal."""
    if not colour:
        return plain(row)
    return "".join(f"\x1b[{STYLES[span.style]}m{span.text}\x1b[0m" if span.style else span.text for span in row)


def width(text: str) -> int:
    """Columns that `text` takes on a terminal."""
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def columns() -> int:
    """Width of the terminal."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def fit(text: str, limit: int) -> str:
    """`text` cut to `limit` columns, an ellipsis in place of what is missing."""
    if width(text) <= limit:
        return text
    kept, used = [], 0
    for char in text:
        used += _columns(char)
        if used > limit - 1:
            break
        kept.append(char)
    return "".join(kept) + "…"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, limit: int = 0) -> list[Line]:
    """A table with aligned columns; the last column is cut so that a row takes `limit` columns (0: not cut)."""
    cells = [[one_line(cell, 400) for cell in row] for row in rows]
    sizes = [max(width(row[at]) for row in [list(header), *cells]) for at in range(len(header))]
    out = []
    for number, row in enumerate([list(header), *cells]):
        text = "  ".join(cell + " " * (size - width(cell)) for cell, size in zip(row, sizes, strict=True)).rstrip()
        out.append(line(Span(fit(text, limit) if limit else text, "" if number else "dim")))
    return out


def dollars(nano: int | None) -> str:
    """Nano-dollars as dollars: four digits below ten cents, two above."""
    if nano is None:
        return "unknown"
    value = nano / 1_000_000_000
    return f"${value:.4f}" if 0 < abs(value) < 0.1 else f"${value:.2f}"


NOT_METERED = "not metered (your login)"
"""in place of the cost of what a login of the user pays"""


def cost(nano: int | None, unpriced: int = 0) -> str:
    """What was spent, and what of it nobody could price."""
    if not unpriced:
        return dollars(nano or 0)
    calls = f"unpriced calls: {unpriced}"
    return f"{dollars(nano)} ({calls})" if nano else f"cost unknown ({calls})"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them: `0.3 s`, `42 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def colourful(stream: TextIO) -> bool:
    """True when control sequences for colour are welcome there (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printed(rows: Iterable[Line]) -> None:
    """Lines on stdout, coloured when it is a terminal."""
    colour = colourful(sys.stdout)
    sys.stdout.writelines(paint(row, colour=colour) + "\n" for row in rows)


def patch_line(text: str) -> Line:
    """One line of a unified diff in its colour."""
    text = reveal(text)
    if text.startswith(("+++", "---", "diff ", "index ")):
        return line(Span(text, "bold"))
    if text.startswith("@@"):
        return line(Span(text, "cyan"))
    if text.startswith("+"):
        return line(Span(text, "green"))
    return line(Span(text, "red")) if text.startswith("-") else line(text)


def diff_lines(diffs: Sequence[Mapping[str, Any]], *, limit: int | None = DIFF_LINES) -> list[Line]:
    """ACP diffs (`path`, `old`, `new`) as coloured unified diffs, at most `limit` lines a file (None: all)."""
    out: list[Line] = []
    for diff in diffs:
        body = _unified(diff)
        shown = body if limit is None else body[:limit]
        out += [line("    ", *patch_line(text)) for text in shown]
        if len(body) > len(shown):
            out.append(line(Span(f"    … {len(body) - len(shown)} more lines", "dim")))
    return out


def diff_size(diffs: Sequence[Mapping[str, Any]]) -> str:
    """`+3 -1` over all files, empty without diffs."""
    body = [text for diff in diffs for text in _unified(diff)]
    if not body:
        return ""
    return f"+{sum(text.startswith('+') for text in body)} -{sum(text.startswith('-') for text in body)}"


def _unified(diff: Mapping[str, Any]) -> list[str]:
    old, new = str(diff.get("old") or "").splitlines(), str(diff.get("new") or "").splitlines()
    if len(old) + len(new) > _DIFF_BOUND:
        return [f"@@ {len(old)} lines become {len(new)} lines: too long to compare here @@"]
    lines = difflib.unified_diff(old, new, lineterm="", n=2)
    return [text for text in lines if not text.startswith(("--- ", "+++ "))]


def indented(text: str, *, last: int, style: str = "dim") -> list[Line]:
    """The `last` lines of an output, cleaned and indented, with a word on what was left out."""
    lines = [row for row in clean(text).rstrip().split("\n") if row.strip()]
    cut = len(lines) - last
    head = [line(Span(f"    … {cut} lines before", "dim"))] if cut > 0 else []
    return head + [line(Span("    " + fit(row.expandtabs(4), 200), style)) for row in lines[-last:]]
