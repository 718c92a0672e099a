"""The pages of work that starts by itself: runs, workflows, events. Their JSON is what the API answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from handrail.automation import RunState, TriggerKind, Trust
from handrail.commands import effects, events, facets, polls, rehearsal, runs, workflows
from handrail.commands.actor import Actor, Permission
from handrail.commands.desk import Desk
from handrail.commands.workflows import Listed
from handrail.errors import Conflict, InvalidInput
from handrail.store.workflows import VersionRow
from handrail.types import Json
from handrail.web.api import effects as effects_api
from handrail.web.api import events as events_api
from handrail.web.api import promotion as promotion_api
from handrail.web.api import runs as runs_api
from handrail.web.api import workflows as workflows_api
from handrail.web.guard import Keys
from handrail.web.pages import matrix
from handrail.web.pages.forms import Form
from handrail.web.pages.frame import as_json, document
from handrail.web.table import Call, actor_of, reply
from handrail.workflows import gallery
from handrail.workflows.read import read

REFRESH = 5
LIST = 100
TICKS = 20
"""last runs that a workflow shows as ticks"""
_SHOWN = 12
"""words of one facet, the most frequent"""
_FACETS = {"by": "Member", "day": "Day (UTC)"}
"""how facets are called whose own names say less"""
_TRIGGERS = {TriggerKind.MANUAL: "by hand", TriggerKind.SCHEDULE: "by its schedule", TriggerKind.EVENT: "by an event"}


class Automation:
    """The pages.

    Args:
        desk: the rooms.
        keys: what signs the forms.
    """

    def __init__(self, desk: Desk, keys: Keys) -> None:
        self._desk = desk
        self._keys = keys

    async def runs(self, request: Request) -> Response:
        """Runs, with what they can be narrowed to."""
        call = self._call(request)
        if as_json(request):
            found = await facets.find(self._desk, call.actor, runs_api.asked_of(call), LIST)
            counted = {name: dict(words) for name, words in found.facets.items()}
            told: Json = {"facets": counted, "fits": found.fits, "failed": list(found.failed)}
            return reply({"runs": [runs_api.listing(item) for item in found.listed]} | told)
        return await self._runs(request, runs_api.asked_of(call))

    async def retry(self, request: Request, form: Form) -> Response:
        """Go on with what failed of the runs that a person saw, and tell what came of it."""
        asked = {name: form[name] for name in facets.NAMES if form.get(name)}
        only = form.get("only", "").split()
        done = await facets.retry(self._desk, actor_of(request), asked, only)
        return await self._runs(request, asked, done)

    async def _runs(self, request: Request, asked: dict[str, str], done: facets.Retried | None = None) -> Response:
        found = await facets.find(self._desk, actor_of(request), asked, LIST)
        return await self._page(
            request,
            "runs.html",
            here="runs",
            refresh=None if done else REFRESH,
            runs=[_run(item) for item in found.listed],
            found=found,
            asked=asked,
            url=_address(asked),
            facets=[_facet(name, found, asked) for name in facets.NAMES],
            retried=done,
            most=facets.MOST_TRIED,
        )

    async def run(self, request: Request) -> Response:
        """One run: what came of it, by likeness and by repository."""
        call = self._call(request)
        if as_json(request):
            return reply(await runs_api.show(call) | await runs_api.events(call))
        shown = await runs.show(self._desk, call.actor, call.path("id"))
        return await self._page(
            request,
            "run.html",
            here="runs",
            refresh=None if shown.row.state is RunState.ENDED else REFRESH,
            run=shown.row,
            unpriced=shown.unpriced,
            cause=cause(shown.row.trigger, shown.row.by),
            plan=shown.plan,
            tasks=[(task, matrix.cells(task)) for task in shown.tasks],
            groups=shown.groups,
            steps=[step.value for step in matrix.STEPS],
            open=sum(1 for task in shown.tasks for effect in task.effects if effect.state.value == "waiting"),
            failed=any(task.row.outcome in ("failed", "blocked", "lost", "needs_person") for task in shown.tasks),
            away=any(task.away is not None for task in shown.tasks),
            lines=await runs.events(self._desk, call.actor, shown.row.id, limit=runs.MOST_LINES),
        )

    async def effect(self, request: Request) -> Response:
        """One effect: what it says, and its receipt."""
        call = self._call(request)
        if as_json(request):
            return reply(await effects_api.show(call))
        row = await effects.show(self._desk, call.actor, call.path("id"))
        return await self._page(request, "effect.html", here="inbox", effect=row)

    async def workflows(self, request: Request) -> Response:
        """Workflows with what starts each, and the gallery."""
        call = self._call(request)
        found = await workflows.listed(self._desk, call.actor)
        there = {item.row.name for item in found}
        ready = [(name, _described(name)) for name in workflows.shelf(call.actor)]
        if as_json(request):
            told = [
                workflows_api.listing(item) | {"runs": _ticks(await self._last(call.actor, item.row.name))}
                for item in found
            ]
            gallery = [{"name": name, "description": said} for name, said in ready if name not in there]
            return reply({"workflows": told, "gallery": gallery})
        return await self._page(
            request,
            "workflows.html",
            here="workflows",
            refresh=REFRESH * 3,
            workflows=[(item, await self._last(call.actor, item.row.name)) for item in found],
            gallery=[(name, description) for name, description in ready if name not in there],
        )

    async def workflow(self, request: Request) -> Response:
        """One workflow: its file, what starts it next, how it did, and what can be done with it."""
        call = self._call(request)
        name = call.path("name")
        shown = await workflows_api.look(call)
        known = await workflows.versions(self._desk, call.actor, name)
        scored = known[0].scorecard is not None
        rehearsed = await rehearsal.show(self._desk, call.actor, name, None) if scored else None
        last = await self._last(call.actor, name)
        if as_json(request):
            told = workflows_api.shown(shown) | {"versions": workflows_api.versioned(known)}
            told |= {"sentence": dict(shown.listed.sentence), "runs": _ticks(last)}
            return reply(told | {"rehearsal": None if rehearsed is None else promotion_api.scored(rehearsed)})
        number = call.number("version", shown.listed.number, least=1, most=known[0].number)
        chosen, before = _chosen(known, number)
        return await self._page(
            request,
            "workflow.html",
            here="workflows",
            shown=shown,
            item=shown.listed,
            row=shown.listed.row,
            inputs=_inputs(shown.listed),
            versions=known,
            chosen=chosen,
            before=before,
            rehearsal=rehearsed,
            last=last,
            levels=[level.value for level in Trust],
            by_event=bool(shown.listed.workflow and shown.listed.workflow.on.forge),
        )

    async def events(self, request: Request) -> Response:
        """Events from outside, and what became of each."""
        call = self._call(request)
        if as_json(request):
            return reply(await events_api.listed(call) | await events_api.sources(call))
        found = await events.listed(self._desk, call.actor, source=call.text("source"), limit=LIST)
        sources = await events.sources(self._desk, call.actor)
        return await self._page(
            request,
            "events.html",
            here="workflows",
            refresh=REFRESH,
            events=found,
            source=call.text("source"),
            sources=sources,
            polls=await polls.listed(self._desk, call.actor),
        )

    async def event(self, request: Request) -> Response:
        """One event; with `workflow`, what would come of putting it to that one."""
        call = self._call(request)
        row = await events.show(self._desk, call.actor, call.path("event"))
        wanted, tried, refused = call.text("workflow"), None, None
        if wanted is not None:
            try:
                tried = await events.replay(self._desk, call.actor, row.id, wanted, dry_run=True)
            except (InvalidInput, Conflict) as error:  # part of what was asked: would it start, and why not
                refused = error.message
        if as_json(request):
            dry: Json = {"tried": None if tried is None else events_api.came(tried), "refused": refused}
            return reply(await events_api.show(call) | (dry if wanted is not None else {}))
        return await self._page(
            request,
            "event.html",
            here="workflows",
            event=row,
            names=[item.row.name for item in await workflows.listed(self._desk, call.actor)],
            wanted=wanted,
            tried=tried,
            refused=refused,
        )

    async def _last(self, actor: Actor, name: str) -> list[Json]:
        """The last runs of a workflow, the oldest first."""
        if Permission.RUNS_READ not in actor.permissions:
            return []
        found = await runs.listed(self._desk, actor, workflow=name, limit=TICKS)
        return [_run(item) for item in reversed(found)]

    def _call(self, request: Request) -> Call:
        return Call(self._desk, actor_of(request), request)

    async def _page(self, request: Request, template: str, *, refresh: int | None = None, **context: Any) -> Response:
        context |= {"refresh": refresh, "csrf": self._keys.form_of(actor_of(request))}
        return await document(self._desk, request, template, **context)


@cache
def _described(name: str) -> str | None:
    """What a workflow of the gallery is for; to read all of it for each page takes most of the page's time."""
    return read(gallery.text(name)).description


def cause(trigger: TriggerKind, by: str) -> str:
    """What started a run, in words."""
    if trigger is TriggerKind.MANUAL:
        return f"by hand, by {by}"
    return _TRIGGERS.get(trigger, f"as a rehearsal, by {by}")


def _run(item: runs.Listed) -> Json:
    row, summed = item.row, Counter[str]()
    for (state, outcome), number in item.counts.items():
        summed[(outcome or state).value] += number
    return {"row": row, "cause": cause(row.trigger, row.by), "tasks": dict(summed), "unpriced": item.unpriced}


def _address(asked: Mapping[str, str]) -> str:
    return f"/runs?{urlencode(asked)}" if asked else "/runs"


def _facet(name: str, found: facets.Found, asked: Mapping[str, str]) -> Json:
    """A facet for the page: its words with counts, each with the address that holds it, or lets it go."""
    held, words = asked.get(name), found.facets[name]
    others = {key: word for key, word in asked.items() if key != name}
    shown = [(word, number) for at, (word, number) in enumerate(words) if at < _SHOWN or word == held]
    options = [(word, number, _address(others | {name: word}), word == held) for word, number in shown]
    title = _FACETS.get(name, name.capitalize())
    return {"title": title, "held": held, "all": _address(others), "options": options, "more": len(words) - len(shown)}


def _ticks(last: list[Json]) -> list[Json]:
    """The last runs of a workflow, as a page shows them: the oldest first."""
    names = ("id", "number", "state", "outcome")
    return [{name: getattr(run["row"], name) for name in names} for run in last]


def _inputs(item: Listed) -> list[tuple[str, Any]]:
    return [] if item.workflow is None else list(item.workflow.on.manual.inputs.items())


def _chosen(known: list[VersionRow], number: int) -> tuple[VersionRow, VersionRow | None]:
    """A version by its number, and the one before it."""
    at = next(at for at, row in enumerate(known) if row.number <= number)
    return known[at], known[at + 1] if at + 1 < len(known) else None
