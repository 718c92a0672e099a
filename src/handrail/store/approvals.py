"""Approvals: questions that wait for a person, and answers that wait for the agent to ask again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Select, select, update
from sqlalchemy import insert as sql_insert

from handrail.errors import NotFound
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.rows import every, first
from handrail.store.tables import ApprovalState, approvals
from handrail.types import ApprovalId, Json, SessionId, now


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRow:
    """One question, and what was answered."""

    id: ApprovalId
    session: SessionId
    turn: int | None
    call: str
    title: str
    tool: str
    input: Json | None
    diffs: Sequence[Json]
    """each with path, old and new"""
    options: Sequence[Json]
    """each with id, name and kind, as the agent offers them"""
    signature: str
    """what makes two questions the same"""
    asked: datetime
    state: ApprovalState = ApprovalState.OPEN
    decision: str | None = None
    """allow or deny"""
    option: str | None = None
    by: str | None = None
    because: str | None = None
    answered: datetime | None = None
    used: bool = False
    """the agent has had the answer"""


_NAMES = tuple(item.name for item in fields(ApprovalRow))


def insert(row: ApprovalRow) -> Write:
    """Keep a question."""
    return sql_insert(approvals).values({name: getattr(row, name) for name in _NAMES})


def answer(
    approval: ApprovalId,
    *,
    decision: str,
    by: str,
    option: str | None = None,
    because: str | None = None,
    used: bool = False,
) -> Write:
    """Guard: answer a question that is still open; of several answers the first one wins.

    Args:
        approval: the question.
        decision: allow or deny.
        by: who answers.
        option: the one chosen of those that the agent offered.
        because: a sentence for the agent.
        used: the turn that asked is alive and gets the answer at once.
    """
    return (
        update(approvals)
        .where(approvals.c.id == approval, approvals.c.state == ApprovalState.OPEN)
        .values(
            state=ApprovalState.ANSWERED,
            decision=decision,
            option=option,
            by=by,
            because=because,
            answered=now(),
            used=used,
        )
        .returning(approvals.c.id)
    )


def use(approval: ApprovalId) -> Write:
    """Guard: the agent gets an answer that it has not had; only one asker can."""
    return (
        update(approvals)
        .where(approvals.c.id == approval, approvals.c.state == ApprovalState.ANSWERED, approvals.c.used.is_(False))
        .values(used=True)
        .returning(approvals.c.id)
    )


def void(approval: ApprovalId) -> Write:
    """Guard: nobody needs to answer a question that is still open."""
    return (
        update(approvals)
        .where(approvals.c.id == approval, approvals.c.state == ApprovalState.OPEN)
        .values(state=ApprovalState.VOID)
        .returning(approvals.c.id)
    )


async def get(store: Store, approval: ApprovalId) -> ApprovalRow:
    """One approval.

    Raises:
        NotFound: there is none of that id.
    """
    found = await first(store, ApprovalRow, select(approvals).where(approvals.c.id == approval))
    if found is None:
        raise NotFound(f"there is no approval {approval!r}")
    return found


async def everywhere(store: Store, *, only_open: bool = True, limit: int = 500) -> list[ApprovalRow]:
    """Approvals of all sessions: the open ones, the longest waiting first; or all, the newest first."""
    order = approvals.c.asked if only_open else approvals.c.asked.desc()
    statement = select(approvals).order_by(order, approvals.c.id).limit(limit)
    if only_open:
        statement = statement.where(approvals.c.state == ApprovalState.OPEN)
    return await every(store, ApprovalRow, statement)


async def open_of(store: Store, session: SessionId) -> list[ApprovalRow]:
    """A session's open questions, the longest waiting first."""
    return await every(store, ApprovalRow, _of(session, ApprovalState.OPEN))


async def open_with(store: Store, session: SessionId, signature: str) -> ApprovalRow | None:
    """An open question that asks the same."""
    return await first(store, ApprovalRow, _of(session, ApprovalState.OPEN).where(approvals.c.signature == signature))


async def unused_answer(store: Store, session: SessionId, signature: str) -> ApprovalRow | None:
    """An answer to the same question that the agent has not had, because its turn was gone by then."""
    answers = _of(session, ApprovalState.ANSWERED).where(approvals.c.used.is_(False))
    return await first(store, ApprovalRow, answers.where(approvals.c.signature == signature))


def _of(session: SessionId, state: ApprovalState) -> Select[*tuple[object, ...]]:
    return (
        select(approvals)
        .where(approvals.c.session == session, approvals.c.state == state)
        .order_by(approvals.c.asked, approvals.c.id)
    )
