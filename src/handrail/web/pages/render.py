"""Templates: their environment, and the few words and figures that they format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape
from msgspec import msgpack

from handrail.clean import clean, reveal
from handrail.lazy import Later
from handrail.types import now
from handrail.web import static
from handrail.web.pages.transcript import Block, Turn, pretty

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it import MarkdownIt

WEB = Path(__file__).parent.parent
LONGEST_MARKDOWN = 40_000
"""characters that are read as Markdown; more is shown as it is"""
_EDIT_LINES = 400
_MOST_KEPT = 1000
"""blocks that are not rendered again: 12 MB at the very most"""
_LARGEST_KEPT = 4000
"""bytes of one of them; more is rendered each time"""
_kept: dict[bytes, str] = {}
_keeping = Lock()  # pages are rendered on threads
_jinja = Later("jinja2")
_markdown = Later("markdown_it")


@cache
def environment() -> Environment:
    """The templates; the first call imports Jinja."""
    module = _jinja.load()
    made: Environment = module.Environment(
        loader=module.FileSystemLoader(WEB / "templates"),
        autoescape=True,
        finalize=_finalized,
        undefined=module.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "reveal": lambda text: reveal(text or ""),
        "pretty": pretty,
        "words": lambda word: str(word).replace("_", " "),
        "when": when,
        "cost": cost,
        "seconds": seconds,
        "markdown": markdown,
        "count": count,
        "bytes": size,
    }
    made.globals |= {
        "diff_lines": lambda old, new: list(diff_lines(old, new)),
        "asset": static.address,
        "transcript": blocks,
        "scripts": static.SCRIPTS,
    }
    return made


def _finalized(value: object) -> object:
    """Whatever a template puts out is cleaned: none of them has to think of it. Markup is what a template made."""
    return clean(value) if type(value) is str else value


def page(template: str, **context: Any) -> str:
    """`template` rendered; everything in `context` is text until a template says otherwise, and none does."""
    return environment().get_template(template).render(**context)


def blocks(given: Iterable[Block]) -> Markup:
    """Blocks of a transcript, as the page of a session has them."""
    return Markup("".join(map(_block, given)))  # noqa: S704  # made by a template


def _block(given: Block) -> str:
    """One block. What it looks like follows from its fields alone, so that it is kept by them.

    But for the head of a turn, which tells how long ago it was.
    """
    if isinstance(given, Turn):
        return page("blocks.html", blocks=[given])
    told = msgpack.encode(given)
    if len(told) > _LARGEST_KEPT:
        return page("blocks.html", blocks=[given])
    html = _kept.get(told)
    if html is None:
        html = page("blocks.html", blocks=[given])
        with _keeping:
            if len(html) <= 2 * _LARGEST_KEPT:  # an edit of many short lines is mostly markup
                _kept[told] = html
            if len(_kept) > _MOST_KEPT:
                del _kept[next(iter(_kept))]  # the one that was made first
    return html


@cache
def _reader() -> MarkdownIt:
    """Reads Markdown; HTML in it is text, and no picture is fetched."""
    made: MarkdownIt = _markdown.load().MarkdownIt("commonmark", {"html": False, "breaks": True})
    return made.enable(["table", "strikethrough"]).disable("image")


def markdown(text: str) -> Markup:
    """An agent's words: cleaned, then read as Markdown of which only plain elements come out.

    Links lead out without telling from where; what is neither http(s) nor mail is no link (markdown-it refuses
    javascript:, vbscript:, file: and data:).
    """
    told = clean(text)
    if len(told) > LONGEST_MARKDOWN:
        return Markup('<p class="said">') + escape(told) + Markup("</p>")
    html = _reader().render(told).replace("<a href=", '<a rel="noopener noreferrer nofollow" target="_blank" href=')
    return Markup(html.replace("<pre>", '<pre tabindex="0">'))  # noqa: S704  # made by markdown-it with html off


def count(value: int) -> str:
    """A number of tokens, short."""
    if value < 1000:
        return str(value)
    return (
        f"{value / 1000:.1f}k"
        if value < 100_000
        else f"{value / 1000:.0f}k"
        if value < 10**6
        else f"{value / 10**6:.1f}M"
    )


def size(value: int) -> str:
    """A number of bytes, short."""
    if value < 1000:
        return f"{value} B"
    return f"{value / 1000:.1f} kB" if value < 10**6 else f"{value / 10**6:.1f} MB"


def when(moment: datetime) -> str:
    """How long ago, or in how long, in the largest unit that says something; past a week it is the day."""
    past = (now() - moment).total_seconds()
    if abs(past) < 60:
        return "just now" if past > -5 else "in a moment"  # clocks of two servers differ a little
    for unit, size, limit in (("min", 60, 3600), ("h", 3600, 86_400), ("day", 86_400, 7 * 86_400)):
        if abs(past) < limit:
            number = int(abs(past) // size)
            told = f"{number} {unit}{'s' if unit == 'day' and number > 1 else ''}"
            return f"{told} ago" if past > 0 else f"in {told}"
    return moment.strftime("%d %b %Y")


def cost(nano: int, unpriced: int) -> str:
    """Dollars; what has no known price is said, never counted as 0."""
    if unpriced and not nano:
        return "cost unknown"
    dollars = nano / 1_000_000_000
    said = f"${dollars:.2f}" if dollars >= 1 or dollars == 0 else f"${dollars:.4f}"
    return f"{said} and {unpriced} {'call' if unpriced == 1 else 'calls'} without a price" if unpriced else said


def seconds(value: float) -> str:
    """A duration."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def diff_lines(old: str, new: str) -> Iterator[tuple[str, str]]:
    """An edit as (added | removed | same | hunk, line); long ones are cut, since matching them is quadratic."""
    before, after = old.splitlines(), new.splitlines()
    cut = len(before) > _EDIT_LINES or len(after) > _EDIT_LINES
    before, after = before[:_EDIT_LINES], after[:_EDIT_LINES]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for group in matcher.get_grouped_opcodes(3):
        yield "hunk", f"@@ line {group[0][3] + 1} @@"
        for kind, a, b, c, d in group:
            if kind == "equal":
                yield from (("same", line) for line in before[a:b])
            else:
                yield from (("removed", line) for line in before[a:b])
                yield from (("added", line) for line in after[c:d])
    if cut:
        yield "hunk", f"… only the first {_EDIT_LINES} lines are compared here …"
