"""Approvals: what waits for a person, and the answer."""

from __future__ import annotations

from handrail.commands import values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import Conflict, InvalidInput
from handrail.store import approvals as rows
from handrail.store.approvals import ApprovalRow
from handrail.store.tables import ApprovalState
from handrail.types import ApprovalId

DECISIONS = ("allow", "deny")
LONGEST_REASON = 4000


async def waiting(desk: Desk, actor: Actor, *, only_open: bool = True) -> list[ApprovalRow]:
    """What waits for an answer, the longest waiting first; or every approval, the newest first."""
    authorise(actor, Permission.SESSIONS_READ)
    return await rows.everywhere(desk.store, only_open=only_open)


async def answer(
    desk: Desk, actor: Actor, approval: ApprovalId, decision: str, *, option: str | None, because: str | None
) -> ApprovalRow:
    """Answer an approval; of several answers the first one wins.

    Args:
        desk: the rooms.
        actor: who answers.
        approval: which one.
        decision: allow or deny.
        option: the id of one of the agent's options, where a particular one is meant.
        because: a sentence for the agent.

    Raises:
        NotFound: there is none of that id.
        Conflict: somebody was faster; the message says who, and with what answer.
    """
    authorise(actor, Permission.APPROVALS_ANSWER)
    if decision not in DECISIONS:
        raise InvalidInput("decision", decision, f"choose one of {', '.join(DECISIONS)}")
    reason = values.text("because", because, LONGEST_REASON) if because is not None and because.strip() else None
    row = await rows.get(desk.store, approval)
    _refuse_answered(row)
    try:
        await desk.sessions.answer(approval, decision, option=option, because=reason, by=actor.name)
    except Conflict:
        _refuse_answered(await rows.get(desk.store, approval))
        raise
    return await rows.get(desk.store, approval)


def _refuse_answered(row: ApprovalRow) -> None:
    if row.state is ApprovalState.ANSWERED:
        raise Conflict(f"approval {row.id} was answered before, with {row.decision} by {row.by}")
    if row.state is ApprovalState.VOID:
        raise Conflict(f"approval {row.id} waits no more: its turn was cancelled")
