"""What a person reads: each page is a document with an address, and the same as JSON under `.json`."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import asdict, replace
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from handrail.commands import agents, approvals, budgets, providers, rules, runs, sessions, system, unseen
from handrail.commands.actor import Actor
from handrail.commands.agents import Known
from handrail.commands.desk import Desk
from handrail.commands.providers import Listed
from handrail.commands.sessions import Seen
from handrail.errors import InvalidInput
from handrail.store.approvals import ApprovalRow
from handrail.store.sessions import SessionRow
from handrail.types import ApprovalId, Json, RunId, SessionState, now
from handrail.web import views
from handrail.web.api import budgets as budgets_api
from handrail.web.api import effects as effects_api
from handrail.web.api import unseen as unseen_api
from handrail.web.guard import Keys
from handrail.web.pages import render
from handrail.web.pages.beside import TABS
from handrail.web.pages.frame import as_json, document, facts, undecided
from handrail.web.pages.transcript import folded
from handrail.web.table import Call, actor_of, reply

PAGE_EVENTS = 300
"""events of one page of a transcript"""
REFRESH = 3
"""seconds between looks at a session that works, where no script runs"""
LIST = 100

_GROUPS = (
    ("Needs you", SessionState.WAITING),
    ("Working", SessionState.RUNNING),
    ("Idle", SessionState.IDLE),
    ("Ended", SessionState.ENDED),
)


class Pages:
    """The pages.

    Args:
        desk: the rooms.
        keys: what signs the forms.
    """

    def __init__(self, desk: Desk, keys: Keys) -> None:
        self._desk = desk
        self._keys = keys

    async def index(self, request: Request) -> Response:
        """Sessions by what they need, and a form to start one."""
        actor = actor_of(request)
        found = await sessions.newest(self._desk, actor, limit=LIST)
        last = next((seen.row for seen in found if seen.row.by == actor.name and seen.row.key is None), None)
        wanted = request.query_params.get("q", "").strip()[:200]
        if wanted:
            found = [seen for seen in found if _fits(seen, wanted.lower().split())]
        if as_json(request):
            return reply({"sessions": [views.session(seen) for seen in found]})
        shown = [facts(seen) for seen in found]
        groups = [(title, [one for one in shown if one["state"] is state]) for title, state in _GROUPS]
        owner = actor.only is None
        started = await system.status(self._desk, actor) if owner and not found and not wanted else None
        known = await agents.listed(self._desk, actor)
        given = await providers.listed(self._desk, actor) if owner else []
        logged_in = [agent for agent in known if agent.login]
        return await self._page(
            request,
            "sessions.html",
            here="sessions",
            refresh=REFRESH * 5,
            sessions=shown,
            groups=[(title, rows) for title, rows in groups if rows],
            wanted=wanted,
            agents=known,
            providers=given,
            logged_in=logged_in,
            choice=_choice(last, known, _chosen(given, logged_in) if owner else "handrail"),
            walls=self._desk.config.sandbox,
            scripted=owner and not given and not logged_in,
            status=started,
            repository=last.repository if last is not None else found[0].row.repository if found else "",
        )

    async def session(self, request: Request) -> Response:
        """One session: a window of its transcript, what waits, and the forms."""
        actor = actor_of(request)
        seen = await sessions.show(self._desk, actor, _id(request))
        first, at_end = _window(request, seen.last_seq)
        found = await sessions.window(self._desk, actor, seen, after=first, limit=PAGE_EVENTS)
        if as_json(request):
            queue = await sessions.queue(self._desk, actor, seen)
            told: Json = {
                "events": [views.event(event) for event in found],
                "queue": [{"id": one.id, "text": one.text, "by": one.by} for one in queue],
                "run": await self._run_of(seen),
            }
            return reply(views.session(seen) | told)
        transcript = folded(found)
        return await self._page(
            request,
            "session.html",
            here="sessions",
            refresh=REFRESH if seen.row.state is SessionState.RUNNING and at_end else None,
            **await talk(self._desk, actor, seen),
            blocks=transcript.blocks,
            context=transcript.context,
            first=first,
            last=found[-1].seq if found else first,
            older=first + 1 if first > 0 else None,
            newer=None if at_end else first + PAGE_EVENTS,
            run=await self._run_of(seen),
            tabs=TABS,
        )

    async def _run_of(self, seen: Seen) -> RunId | None:
        task = await runs.of_session(self._desk, seen.row.id)
        return None if task is None else task.run

    async def older(self, request: Request) -> Response:
        """A window before an event, as a piece for a page that is scrolled up."""
        actor = actor_of(request)
        seen = await sessions.show(self._desk, actor, _id(request))
        before = max(2, _number(request, "before") or 0)
        first = max(0, before - 1 - PAGE_EVENTS)
        found = await sessions.window(self._desk, actor, seen, after=first, limit=before - 1 - first)
        blocks = folded(found).blocks
        text = await asyncio.to_thread(
            render.page, "older.html", blocks=blocks, older=first + 1 if first > 0 else None, session=facts(seen)
        )
        return HTMLResponse(text)

    async def inbox(self, request: Request) -> Response:
        """What waits for a person, over all sessions and runs."""
        actor = actor_of(request)
        waiting = await approvals.waiting(self._desk, actor)
        proposed = await undecided(self._desk, actor)
        if as_json(request):
            effects = [effects_api.shown(row) for row in proposed]
            ended = await unseen_api.listed(Call(self._desk, actor, request))
            asked = [views.whole_approval(row, await approvals.always(self._desk, actor, row)) for row in waiting]
            return reply({"approvals": asked, "effects": effects, "ended": ended})
        running = await sessions.newest(self._desk, actor, SessionState.RUNNING)
        asked = await _asked(self._desk, actor, waiting)
        asking = await sessions.those(self._desk, actor, {row.session for row in waiting})
        return await self._page(
            request,
            "inbox.html",
            here="inbox",
            refresh=REFRESH * 5,
            asked=asked,
            sessions={name: facts(seen) for name, seen in asking.items()},
            effects=proposed,
            ended=await unseen.listed(self._desk, actor),
            working=len(running),
        )

    async def always(self, request: Request) -> Response:
        """What "always" would write for a question, and a button that confirms it."""
        row, found = await approvals.show(self._desk, actor_of(request), ApprovalId(_id(request)))
        if as_json(request):
            return reply(views.whole_approval(row, found))
        return await self._page(request, "always.html", here="inbox", asked=row, always=found)

    async def rules(self, request: Request) -> Response:
        """The rules that stand."""
        found = await rules.listed(self._desk, actor_of(request))
        if as_json(request):
            return reply({"rules": [asdict(one) for one in found]})
        return await self._page(request, "rules.html", here="inbox", rules=found)

    async def spend(self, request: Request) -> Response:
        """What was spent, and the budgets."""
        actor = actor_of(request)
        spent = await budgets.spend(self._desk, actor)
        if request.url.path.endswith(".csv"):
            name = {"content-disposition": 'attachment; filename="handrail-spend.csv"'}
            return Response(views.spend_table(spent), media_type="text/csv", headers=name)
        if as_json(request):
            call = Call(self._desk, actor, request)
            told = views.spend(spent) | await budgets_api.listed(call)
            return reply(told | (await budgets_api.prices(call) if actor.only is None else {}))
        found = await sessions.newest(self._desk, actor, limit=sessions.MOST_SESSIONS)
        return await self._page(
            request,
            "spend.html",
            here="spend",
            spend=spent,
            forecast=budgets.forecast(spent, now().date()),
            sessions={seen.row.id: facts(seen) for seen in found},
            budgets=await budgets.listed(self._desk, actor),
            prices=await budgets.prices(self._desk, actor) if actor.only is None else [],
        )

    async def _page(self, request: Request, template: str, *, refresh: int | None = None, **context: Any) -> Response:
        context = {"refresh": refresh, "csrf": self._keys.form_of(actor_of(request))} | context
        return await document(self._desk, request, template, **context)


async def talk(desk: Desk, actor: Actor, seen: Seen) -> dict[str, Any]:
    """What the live parts of a session's page show beside its transcript."""
    return {
        "session": facts(seen),
        "owner": actor.only is None,
        "asked": await _asked(desk, actor, seen.approvals),
        "queue": await sessions.queue(desk, actor, seen),
    }


async def _asked(desk: Desk, actor: Actor, rows: tuple[ApprovalRow, ...] | list[ApprovalRow]) -> list[Any]:
    """Each approval with what "always" would write."""
    return [(inside(desk, row), await approvals.always(desk, actor, row)) for row in rows]


def inside(desk: Desk, row: ApprovalRow) -> ApprovalRow:
    """A question whose files of the session's own clone are named as the clone has them."""
    top = f"{desk.config.data}/sessions/{row.session}/workspace/"

    def named(path: str) -> str:
        return path.removeprefix(top).partition("/")[2] if path.startswith(top) and "/../" not in path else path

    return replace(row, diffs=[item | {"path": named(str(item.get("path")))} for item in row.diffs or []])


def _chosen(given: list[Listed], logged_in: list[Known]) -> str:
    """The agent that the composer begins with: Handrail's own, unless a login is all that there is to work with."""
    ready = [agent.name for agent in logged_in if agent.installed]
    return "handrail" if given or not ready else ready[0]


def _choice(last: SessionRow | None, known: list[Known], agent: str) -> Json:
    """What the composer begins with: as the person's last session was, but never without walls."""
    if last is None or not any(one.name == last.agent and one.installed for one in known):
        return {"agent": agent, "login": agent != "handrail", "permissions": last.permissions if last else None}
    return {"agent": last.agent, "login": last.login, "permissions": last.permissions}


def _fits(seen: Seen, words: list[str]) -> bool:
    """Whether a session is meant: `agent:`, `repo:` and `state:` look there, other words at the title."""
    row = seen.row
    places = {"agent": row.agent, "repo": row.repository, "state": row.state}
    for word in words:
        name, colon, value = word.partition(":")
        where = places[name] if colon and name in places else row.title
        if (value if colon and name in places else word) not in where.lower():
            return False
    return True


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _number(request: Request, name: str) -> int | None:
    given = request.query_params.get(name, "")
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        raise InvalidInput(name, given, "give the number of an event")
    return int(given)


def _window(request: Request, last: int) -> tuple[int, bool]:
    """Which events a page shows: those after the number returned, and whether they reach the end of the log."""
    newest = max(0, last - PAGE_EVENTS)
    before, after = _number(request, "before"), _number(request, "after")
    first = newest
    if before is not None:
        first = min(newest, max(0, before - 1 - PAGE_EVENTS))
    if after is not None:
        first = min(newest, after)
    return first, first >= newest
