"""What ended badly and nobody has seen, over HTTP."""

from __future__ import annotations

from handrail.commands import unseen
from handrail.store.runs import RunRow
from handrail.store.sessions import SessionRow
from handrail.types import Json
from handrail.web.table import Call, Entry
from handrail.web.views import moment


async def listed(call: Call) -> Json:
    """List it."""
    found = await unseen.listed(call.desk, call.actor)
    return {"sessions": [_session(row) for row in found.sessions], "runs": [_run(row) for row in found.runs]}


async def see_session(call: Call) -> Json:
    """Take a session off the list."""
    return _session(await unseen.see_session(call.desk, call.actor, call.path("id")))


async def see_run(call: Call) -> Json:
    """Take a run off the list."""
    return _run(await unseen.see_run(call.desk, call.actor, call.path("id")))


def _session(row: SessionRow) -> Json:
    return {
        "id": row.id,
        "title": row.title,
        "agent": row.agent,
        "repository": row.repository,
        "outcome": row.outcome,
        "reason": row.outcome_reason,
        "updated": moment(row.updated),
        "seen": None if row.seen is None else moment(row.seen),
    }


def _run(row: RunRow) -> Json:
    return {
        "id": row.id,
        "number": row.number,
        "workflow": row.workflow,
        "state": row.state,
        "outcome": row.outcome,
        "reason": row.reason,
        "created": moment(row.created),
        "ended": None if row.ended is None else moment(row.ended),
        "seen": None if row.seen is None else moment(row.seen),
    }


_TAG = "inbox"
TABLE = (
    Entry(
        "GET", "/unseen", _TAG, "List what ended badly, or stopped itself, until somebody says that they know.",
        listed, "UnseenList",
    ),
    Entry(
        "POST", "/sessions/{id}/seen", _TAG, "Say that one knows how a session ended.",
        see_session, "UnseenSession", problems=(404, 409),
    ),
    Entry(
        "POST", "/runs/{id}/seen", _TAG, "Say that one knows how a run ended, or that it stopped itself.",
        see_run, "UnseenRun", problems=(404, 409),
    ),
)  # fmt: skip
