"""Effects over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.commands import effects
from handrail.store.effects import EffectRow
from handrail.types import Json
from handrail.web.table import Call, Entry, Query

if TYPE_CHECKING:
    from handrail.web.bodies import EffectAnswerBody


async def listed(call: Call) -> Json:
    """List effects."""
    found = await effects.listed(call.desk, call.actor, session=call.text("session"), run=call.text("run"))
    return {"effects": [shown(row) for row in found]}


async def show(call: Call) -> Json:
    """Show one."""
    return shown(await effects.show(call.desk, call.actor, call.path("id")))


async def answer(call: Call, body: EffectAnswerBody) -> Json:
    """Decide one."""
    return shown(await effects.decide(call.desk, call.actor, call.path("id"), body.decision, body.because))


def shown(row: EffectRow) -> Json:
    """An effect as JSON."""
    at = {"created": row.created, "decided": row.decided, "carried": row.carried, "due": row.due}
    times = {name: None if moment is None else moment.isoformat() for name, moment in at.items()}
    return {
        "id": row.id,
        "kind": row.kind,
        "target": row.target,
        "forge": row.forge,
        "state": row.state,
        "by": row.by,
        "session": row.session,
        "run": row.run,
        "task": row.task,
        "workflow": row.workflow,
        "body": row.body,
        "reason": row.reason,
        "cause": row.cause,
        "decided_by": row.decided_by,
        "because": row.because,
        "receipt": row.receipt,
        "tries": row.tries,
        **times,
    }


_TAG = "effects"
TABLE = (
    Entry(
        "GET", "/effects", _TAG, "List effects: those that wait for a person, or all of a session or run.",
        listed, "EffectList", problems=(404,),
        query=(Query("session", "string", "all of this session"), Query("run", "string", "all of this run")),
    ),
    Entry(
        "GET", "/effects/{id}", _TAG, "Show an effect, with what it says and its receipt.", show, "EffectShown",
        problems=(404,),
    ),
    Entry(
        "POST", "/effects/{id}", _TAG, "Approve or reject an effect; of several answers the first one wins.",
        answer, "EffectShown", body="EffectAnswerBody", problems=(404, 409, 507),
    ),
)  # fmt: skip
