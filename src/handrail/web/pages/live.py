"""A page kept up to date: one stream of server-sent events with pieces of HTML, rendered from the same log as JSON.

Each frame carries the number of the last event in it, so that a browser that comes back goes on from there. A piece
says with `hx-target` where it belongs: https://htmx.org/docs. What was missed is rendered from the log; where that is
much, the window is sent anew.

Pages of lists are told that they should look again, and the moment of it; who comes back with the moment of now missed
nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from handrail.commands import sessions
from handrail.commands.actor import Actor
from handrail.commands.desk import Desk
from handrail.errors import InvalidInput
from handrail.kinds import Kind
from handrail.types import Event, SessionId
from handrail.web import stream
from handrail.web.pages import render
from handrail.web.pages.frame import frame
from handrail.web.pages.reading import PAGE_EVENTS, talk
from handrail.web.pages.transcript import Block, Transcript, folded
from handrail.web.table import actor_of

FRAME = 0.1
"""seconds between two frames of a page, at the least"""
LIST_FRAME = 1.0
"""the same for pages of lists, each of which is read anew then; what comes after a rest is told at once"""
RAIL_FRAME = 0.2
"""the same for the rail, which all pages of a person share"""
MOST_MISSED = 2000
"""events that are rendered again for who comes back; beyond, the window is sent anew"""
_STREAMED = frozenset({
    Kind.AGENT_TEXT, Kind.AGENT_THOUGHT, Kind.TOOL_STARTED, Kind.TOOL_UPDATED, Kind.TOOL_ENDED, Kind.PLAN_UPDATED,
    Kind.NETWORK_DECIDED, Kind.NOTICE, Kind.CHECK_STARTED,
})  # fmt: skip
"""kinds that change the transcript and nothing else of a page"""
_OWN = _STREAMED | {Kind.MODEL_CALLED, Kind.CONTEXT_UPDATED}
"""kinds that no page but the session's own shows"""
_SETTLED = frozenset({Kind.SNAPSHOT_TAKEN, Kind.TURN_ENDED, Kind.CHECK_ENDED, Kind.CHANGE_APPLIED})
"""kinds after which the tabs beside the transcript look again"""
_MOST_SEQ = (1 << 53) - 1


class Rails:
    """The rail of each person, rendered once for all of their pages that want it at a moment.

    Who asks gets one that was begun after they asked, so that what they saw happen is in it.

    Args:
        desk: the rooms.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._coming: dict[Actor, asyncio.Task[str]] = {}
        self._last = 0.0

    async def html(self, actor: Actor) -> str:
        """The rail as a piece of a page."""
        coming = self._coming.get(actor)
        if coming is None:
            coming = self._coming[actor] = asyncio.create_task(self._made(actor), name="rail")
        return await asyncio.shield(coming)  # a page that goes away must not take it from the others

    async def _made(self, actor: Actor) -> str:
        """Waits a little for more pages to ask; who asks after that gets the next one."""
        try:
            await asyncio.sleep(max(0.0, self._last + RAIL_FRAME - time.monotonic()))
        finally:
            self._coming.pop(actor, None)
        self._last = time.monotonic()
        context = await frame(self._desk, actor)
        return _part("#rail", "innerMorph", await asyncio.to_thread(render.page, "live_rail.html", **context))


async def session(desk: Desk, rails: Rails, csrf: str, request: Request) -> Response:
    """The stream of one session's page; `after` is the last event on it, `first` the one before its window."""
    actor = actor_of(request)
    seen = await sessions.show(desk, actor, str(request.path_params["id"]))
    first = min(_number("first", request.query_params.get("first", "")), seen.last_seq)
    after = _number("Last-Event-ID", request.headers.get("last-event-id", ""))
    after = min(after or _number("after", request.query_params.get("after", "")), seen.last_seq)
    page = Live(desk, rails, actor, csrf, seen.row.id, whole="side" not in request.query_params)
    opening = await page.begin(first, after, seen.last_seq)
    subscription = await sessions.watch(desk, actor, seen.row.id, after=page.reached, unless=_OWN)
    return stream.response(subscription, request.app.state.closing, encode=page.encode, first=opening)


async def lists(desk: Desk, rails: Rails, csrf: str, request: Request) -> Response:
    """The stream of a page of lists: the rail, and a word that the page should look again."""
    actor = actor_of(request)
    subscription = await sessions.watch(desk, actor, unless=_OWN)
    page = Live(desk, rails, actor, csrf, None)
    had = request.headers.get("last-event-id") or request.query_params.get("after", "")
    opening = page.hello()
    if had != sessions.moment(desk):  # something moved since the page was read, or was here the last time
        opening += _message(await rails.html(actor)) + page.moved()
    return stream.response(subscription, request.app.state.closing, encode=page.encode, first=opening)


class Live:
    """One page that is open in a browser.

    Args:
        desk: the rooms.
        rails: what stands beside every page.
        actor: who looks.
        csrf: signs the forms in its pieces.
        session: whose page; None for a page of lists.
        whole: it shows the transcript; else one tab alone, which looks again when it is told to.
    """

    def __init__(
        self, desk: Desk, rails: Rails, actor: Actor, csrf: str, session: SessionId | None, *, whole: bool = True
    ) -> None:
        self.reached = 0
        """the last event that the page has"""
        self._desk = desk
        self._rails = rails
        self._actor = actor
        self._csrf = csrf
        self._session = session
        self._whole = whole
        self._transcript = Transcript()
        self._shown: set[int] = set()
        self._last = 0.0

    def hello(self) -> bytes:
        """Names the process that answers, so that a page can tell that it is another one."""
        running = self._desk.running
        return f"event: hello\ndata: {running.pid}-{running.started.timestamp()}\n\n".encode()

    def moved(self) -> bytes:
        """That the page should look again; the number is of the last event, or of the moment, that it has then."""
        number = sessions.moment(self._desk) if self._session is None else self.reached
        return f"id: {number}\nevent: moved\ndata: .\n\n".encode()

    async def begin(self, first: int, after: int, last: int) -> bytes:
        """Take up the window of a page that has the events to `after`; what it missed comes first."""
        assert self._session is not None  # noqa: S101  # the page of lists begins otherwise
        if not self._whole:
            late = last - after > MOST_MISSED
            self.reached = last if late else after
            return self.hello() + _message(await self._rails.html(self._actor)) + (self.moved() if late else b"")
        anew = last - first > MOST_MISSED or last - after > PAGE_EVENTS
        if anew:
            first, after = max(0, last - PAGE_EVENTS), last
        found = await self._read(first, after)
        self._transcript = folded(found)
        self._shown = {block.seq for block in self._transcript.blocks}
        self.reached = after
        log = _part("#log", "innerHTML", render.blocks(self._transcript.blocks)) if anew else ""
        return (
            self.hello() + _message(log, after) + _message(await self._status() + await self._rails.html(self._actor))
        )

    async def encode(self, events: list[Event]) -> AsyncIterator[bytes]:
        """Events as frames, at most one every `FRAME` seconds: what comes meanwhile waits for the next."""
        wait = self._last + (FRAME if self._session is not None else LIST_FRAME) - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        self._last = time.monotonic()
        own = [event for event in events if event.session == self._session and event.seq > self.reached]
        kinds = {event.kind for event in own}
        settled = bool({event.kind for event in events} - _OWN)
        for event in own:
            if self._whole:
                self._transcript.take(event)
            self.reached = event.seq
        said = b""
        if own:  # a message of its own, since a page that shows an older window leaves it out
            said = _message(self._blocks(self._transcript.changes()) if self._whole else "", self.reached)
        if kinds - _STREAMED and self._whole:
            said += _message(await self._status())
        if said:
            yield said
        if settled:  # last, since it waits for other pages that want it
            yield _message(await self._rails.html(self._actor))
        if kinds & _SETTLED or (self._session is None and settled):
            yield self.moved()

    async def _status(self) -> str:
        """Everything about the session that is not its transcript."""
        assert self._session is not None  # noqa: S101  # only a session's page has one
        seen = await sessions.show(self._desk, self._actor, self._session)
        context: dict[str, Any] = await talk(self._desk, self._actor, seen)
        context |= {"csrf": self._csrf, "context": self._transcript.context}
        return await asyncio.to_thread(render.page, "live_session.html", **context)

    def _blocks(self, changed: Iterable[Block]) -> str:
        parts = []
        for block in changed:
            html = render.blocks([block])
            new = block.seq not in self._shown
            self._shown.add(block.seq)
            parts.append(_part("#log", "beforeend", html) if new else _part(f"#e{block.seq}", "outerMorph", html))
        return "".join(parts)

    async def _read(self, first: int, last: int) -> list[Event]:
        assert self._session is not None  # noqa: S101  # only a session's page has a log
        found: list[Event] = []
        while first < last:
            page, _ = await sessions.events(
                self._desk, self._actor, self._session, after=first, limit=min(sessions.MOST_EVENTS, last - first)
            )
            if not page:
                break
            found += page
            first = page[-1].seq
        return found


def _part(target: str, swap: str, html: str) -> str:
    return f'<hx-partial hx-target="{target}" hx-swap="{swap}">{html}</hx-partial>' if html else ""


def _message(html: str, seq: int | None = None) -> bytes:
    """A frame; each line of `html` is a line of data, and nothing but a line feed ends one."""
    if not html:
        return f"id: {seq}\n\n".encode() if seq is not None else b""
    said = "".join(f"data: {line}\n" for line in html.replace("\r", "").split("\n"))
    number = "" if seq is None else f"id: {seq}\n"
    return f"{number}{said}\n".encode("utf-8", "replace")


def _number(name: str, given: str) -> int:
    if not given:
        return 0
    if not (given.isascii() and given.isdigit() and int(given[:20]) <= _MOST_SEQ):
        raise InvalidInput(name, given, "give the number of an event")
    return int(given)
