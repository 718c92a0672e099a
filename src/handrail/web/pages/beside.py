"""The tabs beside a transcript: what a session changed, when it did what, its shell, its files, what it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection
from typing import Any
from urllib.parse import parse_qs, quote

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from handrail.commands import branching, changes, files, sessions
from handrail.commands.actor import Actor
from handrail.commands.desk import Desk
from handrail.commands.files import Looked
from handrail.commands.sessions import Seen
from handrail.errors import InvalidInput, NotFound
from handrail.kinds import Kind
from handrail.types import Event, Json, SessionState
from handrail.web import views
from handrail.web.guard import Keys
from handrail.web.pages import patch, render, timeline
from handrail.web.pages.evidence import KINDS, evidence
from handrail.web.pages.frame import as_json, document, facts
from handrail.web.pages.playback import SHELL
from handrail.web.pages.transcript import Tool, folded
from handrail.web.table import actor_of, reply
from handrail.workspaces.browse import Folder

SHELLS = 20
"""commands that the terminal shows where no script runs"""
_TOOLS = frozenset({Kind.TOOL_STARTED, Kind.TOOL_UPDATED, Kind.TOOL_ENDED})
FILE_LINES = 5000
"""lines of one file that a page shows"""


class Tab(Struct, frozen=True):
    """One tab; its key comes after `v`."""

    title: str
    key: str


TABS = {
    "diff": Tab("Changes", "c"),
    "timeline": Tab("Timeline", "t"),
    "terminal": Tab("Terminal", "x"),
    "files": Tab("Files", "f"),
    "details": Tab("Details", "d"),
}


class Beside:
    """The tabs.

    Args:
        desk: the rooms.
        keys: what signs the forms.
    """

    def __init__(self, desk: Desk, keys: Keys) -> None:
        self._desk = desk
        self._keys = keys
        self._tabs: dict[str, Callable[[Actor, Seen, Request], Awaitable[tuple[Json, dict[str, Any]]]]] = {
            "diff": self._diff,
            "timeline": self._timeline,
            "terminal": self._terminal,
            "files": self._files,
            "details": self._details,
        }

    async def tab(self, request: Request) -> Response:
        """One tab; a whole page where nobody asked for the piece alone."""
        actor, name = actor_of(request), str(request.path_params["tab"])
        if name not in TABS:
            raise NotFound(f"a session has no page {name!r}: it has {', '.join(TABS)}")
        seen = await sessions.show(self._desk, actor, str(request.path_params["id"]))
        told, context = await self._tabs[name](actor, seen, request)
        if as_json(request):
            return reply(told)
        context |= {
            "session": facts(seen),
            "owner": actor.only is None,
            "tab": name,
            "last": seen.last_seq,
            "tabs": TABS,
            "here": "sessions",
            "csrf": self._keys.form_of(actor),
        }
        if request.headers.get("hx-request"):
            return HTMLResponse(await asyncio.to_thread(render.page, "side.html", **context))
        return await document(self._desk, request, "side_page.html", **context)

    async def raw(self, request: Request) -> Response:
        """A file of a session as it is: to be kept, never to be shown, whatever it says that it is."""
        path, turn = _where(request)
        content = await files.raw(self._desk, actor_of(request), str(request.path_params["id"]), path, turn)
        name = quote(os.fsencode(path.rstrip("/").rpartition("/")[2]))
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{name}", "content-security-policy": "sandbox"}
        return Response(content, headers=headers, media_type="application/octet-stream")

    async def _diff(self, actor: Actor, seen: Seen, request: Request) -> tuple[Json, dict[str, Any]]:
        found = await self._events(actor, seen, KINDS)
        change = await changes.diff(self._desk, actor, seen.row.id, None, None)
        seen_to = evidence(found, working=seen.row.state in (SessionState.RUNNING, SessionState.WAITING))
        shown, cut = patch.files(change.patch)
        split = request.query_params.get("view") == "split"
        context = {"change": change, "files": shown, "cut": cut, "evidence": seen_to, "split": split}
        return views.change(change) | seen_to.told, context

    async def _timeline(self, actor: Actor, seen: Seen, _: Request) -> tuple[Json, dict[str, Any]]:
        bars = timeline.bars(await self._events(actor, seen, timeline.KINDS))
        told = [
            {name: getattr(bar, name) for name in ("seq", "lane", "label", "seconds", "turn")}
            | {"start": views.moment(bar.start)}
            for bar in bars
        ]
        return views.session(seen) | {"bars": told}, {"bars": bars, "lanes": timeline.LANES}

    async def _terminal(self, actor: Actor, seen: Seen, _: Request) -> tuple[Json, dict[str, Any]]:
        blocks = folded(await self._events(actor, seen, _TOOLS)).blocks
        shells = [block for block in blocks if isinstance(block, Tool) and block.tool == SHELL][-SHELLS:]
        told = [{"command": one.title, "status": one.status, "output": one.output} for one in shells]
        return {"shells": told}, {"shells": shells}

    async def _files(self, actor: Actor, seen: Seen, request: Request) -> tuple[Json, dict[str, Any]]:
        path, turn = _where(request)
        looked = await files.look(self._desk, actor, seen.row.id, path, turn)
        marked = await self._marked(actor, seen)
        return views.looked(looked) | {"changed": marked}, shown(looked, marked) | {"asked_turn": turn}

    async def _marked(self, actor: Actor, seen: Seen) -> dict[str, str]:
        """Paths that the session changed → how."""
        change = await changes.diff(self._desk, actor, seen.row.id, None, None)
        return {file.path: file.status for file in change.files}

    async def _details(self, actor: Actor, seen: Seen, _: Request) -> tuple[Json, dict[str, Any]]:
        lost = await self._events(actor, seen, {Kind.MEMORY_LOST})
        kept = await files.snapshots_of(self._desk, actor, seen.row.id)
        origin = await branching.origin_of(self._desk, actor, seen.row.id)
        told: Json = {
            "memory_lost": [views.event(event) for event in lost],
            "snapshots": [{"turn": one.turn, "commit": one.commit, "time": views.moment(one.time)} for one in kept],
            "branched": None if origin is None else {"session": origin.session, "turn": origin.turn},
        }
        return views.session(seen) | told, {"lost": lost, "snapshots": kept, "origin": origin}

    async def _events(self, actor: Actor, seen: Seen, kinds: Collection[Kind]) -> list[Event]:
        """Those of some kinds among a session's last ones."""
        first = max(0, seen.last_seq - sessions.MOST_EVENTS)
        return await sessions.window(self._desk, actor, seen, after=first, kinds=kinds)


def shown(looked: Looked, marked: dict[str, str]) -> dict[str, Any]:
    """What the files' template shows."""
    found = looked.found
    path = found.path if isinstance(found, Folder) else found.entry.path
    parts = path.split("/") if path else []
    crumbs = [(part, address("/".join(parts[: at + 1]))) for at, part in enumerate(parts)]
    context: dict[str, Any] = {
        "looked": looked,
        "crumbs": crumbs,
        "folder": None,
        "file": None,
        "address": address(path),
    }
    if isinstance(found, Folder):
        rows = [(one, address(one.path), _mark(one.path, marked)) for one in found.entries]
        return context | {"folder": found, "rows": rows}
    lines = [] if found.text is None else found.text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    cut = found.truncated or len(lines) > FILE_LINES
    return context | {"file": found, "lines": lines[:FILE_LINES], "cut": cut, "mark": _mark(path, marked)}


def _mark(path: str, marked: dict[str, str]) -> str:
    told = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # as a change names it
    if told in marked:
        return marked[told]
    return "changed inside" if any(one.startswith(f"{told}/") for one in marked) else ""


def address(path: str) -> str:
    """A path as a query has it: each byte, whether it is text or not."""
    return quote(os.fsencode(path), safe="/")


def _where(request: Request) -> tuple[str, int | None]:
    """The path and the turn that are asked for; a path may hold any bytes."""
    raw = request.scope["query_string"].decode("latin-1")
    given = parse_qs(raw, errors="surrogateescape", max_num_fields=20)
    turn = (given.get("turn") or [""])[0]
    if turn and not (turn.isascii() and turn.isdigit() and len(turn) < 10):
        raise InvalidInput("turn", turn, "give the number of a turn")
    return (given.get("path") or [""])[0], int(turn) if turn else None
