"""Promotion and rehearsal over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import asdict

from handrail.commands import promotion, rehearsal
from handrail.commands.rehearsal import Rehearsed, Wanted
from handrail.types import Json
from handrail.web.table import Call, Entry, Query

if TYPE_CHECKING:
    from handrail.web.bodies import PromoteBody, RehearseBody


async def promote(call: Call, body: PromoteBody) -> Json:
    """Draft a workflow."""
    return drafted(await promotion.draft(call.desk, call.actor, call.path("id"), name=body.name, keep=body.keep))


def drafted(made: promotion.Draft) -> Json:
    """A draft."""
    told = made.promoted
    return {
        "name": told.name,
        "text": told.text,
        "repository": made.repository,
        "acts": told.acts,
        "rules": [asdict(rule) for rule in told.rules],
        "asks": [asdict(ask) for ask in told.asks],
        "inputs": [asdict(one) for one in told.inputs],
        "checks": list(told.checks),
        "suggested": list(told.suggested),
        "kept": None if made.kept is None else made.kept.newest,
    }


async def rehearse(call: Call, body: RehearseBody) -> Json:
    """Begin a rehearsal."""
    wanted = Wanted(
        commits=body.commits,
        events=body.events,
        inputs=dict(body.inputs),
        repository=body.repository,
        version=body.version,
    )
    return scored(await rehearsal.start(call.desk, call.actor, call.path("name"), wanted))


async def show(call: Call) -> Json:
    """The scorecard."""
    return scored(await rehearsal.show(call.desk, call.actor, call.path("name"), call.text("version")))


def scored(of: Rehearsed) -> Json:
    """A scorecard."""
    card = of.rehearsal
    return {
        "workflow": of.workflow,
        "version": of.version.version,
        "number": of.version.number,
        "state": card.state,
        "how": card.how,
        "by": card.by,
        "begun": card.begun,
        "ended": card.ended,
        "runs": list(card.runs),
        "cases": len(card.cases),
        "good": card.good,
        "results": [{**asdict(one), "beyond": list(one.beyond), "effects": list(one.effects)} for one in card.results],
        "forecast": None if card.forecast is None else asdict(card.forecast),
    }


_TAG = "workflows"
TABLE = (
    Entry(
        "POST", "/sessions/{id}/promote", _TAG, "Draft a workflow from what a session did.",
        promote, "DraftShown", body="PromoteBody", body_optional=True, problems=(404, 409, 507),
    ),
    Entry(
        "POST", "/workflows/{name}/rehearse", _TAG,
        "Try a version of a workflow on past cases; effects are only recorded.",
        rehearse, "RehearsalShown", body="RehearseBody", status=201, problems=(404, 409, 502, 507),
    ),
    Entry(
        "GET", "/workflows/{name}/rehearsal", _TAG, "Show the scorecard of a version.", show, "RehearsalShown",
        query=(Query("version", "string", "which version (default: the newest)"),), problems=(404, 507),
    ),
)  # fmt: skip
