"""Approvals over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.commands import approvals
from handrail.types import ApprovalId, Json
from handrail.web import views
from handrail.web.table import Call, Entry, Query

if TYPE_CHECKING:
    from handrail.web.bodies import AnswerBody


async def waiting(call: Call) -> Json:
    """List approvals."""
    only_open = call.flag("open")
    found = await approvals.waiting(call.desk, call.actor, only_open=only_open is not False)
    return {"approvals": [views.approval(row) for row in found]}


async def show(call: Call) -> Json:
    """One approval."""
    row, always = await approvals.show(call.desk, call.actor, ApprovalId(call.path("id")))
    return views.whole_approval(row, always)


async def answer(call: Call, body: AnswerBody) -> Json:
    """Answer one."""
    row = await approvals.answer(
        call.desk,
        call.actor,
        ApprovalId(call.path("id")),
        body.decision,
        option=body.option,
        because=body.because,
        lasts=body.lasts,
    )
    return views.approval(row)


_TAG = "approvals"
TABLE = (
    Entry(
        "GET", "/approvals", _TAG, "List what waits for an answer.", waiting, "ApprovalList",
        query=(Query("open", "boolean", "false lists the answered ones as well"),),
    ),
    Entry(
        "GET", "/approvals/{id}", _TAG, "Show one approval, and what an answer that lasts would allow.",
        show, "ApprovalWhole", problems=(404,),
    ),
    Entry(
        "POST", "/approvals/{id}", _TAG, "Answer an approval; of several answers the first one wins.",
        answer, "Approval", body="AnswerBody", problems=(404, 409),
    ),
)  # fmt: skip
