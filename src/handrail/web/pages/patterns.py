"""The gallery: every part of the pages in every state, each made by the template that the product uses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from functools import cache

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from handrail.commands.actor import Permission, authorise
from handrail.commands.desk import Desk
from handrail.lazy import Later
from handrail.web.guard import Keys
from handrail.web.pages.frame import document
from handrail.web.table import actor_of

_specimens = Later("handrail.web.pages.specimens")
_REFERS = re.compile(
    r' (id|for|form|list|aria-labelledby|aria-describedby|aria-controls|aria-activedescendant)="([^"]+)"'
)
_LANDMARK = re.compile(r"<(section|nav|aside)\b([^>]*)>")
_NAMED = re.compile(r' aria-label(?:ledby)?="[^"]*"')
_ACTS = re.compile(r' (?:role="search"|hx-[a-z:-]+|data-(?:key|command|socket)|autofocus)(?:="[^"]*"|=\'[^\']*\')?')
_POSTS = re.compile(r' action="[^"]*"')
_TOP = re.compile(r"<(/?)h1\b")
_LEADS = re.compile(r' href="#([^"]+)"')
NOWHERE = "/patterns/nothing"
"""where the forms of the gallery lead: there is no such thing"""


def endpoint(desk: Desk, keys: Keys) -> Callable[[Request], Awaitable[Response]]:
    """The gallery's page."""

    async def shown(request: Request) -> Response:
        actor = actor_of(request)
        authorise(actor, Permission.SESSIONS_READ)
        found = await asyncio.to_thread(_kept)
        return await document(desk, request, "patterns.html", csrf=keys.form_of(actor), groups=found)

    return shown


def groups() -> Iterator[tuple[str, list[tuple[str, Markup]]]]:
    """Every group: its title, and its specimens with theirs."""
    at = 0
    for title, found in _specimens.load().GROUPS.items():
        made = []
        for name, html in found():
            at += 1
            made.append((name, still(html, at)))
        yield title, made


@cache
def _kept() -> list[tuple[str, list[tuple[str, Markup]]]]:
    return list(groups())


def still(html: Markup, at: int) -> Markup:
    """A specimen as it can stand beside others: its ids and landmarks are its own, and nothing in it acts.

    Args:
        html: as the product has it.
        at: its number.
    """

    def landmark(found: re.Match[str]) -> str:
        named = _NAMED.search(found[2])
        label = f' aria-label="{found[1]} {at}.{found.start()}"' if named else ""
        return f"<{found[1]}{_NAMED.sub('', found[2])}{label}>"

    def refers(found: re.Match[str]) -> str:
        return f' {found[1]}="{" ".join(f"{name}-{at}" for name in found[2].split())}"'

    told = _LANDMARK.sub(landmark, _TOP.sub(r"<\1h2", str(html)))
    told = _POSTS.sub(f' action="{NOWHERE}"', _ACTS.sub("", told))
    return Markup(_LEADS.sub(rf' href="#\1-{at}"', _REFERS.sub(refers, told)))  # noqa: S704  # made by our templates
