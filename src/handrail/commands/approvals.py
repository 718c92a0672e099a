"""Approvals: what waits for a person, and the answer."""

from __future__ import annotations

from msgspec import Struct

from handrail.commands import values
from handrail.commands.actor import OWNERS, Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import Conflict, Forbidden, InvalidInput
from handrail.notify.links import Link
from handrail.sessions.rules import shown
from handrail.store import approvals as rows
from handrail.store.approvals import ApprovalRow
from handrail.store.outbox import spend
from handrail.store.tables import ApprovalState
from handrail.types import ApprovalId, Lasts, now

DECISIONS = ("allow", "deny")
LONGEST_REASON = 4000


async def waiting(desk: Desk, actor: Actor, *, only_open: bool = True) -> list[ApprovalRow]:
    """What waits for an answer, the longest waiting first; or every approval, the newest first."""
    authorise(actor, Permission.SESSIONS_READ)
    return await rows.everywhere(desk.store, only_open=only_open, by=actor.only)


class Always(Struct, frozen=True):
    """The rules of an answer that lasts, and what they would have allowed of what was asked before in the session."""

    rules: tuple[str, ...]
    would_have_matched: int
    of: int
    stands: bool = False
    """they can be written for the repository too, beyond this session"""


async def show(desk: Desk, actor: Actor, approval: ApprovalId) -> tuple[ApprovalRow, Always | None]:
    """One approval, and what "always" would mean; None where no narrow rule can be given.

    Raises:
        NotFound: there is none of that id.
    """
    authorise(actor, Permission.SESSIONS_READ)
    row = await rows.get(desk.store, approval)
    return row, await always(desk, actor, row)


async def always(desk: Desk, actor: Actor, row: ApprovalRow) -> Always | None:
    """What "always" would mean for an approval that was read; None where no narrow rule can be given."""
    authorise(actor, Permission.SESSIONS_READ)
    if row.state is not ApprovalState.OPEN:
        return None
    found = await desk.sessions.always(row)
    if found is None:
        return None
    return Always(tuple(shown(found)), found.matched, found.of, found.stands and actor.only is None)


async def answer(
    desk: Desk,
    actor: Actor,
    approval: ApprovalId,
    decision: str,
    *,
    option: str | None,
    because: str | None,
    lasts: str = Lasts.ONCE,
) -> ApprovalRow:
    """Answer an approval; of several answers the first one wins.

    Args:
        desk: the rooms.
        actor: who answers.
        approval: which one.
        decision: allow or deny.
        option: the id of one of the agent's options, where a particular one is meant.
        because: a sentence for the agent.
        lasts: once; session: what is like it is allowed from now on in this session as well; always: and in every later
            session of its repository.

    Raises:
        NotFound: there is none of that id.
        Conflict: somebody was faster; the message says who, and with what answer.
    """
    authorise(actor, Permission.APPROVALS_ANSWER)
    if decision not in DECISIONS:
        raise InvalidInput("decision", decision, f"choose one of {', '.join(DECISIONS)}")
    how = values.choice("lasts", lasts, Lasts)
    if how is not Lasts.ONCE and decision != "allow":
        raise InvalidInput("lasts", how, "it goes with allow; what is to be refused stands in a policy")
    if how is Lasts.ALWAYS and actor.only is not None:  # it answers for everybody's sessions of the repository
        raise Forbidden(f"{actor.name} may not answer for every session of a repository: {OWNERS}.")
    reason = values.text("because", because, LONGEST_REASON) if because is not None and because.strip() else None
    row = await rows.get(desk.store, approval)
    _refuse_answered(row)
    try:
        await desk.sessions.answer(approval, decision, option=option, because=reason, by=actor.name, lasts=how)
    except Conflict:
        _refuse_answered(await rows.get(desk.store, approval))
        raise
    return await rows.get(desk.store, approval)


async def linked(desk: Desk, token: str) -> tuple[Link, ApprovalRow]:
    """What a link of a message would answer, without answering it.

    Raises:
        Forbidden: the link is not one of this server, or too old.
        NotFound: its approval is gone.
        Conflict: it was answered before; the message says who, and with what answer.
    """
    link = desk.post.links.read(token, desk.post.clock())
    row = await rows.get(desk.store, link.approval)
    _refuse_answered(row)
    return link, row


async def answer_by_link(desk: Desk, token: str, *, because: str | None) -> ApprovalRow:
    """Answer as a link says. Whoever holds it may do this one thing, once.

    Raises:
        Forbidden: the link is not one of this server, or too old.
        NotFound: its approval is gone.
        Conflict: it was answered before, or the link was used.
    """
    link, row = await linked(desk, token)
    try:
        await desk.store.log.write(guard=spend(link.nonce, row.id, now()))
    except Conflict as error:
        raise Conflict("this link was used before: answer in the inbox") from error
    holder = Actor(f"you, by a link in {link.channel}", frozenset({Permission.APPROVALS_ANSWER}))
    return await answer(desk, holder, row.id, link.decision, option=None, because=because)


def _refuse_answered(row: ApprovalRow) -> None:
    if row.state is ApprovalState.ANSWERED:
        raise Conflict(f"approval {row.id} was answered before, with {row.decision} by {row.by}")
    if row.state is ApprovalState.VOID:
        raise Conflict(f"approval {row.id} waits no more: its turn was cancelled")
