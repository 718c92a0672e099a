"""The pages, and what their forms do. Each page is a document with an address; none of them needs a script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from handrail.commands import agents, approvals, budgets, changes, sessions
from handrail.commands.actor import Actor
from handrail.commands.desk import Desk
from handrail.commands.sessions import Seen, Wanted
from handrail.commands.values import GoalSpec
from handrail.errors import Conflict, HandrailError, InvalidInput
from handrail.kinds import Kind
from handrail.store.tables import ApprovalState
from handrail.types import ApprovalId, Event, SessionState
from handrail.web.guard import Keys
from handrail.web.pages import forms, render
from handrail.web.pages.forms import Form
from handrail.web.pages.transcript import blocks

PAGE_EVENTS = 300
"""events of one page of a transcript"""
REFRESH = 3
"""seconds between looks at a session that works"""
LIST = 100
_DIGITS = 20
_YEAR = "public, max-age=31536000, immutable"


def routes(desk: Desk, keys: Keys) -> list[Route]:
    """The routes of all pages."""
    pages = Pages(desk, keys)
    acts = Acts(desk)

    def get(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(path, endpoint, methods=["GET"])

    def post(path: str, act: forms.Act) -> Route:
        return Route(path, forms.posted(act, keys), methods=["POST"])

    return [
        get("/", pages.index),
        get("/inbox", pages.inbox),
        get("/spend", pages.spend),
        get("/sessions/{id}", pages.session),
        get("/sessions/{id}/diff", pages.diff),
        get("/approvals/{id}/always", pages.always),
        get("/static/handrail.css", _style),
        post("/sessions", acts.create),
        post("/sessions/{id}/prompts", acts.prompt),
        post("/sessions/{id}/withdraw", acts.withdraw),
        post("/sessions/{id}/cancel", acts.cancel),
        post("/sessions/{id}/take", acts.take),
        post("/sessions/{id}/end", acts.end),
        post("/sessions/{id}/handoff", acts.handoff),
        post("/sessions/{id}/undo", acts.undo),
        post("/sessions/{id}/apply", acts.apply),
        post("/approvals/{id}", acts.answer),
        post("/budgets", acts.set_budget),
        post("/budgets/remove", acts.remove_budget),
    ]


class Pages:
    """What a person reads.

    Args:
        desk: the rooms.
        keys: what signs the forms.
    """

    def __init__(self, desk: Desk, keys: Keys) -> None:
        self._desk = desk
        self._keys = keys

    async def index(self, request: Request) -> Response:
        """Sessions, and a form to start one."""
        actor = _actor(request)
        found = await sessions.newest(self._desk, actor, limit=LIST)
        shown = [_facts(seen) for seen in found]
        working = any(seen.row.state is SessionState.RUNNING for seen in found)
        return await self._page(
            request,
            "sessions.html",
            here="sessions",
            refresh=REFRESH * 5 if working else None,
            sessions=shown,
            agents=await agents.listed(self._desk, actor),
            repository=found[0].row.repository if found else "",
        )

    async def session(self, request: Request) -> Response:
        """One session: a window of its transcript, what waits, and the forms."""
        actor = _actor(request)
        seen = await sessions.show(self._desk, actor, _id(request))
        first, at_end = _window(request, seen.last_seq)
        found, _ = await sessions.events(self._desk, actor, seen.row.id, after=first, limit=PAGE_EVENTS)
        working = seen.row.state is SessionState.RUNNING
        return await self._page(
            request,
            "session.html",
            refresh=REFRESH if working and at_end else None,
            session=_facts(seen),
            blocks=blocks(found),
            older=first + 1 if first > 0 else None,
            newer=None if at_end else first + PAGE_EVENTS,
            approvals=seen.approvals,
            queue=await sessions.queue(self._desk, actor, seen.row.id),
        )

    async def diff(self, request: Request) -> Response:
        """What a session changed, with the checks that were run on it."""
        actor = _actor(request)
        seen = await sessions.show(self._desk, actor, _id(request))
        change = await changes.diff(self._desk, actor, seen.row.id, None, None)
        lines, cut = render.patch_lines(change.patch)
        first, _ = _window(request, seen.last_seq)
        found, _ = await sessions.events(self._desk, actor, seen.row.id, after=first, limit=PAGE_EVENTS)
        return await self._page(
            request,
            "diff.html",
            session=_facts(seen),
            change=change,
            patch=lines,
            cut=cut,
            checks=_last_checks(found),
        )

    async def inbox(self, request: Request) -> Response:
        """What waits for a person, over all sessions."""
        waiting = await approvals.waiting(self._desk, _actor(request))
        return await self._page(request, "inbox.html", here="inbox", refresh=REFRESH * 5, approvals=waiting)

    async def always(self, request: Request) -> Response:
        """What "always" would write for a question, and a button that confirms it."""
        row, found = await approvals.show(self._desk, _actor(request), ApprovalId(_id(request)))
        return await self._page(request, "always.html", here="inbox", asked=row, always=found)

    async def spend(self, request: Request) -> Response:
        """What was spent, and the budgets."""
        actor = _actor(request)
        return await self._page(
            request,
            "spend.html",
            here="spend",
            spend=await budgets.spend(self._desk, actor),
            budgets=await budgets.listed(self._desk, actor),
            prices=await budgets.prices(self._desk, actor),
        )

    async def _page(self, request: Request, template: str, *, refresh: int | None = None, **context: Any) -> Response:
        waiting = len(await approvals.waiting(self._desk, _actor(request)))
        context = {"here": "", "csrf": self._keys.form, "waiting": waiting, "refresh": refresh} | context
        return HTMLResponse(await asyncio.to_thread(render.page, template, **context))


class Acts:
    """What the forms do; each ends in the command that the API calls as well.

    Args:
        desk: the rooms.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def create(self, request: Request, form: Form) -> str:
        """Start a session: with checks or limits it is handed off."""
        prompt = form.get("prompt", "")
        goal = forms.goal({**form, "text": prompt})
        wanted = Wanted(
            repository=form.get("repository", "").strip(),
            agent=form.get("agent", "") or "handrail",
            model=form.get("model", "").strip() or None,
            login=form.get("login") == "yes",
            prompt=None if goal is not None else prompt,
            goal=goal,
        )
        seen = await sessions.create(self._desk, _actor(request), wanted)
        return f"/sessions/{seen.row.id}"

    async def prompt(self, request: Request, form: Form) -> None:
        """Send or queue a prompt."""
        await sessions.prompt(self._desk, _actor(request), _id(request), form.get("text", ""))

    async def withdraw(self, request: Request, form: Form) -> None:
        """Take back a queued prompt."""
        await sessions.withdraw(self._desk, _actor(request), _id(request), form.get("prompt", ""))

    async def cancel(self, request: Request, _: Form) -> None:
        """Cancel the turn under way."""
        await sessions.cancel(self._desk, _actor(request), _id(request))

    async def take(self, request: Request, _: Form) -> None:
        """Take control."""
        await sessions.take(self._desk, _actor(request), _id(request))

    async def end(self, request: Request, _: Form) -> None:
        """End the session."""
        await sessions.end(self._desk, _actor(request), _id(request))

    async def handoff(self, request: Request, form: Form) -> None:
        """Hand off."""
        goal = forms.goal(form) or GoalSpec(form.get("text", ""))
        await sessions.handoff(self._desk, _actor(request), _id(request), goal)

    async def undo(self, request: Request, _: Form) -> None:
        """Go back to before the last turn."""
        await changes.undo(self._desk, _actor(request), _id(request), None)

    async def apply(self, request: Request, form: Form) -> None:
        """Bring the change to the checkout."""
        mode, branch = form.get("mode", ""), form.get("branch", "").strip() or None
        await changes.apply(self._desk, _actor(request), _id(request), mode, branch)

    async def set_budget(self, request: Request, form: Form) -> None:
        """Set a budget."""
        tokens = form.get("tokens", "").strip()
        if tokens and not (tokens.isascii() and tokens.isdigit() and len(tokens) < _DIGITS):
            raise InvalidInput("tokens", tokens, "give a whole number")
        await budgets.put(
            self._desk,
            _actor(request),
            form.get("scope", "").strip(),
            period=form.get("period", "total"),
            money=form.get("money", "").strip() or None,
            tokens=int(tokens) if tokens else None,
        )

    async def remove_budget(self, request: Request, form: Form) -> None:
        """Remove a budget."""
        await budgets.remove(self._desk, _actor(request), form.get("scope", ""), form.get("period"))

    async def answer(self, request: Request, form: Form) -> None:
        """Answer an approval; `always` holds the rules that the person was shown, a line each."""
        actor, asked = _actor(request), ApprovalId(_id(request))
        confirmed = form.get("always")
        if confirmed is not None:
            row, found = await approvals.show(self._desk, actor, asked)
            if row.state is ApprovalState.OPEN and (found is None or "\n".join(found.rules) != confirmed):
                raise Conflict("the rule that would be written is another one by now: look at it again")
        await approvals.answer(
            self._desk,
            actor,
            asked,
            form.get("decision", ""),
            option=None,
            because=form.get("because", "").strip() or None,
            always=confirmed is not None,
        )


def refused(request: Request, error: HandrailError) -> Response:
    """An error as a page."""
    referred = request.headers.get("referer", "")
    path = referred.removeprefix(str(request.base_url).rstrip("/")) if referred else "/"
    text = render.page(
        "error.html",
        here="",
        waiting=0,
        refresh=None,
        title={403: "Not let in", 404: "Not found", 409: "Not now", 422: "That cannot be used"}.get(
            error.status, "That did not work"
        ),
        sentence=error.message,
        back=forms.back(path),
    )
    return HTMLResponse(text, status_code=error.status)


async def _style(_: Request) -> Response:
    return Response(render.style(), media_type="text/css", headers={"cache-control": _YEAR})


def _actor(request: Request) -> Actor:
    actor: Actor = request.scope["handrail.actor"]
    return actor


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _facts(seen: Seen) -> dict[str, Any]:
    """A session for a template: its row, and what stands beside it."""
    row = {item.name: getattr(seen.row, item.name) for item in fields(seen.row)}
    return row | {"queued": seen.queued, "repository_name": Path(seen.row.repository).name}


def _window(request: Request, last: int) -> tuple[int, bool]:
    """Which events a page shows: those after the number returned, and whether they reach the end of the log."""
    before, after = (request.query_params.get(name, "") for name in ("before", "after"))
    newest = max(0, last - PAGE_EVENTS)
    first = newest
    for name, given in (("before", before), ("after", after)):
        if given:
            if not (given.isascii() and given.isdigit() and len(given) < 16):
                raise InvalidInput(name, given, "give the number of an event")
            first = min(newest, max(0, int(given) - 1 - PAGE_EVENTS if name == "before" else int(given)))
    return first, first >= newest


def _last_checks(events: list[Event]) -> list[dict[str, Any]]:
    """The last result of each check, where no turn was begun after it: a later turn makes it say nothing."""
    results: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.kind == Kind.TURN_STARTED:
            results.clear()
        elif event.kind == Kind.CHECK_ENDED:
            command = str(event.data.get("command", ""))
            results[command] = {"command": command, "passed": event.data.get("passed") is True}
    return list(results.values())
