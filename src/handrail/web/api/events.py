"""Events from outside and their sources, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.commands import events, polls
from handrail.commands.events import Replayed, Source
from handrail.store.arrivals import ArrivalRow
from handrail.store.polls import PollRow
from handrail.triggers import Settings
from handrail.types import Json
from handrail.web import views
from handrail.web.table import Call, Entry, Query

if TYPE_CHECKING:
    from handrail.web.bodies import PollsBody, ReplayBody, SampleBody, SourceBody


async def listed(call: Call) -> Json:
    """List events."""
    limit = call.number("limit", 50, least=1, most=events.MOST)
    found = await events.listed(call.desk, call.actor, source=call.text("source"), limit=limit)
    return {"events": [_row(row) for row in found]}


async def show(call: Call) -> Json:
    """Show one event with its payload."""
    row = await events.show(call.desk, call.actor, call.path("event"))
    return _row(row) | {"payload": row.payload}


async def replay(call: Call, body: ReplayBody) -> Json:
    """Put an event to a workflow again."""
    return came(await events.replay(call.desk, call.actor, call.path("event"), body.workflow, dry_run=body.dry_run))


async def sample(call: Call, body: SampleBody) -> Json:
    """Ask what a workflow would make of an event that never came."""
    return came(
        await events.sample(
            call.desk, call.actor, body.workflow, payload=body.payload, event=body.event, source=body.source
        )
    )


def came(of: Replayed) -> Json:
    """What came of putting an event to a workflow."""
    return {
        "event": of.event,
        "workflow": of.workflow,
        "matched": of.verdict.matched,
        "why": of.verdict.why,
        "repositories": list(of.repositories),
        "goals": list(of.goals),
        "run": of.run,
    }


async def sources(call: Call) -> Json:
    """List sources."""
    found = await events.sources(call.desk, call.actor)
    polled = await polls.listed(call.desk, call.actor)
    return {"sources": [_source(item) for item in found], "polls": [_poll(row) for row in polled]}


async def put_source(call: Call, body: SourceBody) -> Json:
    """Set a source up."""
    settings = Settings(body.header, body.prefix, body.signed, body.account)
    made = await events.set_source(
        call.desk, call.actor, call.path("name"), kind=body.kind, secret=body.secret, settings=settings
    )
    return _source(made)


async def put_polls(call: Call, body: PollsBody) -> Json:
    """Say what of a forge is polled."""
    name = call.path("name")
    made = await polls.put(call.desk, call.actor, name, repositories=body.repositories, every=body.every)
    return {"polls": [_poll(row) for row in made]}


async def remove_source(call: Call) -> Json:
    """Forget a source."""
    await events.remove_source(call.desk, call.actor, call.path("name"))
    return {"removed": call.path("name")}


def _row(row: ArrivalRow) -> Json:
    return {
        "id": row.id,
        "source": row.source,
        "delivery": row.delivery,
        "meaning": row.meaning,
        "event": row.event,
        "action": row.action,
        "sender": row.sender,
        "repository": row.repository,
        "received": views.moment(row.received),
        "state": row.state,
        "reason": row.reason,
    }


def _poll(row: PollRow) -> Json:
    return {
        "source": row.source,
        "repository": row.repository,
        "every": row.every,
        "looked": None if row.looked is None else views.moment(row.looked),
        "due": views.moment(row.due),
        "failures": row.failures,
        "error": row.error,
    }


def _source(item: Source) -> Json:
    return {
        "name": item.name,
        "kind": item.kind,
        "path": item.path,
        "header": item.settings.header,
        "prefix": item.settings.prefix,
        "signed": item.settings.signed,
        "account": item.settings.account,
    }


_TAG = "events"
TABLE = (
    Entry(
        "GET", "/events", _TAG, "List events from outside, the newest first.", listed, "ArrivalList",
        query=(Query("source", "string", "only of this source"), Query("limit", "integer", "how many, 50 by default")),
    ),
    Entry("GET", "/events/{event}", _TAG, "Show one event with its payload.", show, "ArrivalWhole", problems=(404,)),
    Entry(
        "POST", "/events/{event}/replay", _TAG, "Put an event to a workflow again, or ask what would come of it.",
        replay, "Replayed", body="ReplayBody", problems=(404, 409),
    ),
    Entry(
        "POST", "/events/sample", _TAG, "Ask what a workflow would make of an event that never came.", sample,
        "Replayed", body="SampleBody", problems=(404,),
    ),
    Entry("GET", "/sources", _TAG, "List the sources that may send events, and what is polled.", sources, "SourceList"),
    Entry("PUT", "/sources/{name}", _TAG, "Set a source up.", put_source, "SourceShown", body="SourceBody"),
    Entry(
        "PUT", "/sources/{name}/polls", _TAG, "Say which repositories of a forge are polled.", put_polls, "PollList",
        body="PollsBody", problems=(404,),
    ),
    Entry("DELETE", "/sources/{name}", _TAG, "Forget a source.", remove_source, "Removed", problems=(404,)),
)  # fmt: skip
