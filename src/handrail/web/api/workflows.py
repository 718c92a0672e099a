"""Workflows over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from handrail.commands import workflows
from handrail.commands.workflows import File, Listed, Shown, Synced
from handrail.store.ticks import TickRow
from handrail.store.workflows import VersionRow
from handrail.types import Json
from handrail.web.table import Call, Entry, Query
from handrail.workflows import gallery
from handrail.workflows.read import read

if TYPE_CHECKING:
    from handrail.web.bodies import EnableBody, StartBody, SyncBody, TrustBody, WorkflowBody


async def listed(call: Call) -> Json:
    """List them."""
    return {"workflows": [listing(item) for item in await workflows.listed(call.desk, call.actor)]}


async def show(call: Call) -> Json:
    """One of them."""
    return shown(await look(call))


async def look(call: Call) -> Shown:
    """One of them, with as many due times as `next` asks for."""
    count = call.number("next", 5, least=1, most=workflows.MOST_NEXT)
    return await workflows.show(call.desk, call.actor, call.path("name"), count)


async def versions(call: Call) -> Json:
    """Versions of one."""
    return {"versions": versioned(await workflows.versions(call.desk, call.actor, call.path("name")))}


def versioned(found: list[VersionRow]) -> list[Json]:
    """How versions are written."""
    return [_version(item) for item in found]


async def add(call: Call, body: WorkflowBody) -> Json:
    """Keep one."""
    return listing(await workflows.add(call.desk, call.actor, body.text, origin=body.origin))


async def sync(call: Call, body: SyncBody) -> Json:
    """Keep all of a repository."""
    files = [File(file.name, file.text) for file in body.files]
    told = await workflows.sync(call.desk, call.actor, body.origin, files)
    return {"files": [_synced(item) for item in told]}


async def enable(call: Call, body: EnableBody) -> Json:
    """Switch one on."""
    name = call.path("name")
    return listing(await workflows.enable(call.desk, call.actor, name, version=body.version, unproven=body.unproven))


async def start(call: Call, body: StartBody) -> Json:
    """Start one now."""
    name = call.path("name")
    begun = await workflows.start(call.desk, call.actor, name, inputs=dict(body.inputs), repositories=body.repositories)
    return {"run": begun.run, "tasks": begun.tasks}


async def disable(call: Call) -> Json:
    """Switch one off."""
    return listing(await workflows.disable(call.desk, call.actor, call.path("name")))


async def trust(call: Call, body: TrustBody) -> Json:
    """How far it may go unwatched."""
    return listing(await workflows.entrust(call.desk, call.actor, call.path("name"), body.level))


async def remove(call: Call) -> Json:
    """Forget one."""
    await workflows.remove(call.desk, call.actor, call.path("name"))
    return {"name": call.path("name"), "removed": True}


async def shelf(call: Call) -> Json:
    """The gallery."""
    return {"workflows": [_ready(item) for item in workflows.shelf(call.actor)]}


async def take(call: Call) -> Json:
    """Keep one of the gallery."""
    return listing(await workflows.from_gallery(call.desk, call.actor, call.path("name")))


def listing(item: Listed) -> Json:
    """A workflow in a list."""
    row, last = item.row, item.last
    return {
        "name": row.name,
        "description": None if item.workflow is None else item.workflow.description,
        "enabled": row.enabled,
        "trust": row.trust,
        "accepted": row.accepted,
        "rises": item.rises,
        "fell": row.fell,
        "starts": item.starts,
        "source": row.source,
        "origin": row.origin,
        "version": row.version,
        "number": item.number,
        "newest": item.newest,
        "rehearsed": _time(item.rehearsed),
        "next": _time(item.next),
        "problem": item.problem,
        "last": None
        if last is None
        else {"number": last.number, "state": last.state, "outcome": last.outcome, "created": _time(last.created)},
    }


def shown(item: Shown) -> Json:
    """How one is written."""
    return listing(item.listed) | {
        "text": item.text,
        "notes": list(item.notes),
        "upcoming": [_time(due) for due in item.upcoming],
        "ticks": [_tick(tick) for tick in item.ticks],
    }


def _tick(tick: TickRow) -> Json:
    return {
        "due": _time(tick.due),
        "since": _time(tick.since),
        "count": tick.count,
        "state": tick.state,
        "reason": tick.reason,
        "run": tick.run,
        "decided": _time(tick.time),
    }


def _version(row: VersionRow) -> Json:
    return {
        "version": row.version,
        "number": row.number,
        "by": row.by,
        "created": _time(row.created),
        "rehearsed": _time(row.rehearsed),
        "text": row.text,
    }


def _synced(item: Synced) -> Json:
    return {"file": item.file, "workflow": item.workflow, "result": item.result, "problem": item.problem}


def _ready(name: str) -> Json:
    return {"name": name, "description": read(gallery.text(name)).description}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


_TAG = "workflows"
_NEXT = Query("next", "integer", "how many due times to tell, at most 100")
TABLE = (
    Entry("GET", "/workflows", _TAG, "List workflows, with what starts them.", listed, "WorkflowList"),
    Entry(
        "POST", "/workflows", _TAG, "Keep a workflow file, switched off, or a new version of one.",
        add, "WorkflowShown", body="WorkflowBody", status=201, problems=(409, 507),
    ),
    Entry(
        "POST", "/workflows/sync", _TAG, "Keep all workflow files of a repository.",
        sync, "SyncShown", body="SyncBody", problems=(409, 507),
    ),
    Entry(
        "GET", "/workflows/{name}", _TAG, "Show a workflow, its file, its next and its last ticks.",
        show, "WorkflowWhole", query=(_NEXT,), problems=(404,),
    ),
    Entry(
        "GET", "/workflows/{name}/versions", _TAG, "List the versions of a workflow.",
        versions, "VersionList", problems=(404,),
    ),
    Entry(
        "POST", "/workflows/{name}/enable", _TAG, "Let a workflow start by itself, from now on.",
        enable, "WorkflowShown", body="EnableBody", body_optional=True, problems=(404, 409),
    ),
    Entry(
        "POST", "/workflows/{name}/start", _TAG, "Start a workflow now, enabled or not.",
        start, "RunBegun", body="StartBody", body_optional=True, status=201, problems=(404, 409, 502, 507),
    ),
    Entry(
        "POST", "/workflows/{name}/trust", _TAG, "Say how far a workflow may act unwatched.",
        trust, "WorkflowShown", body="TrustBody", problems=(404, 409),
    ),
    Entry(
        "POST", "/workflows/{name}/disable", _TAG, "Let a workflow start by itself no more.",
        disable, "WorkflowShown", problems=(404,),
    ),
    Entry(
        "DELETE", "/workflows/{name}", _TAG, "Forget a workflow; its runs and versions stay.",
        remove, "Removed", problems=(404, 409),
    ),
    Entry("GET", "/gallery", _TAG, "List ready workflows.", shelf, "GalleryList"),
    Entry(
        "POST", "/gallery/{name}", _TAG, "Keep a ready workflow, switched off.",
        take, "WorkflowShown", status=201, problems=(404, 409, 507),
    ),
)  # fmt: skip
