"""Channels that tell people, over HTTP."""

from __future__ import annotations

from handrail.commands import notify
from handrail.store.outbox import OutboxRow
from handrail.types import Json
from handrail.web import views
from handrail.web.table import Call, Entry, Query


async def listed(call: Call) -> Json:
    """List channels and the last messages."""
    told = await notify.listed(call.desk, call.actor, limit=call.number("limit", 20, least=1, most=500))
    return {
        "file": str(told.file),
        "channels": [{"name": item.name, "kind": item.kind, "events": list(item.events)} for item in told.channels],
        "deliveries": [_delivery(row) for row in told.deliveries],
    }


async def try_out(call: Call) -> Json:
    """Try one channel."""
    tried = await notify.try_out(call.desk, call.actor, call.path("name"))
    return {
        "channel": tried.channel,
        "ok": tried.failure is None,
        "detail": "" if tried.failure is None else tried.failure.reason,
        "seconds": round(tried.seconds, 3),
    }


def _delivery(row: OutboxRow) -> Json:
    return {
        "id": row.id,
        "channel": row.channel,
        "event": row.notice["occasion"],
        "session": row.notice["session"],
        "title": row.notice["title"],
        "state": row.state,
        "tries": row.tries,
        "created": views.moment(row.created),
        "due": None if row.due is None else views.moment(row.due),
        "ended": None if row.ended is None else views.moment(row.ended),
        "error": row.error,
    }


_TAG = "notify"
TABLE = (
    Entry(
        "GET", "/notify", _TAG, "List the channels and the last messages.", listed, "NotifyShown",
        query=(Query("limit", "integer", "how many messages, 20 by default"),), problems=(424,),
    ),
    Entry(
        "POST", "/notify/{name}/test", _TAG, "Send a message over one channel at once, and say whether it was taken.",
        try_out, "NotifyTried", problems=(404, 424),
    ),
)  # fmt: skip
