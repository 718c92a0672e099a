"""The server itself over HTTP."""

from __future__ import annotations

from handrail.commands import system
from handrail.types import Json
from handrail.web import views
from handrail.web.table import Call, Entry


async def status(call: Call) -> Json:
    """How it is."""
    return views.status(await system.status(call.desk, call.actor))


async def doctor(call: Call) -> Json:
    """What is missing."""
    return {"checks": [views.finding(item) for item in await system.doctor(call.desk, call.actor)]}


async def shutdown(call: Call) -> Json:
    """End it."""
    system.shutdown(call.desk, call.actor)
    return {"stopping": True}


_TAG = "system"
TABLE = (
    Entry("GET", "/status", _TAG, "Show how the server is.", status, "Status"),
    Entry("GET", "/doctor", _TAG, "Look at all that a session needs; say how to mend it.", doctor, "Doctor"),
    Entry(
        "POST", "/shutdown", _TAG, "End the server in order; handed-off sessions go on at its next start.",
        shutdown, "Stopping", status=202,
    ),
)  # fmt: skip
