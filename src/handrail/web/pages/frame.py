"""What stands round every page: the entries of the rail with their counts, and what runs now."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import HTMLResponse

from handrail.commands import effects, sessions
from handrail.commands.actor import Actor, Permission
from handrail.commands.desk import Desk
from handrail.commands.sessions import Seen
from handrail.store.effects import EffectRow
from handrail.types import SCRIPTED
from handrail.web.pages import render
from handrail.web.table import actor_of

MOST_RUNNING = 7
STILL = "still"
"""asks in an address for a page that does not reload by itself"""


class Entry(Struct, frozen=True):
    """One entry of the rail. A page says with `here` which one it belongs to."""

    name: str
    title: str
    path: str
    keys: str


ENTRIES = (
    Entry("inbox", "Inbox", "/inbox", "g i"),
    Entry("sessions", "Sessions", "/sessions", "g s"),
    Entry("workflows", "Workflows", "/workflows", "g w"),
    Entry("runs", "Runs", "/runs", "g r"),
    Entry("spend", "Spend", "/spend", "g m"),
)
OWNERS_ENTRIES = (
    Entry("agents", "Agents", "/agents", "g a"),
    Entry("admin", "Admin", "/admin", "g d"),
)
EMPTY: dict[str, Any] = {"entries": ENTRIES, "waiting": 0, "running": [], "csrf": "", "who": None, "owner": False}
"""a frame for pages of nobody, such as an error"""
OUTSIDE = EMPTY | {"entries": ()}
"""the same for who is not let in yet, or came by a link: no entry of the rail would open"""


def as_json(request: Request) -> bool:
    """Whether a page is asked for as JSON, by its address."""
    return request.url.path.endswith(".json")


async def frame(desk: Desk, actor: Actor) -> dict[str, Any]:
    """What the rail shows to `actor`; nothing where they may not read sessions."""
    if Permission.SESSIONS_READ not in actor.permissions:
        return dict(EMPTY)
    rail = await sessions.rail(desk, actor, MOST_RUNNING)
    entries = ENTRIES + OWNERS_ENTRIES if actor.only is None else ENTRIES
    return {
        "entries": entries,
        "waiting": rail.waiting,
        "running": rail.running,
        "who": actor,
        "owner": actor.only is None,
    }


async def undecided(desk: Desk, actor: Actor) -> list[EffectRow]:
    """Effects that wait for a person, the longest first; none for those who may not read them."""
    if Permission.EFFECTS_READ not in actor.permissions:
        return []
    return await effects.listed(desk, actor, session=None, run=None)


async def document(desk: Desk, request: Request, template: str, **context: Any) -> HTMLResponse:
    """A whole page: `template`, with the rail round it, live from the moment before anything of it was read."""
    at = getattr(request.state, "at", None) or sessions.moment(desk)
    live = {"at": at, "shared": sessions.shared(desk)}
    context = {"here": "", "refresh": None} | live | await frame(desk, actor_of(request)) | context
    if STILL in request.query_params:  # where no script runs, to reload takes what is being written
        context["refresh"] = None
    elif context["refresh"]:
        context["hold"] = f"{request.url.path}?{urlencode({**request.query_params, STILL: '1'})}"
    return HTMLResponse(await asyncio.to_thread(render.page, template, **context))


def facts(seen: Seen) -> dict[str, Any]:
    """A session for a template: its row, and what stands beside it."""
    return asdict(seen.row) | {
        "queued": seen.queued,
        "repository_name": Path(seen.row.repository).name,
        "asks": len(seen.approvals),
        "scripted": seen.row.provider == SCRIPTED,
        "heading": seen.row.title or f"Session {seen.row.id}",
    }
