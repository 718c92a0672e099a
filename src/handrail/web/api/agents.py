"""Agents over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.commands import agents
from handrail.commands.agents import Known
from handrail.types import Json
from handrail.web.table import Call, Entry

if TYPE_CHECKING:
    from handrail.web.bodies import CheckAgentBody


async def listed(call: Call) -> Json:
    """List the catalogue."""
    return {"agents": [_known(known) for known in await agents.listed(call.desk, call.actor)]}


async def install(call: Call) -> Json:
    """Fetch one."""
    fetched = await agents.install(call.desk, call.actor, call.path("name"))
    return {"name": fetched.name, "version": fetched.version, "path": fetched.path, "seconds": fetched.seconds}


async def check(call: Call, body: CheckAgentBody) -> Json:
    """Try one."""
    report = await agents.check(call.desk, call.actor, call.path("name"), deep=body.deep)
    return {
        "name": report.name,
        "version": report.version,
        "ok": report.ok,
        "capabilities": [
            {"name": tried.name, "advertised": tried.advertised, "tried": tried.tried, "detail": tried.detail}
            for tried in report.capabilities
        ],
        "seconds": report.seconds,
    }


def _known(known: Known) -> Json:
    spec = known.spec
    pinned = spec.package.version if spec.package is not None else None
    return {
        "name": spec.name,
        "title": spec.title,
        "version": known.found.version if known.found is not None and known.found.version else pinned,
        "installed": known.installed,
        "path": None if known.found is None else str(known.found.prefix),
        "wire": spec.wire,
        "login": known.login,
        "licence": spec.licence,
        "note": "; ".join(spec.notes) or None,
    }


_TAG = "agents"
TABLE = (
    Entry("GET", "/agents", _TAG, "List the agents of the catalogue, with what was found here.", listed, "AgentList"),
    Entry(
        "POST", "/agents/{name}/install", _TAG, "Fetch an agent's pinned package; this may take minutes.",
        install, "Installed", problems=(404, 424, 502, 507),
    ),
    Entry(
        "POST", "/agents/{name}/check", _TAG, "Start an agent inside the walls, and try what it says it can do.",
        check, "AgentReport", body="CheckAgentBody", body_optional=True, problems=(404, 424, 502, 503),
    ),
)  # fmt: skip
