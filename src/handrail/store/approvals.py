"""Approvals: questions that wait for a person, and answers that wait for the agent to ask again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache

from msgspec import Struct
from sqlalchemy import BindParameter, ColumnElement, Select, Update, and_, bindparam, exists, or_, select, true, update
from sqlalchemy import insert as sql_insert

from handrail.clock import JUMP
from handrail.errors import NotFound
from handrail.store.engine import Store
from handrail.store.log import Prepared, Write
from handrail.store.rows import every, first
from handrail.store.tables import ApprovalState, Then, approvals, sessions, turns
from handrail.types import ApprovalId, Json, SessionId, SessionState, now


class ApprovalRow(Struct, frozen=True, kw_only=True):
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
    why: str = ""
    """one line: the step of the plan, the size of the change, the cost so far"""
    deadline: datetime | None = None
    """when `then` happens; None for never"""
    then: Then = Then.PARK
    due: datetime | None = None
    """when something is to be done about it while nobody answers: its agent let go, or its deadline"""
    released: datetime | None = None
    """when its agent was let go while it waits"""
    escalations: int = 0
    """how often its people were told again"""
    state: ApprovalState = ApprovalState.OPEN
    decision: str | None = None
    """allow or deny"""
    option: str | None = None
    by: str | None = None
    because: str | None = None
    answered: datetime | None = None
    used: bool = False
    """the agent has had the answer"""


_NAMES = ApprovalRow.__struct_fields__


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
    at: datetime | None = None,
) -> Write:
    """Guard: answer a question that is still open; of several answers the first one wins.

    Args:
        approval: the question.
        decision: allow or deny.
        by: who answers.
        option: the one chosen of those that the agent offered.
        because: a sentence for the agent.
        used: the turn that asked is alive and gets the answer at once.
        at: when; by default now.
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
            answered=at or now(),
            due=None,
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
        .values(state=ApprovalState.VOID, due=None)
        .returning(approvals.c.id)
    )


def release(approval: ApprovalId, at: datetime, due: datetime | None) -> Write:
    """Guard: note that the agent of an open question was let go at `at`, and look at it again at `due`."""
    return _while_open(approval).values(released=at, due=due).returning(approvals.c.id)


def escalate(row: ApprovalRow, deadline: datetime | None) -> Write:
    """Guard: note that the people of an open question are told once more; the next time is `deadline`, None for never.

    It finds nothing when another sweep told them.
    """
    return (
        _while_open(row.id)
        .where(approvals.c.escalations == row.escalations)
        .values(escalations=row.escalations + 1, deadline=deadline, due=deadline)
        .returning(approvals.c.id)
    )


def hold(approval: ApprovalId, due: datetime) -> Write:
    """An agent waits for an open question again: look at it at `due`."""
    return _while_open(approval).values(released=None, due=due)


def anew(approval: ApprovalId, asked: datetime, deadline: datetime | None, due: datetime) -> Write:
    """Let the time of an open question count from `asked`."""
    return _while_open(approval).values(asked=asked, deadline=deadline, due=due)


def look_at(approval: ApprovalId, due: datetime | None) -> Write:
    """Look at an open question again at `due`."""
    return _while_open(approval).values(due=due)


async def get(store: Store, approval: ApprovalId) -> ApprovalRow:
    """One approval.

    Raises:
        NotFound: there is none of that id.
    """
    found = await first(store, ApprovalRow, Prepared(_get(), {"of_approval": approval}))
    if found is None:
        raise NotFound(f"there is no approval {approval!r}")
    return found


@cache
def _get() -> Select[*tuple[object, ...]]:
    return select(approvals).where(approvals.c.id == bindparam("of_approval"))


async def everywhere(
    store: Store, *, only_open: bool = True, limit: int = 500, by: str | None = None
) -> list[ApprovalRow]:
    """Approvals of all sessions, or of one person's: the open ones, the longest waiting first; or all, newest first."""
    values = {"most": limit} | ({} if by is None else {"of_person": by})
    return await every(store, ApprovalRow, Prepared(_everywhere(only_open, by is not None), values))


@cache
def _everywhere(only_open: bool, of_one: bool) -> Select[*tuple[object, ...]]:
    by: BindParameter[str] | None = bindparam("of_person") if of_one else None
    order = approvals.c.asked if only_open else approvals.c.asked.desc()
    wanted = waits(by) if only_open else _of_person(by)
    return select(approvals).where(wanted).order_by(order, approvals.c.id).limit(bindparam("most"))


def waits(by: BindParameter[str] | None) -> ColumnElement[bool]:
    """That a question waits for a person; one of one person's sessions, where one is named."""
    return and_(approvals.c.state == ApprovalState.OPEN, _of_person(by))


def _of_person(by: BindParameter[str] | None) -> ColumnElement[bool]:
    return true() if by is None else approvals.c.session.in_(select(sessions.c.id).where(sessions.c.by == by))


async def due(store: Store, at: datetime, limit: int = 500) -> list[ApprovalRow]:
    """Open questions of this server that something is to be done about by `at`, the longest due first.

    And those asked far after `at`: the clock was set back since.
    """
    watched = approvals.c.due.is_not(None) & (approvals.c.state == ApprovalState.OPEN)
    mine = exists().where(sessions.c.id == approvals.c.session, sessions.c.server == store.server)
    statement = select(approvals).where(watched, mine, or_(approvals.c.due <= at, approvals.c.asked > at + JUMP))
    return await every(store, ApprovalRow, statement.order_by(approvals.c.due, approvals.c.id).limit(limit))


async def denied_since(store: Store, session: SessionId, turn: int) -> bool:
    """Whether a question of `turn` or of a later one was answered with deny."""
    statement = (
        select(approvals.c.id)
        .where(approvals.c.session == session, approvals.c.state == ApprovalState.ANSWERED)
        .where(approvals.c.decision == "deny", approvals.c.turn >= turn)
        .limit(1)
    )
    return bool(await store.rows(statement))


async def unused_of(store: Store, session: SessionId, turn: int) -> list[ApprovalRow]:
    """Answers to questions of `turn` that the agent has not had."""
    answers = _of(session, ApprovalState.ANSWERED).where(approvals.c.used.is_(False), approvals.c.turn == turn)
    return await every(store, ApprovalRow, answers)


async def parked(store: Store) -> set[SessionId]:
    """Sessions in which nothing is to be done until a person answers: their last turn has ended."""
    of_it = approvals.c.session == sessions.c.id
    unused = of_it & (approvals.c.state == ApprovalState.ANSWERED) & approvals.c.used.is_(False)
    statement = (
        select(sessions.c.id)
        .join(turns, (turns.c.session == sessions.c.id) & (turns.c.turn == sessions.c.turn))
        .where(sessions.c.state == SessionState.WAITING, turns.c.ended.is_not(None))
        .where(exists().where(of_it, approvals.c.state == ApprovalState.OPEN))
        .where(~exists().where(unused, approvals.c.turn == sessions.c.turn))
    )
    return {row[0] for row in await store.rows(statement)}


async def of_session(store: Store, session: SessionId, limit: int = 500) -> list[ApprovalRow]:
    """A session's approvals, open or not, the newest first."""
    statement = select(approvals).where(approvals.c.session == session)
    return await every(store, ApprovalRow, statement.order_by(approvals.c.asked.desc(), approvals.c.id).limit(limit))


async def open_of(store: Store, *those: SessionId) -> list[ApprovalRow]:
    """The open questions of some sessions, the longest waiting first."""
    return await every(store, ApprovalRow, Prepared(_open(), {"those": those}))


@cache
def _open() -> Select[*tuple[object, ...]]:
    those = approvals.c.session.in_(bindparam("those", expanding=True))
    statement = select(approvals).where(those, approvals.c.state == ApprovalState.OPEN)
    return statement.order_by(approvals.c.asked, approvals.c.id)


async def open_with(store: Store, session: SessionId, signature: str) -> ApprovalRow | None:
    """An open question that asks the same."""
    return await first(store, ApprovalRow, _of(session, ApprovalState.OPEN).where(approvals.c.signature == signature))


async def unused_answer(store: Store, session: SessionId, signature: str) -> ApprovalRow | None:
    """An answer to the same question that the agent has not had, because its turn was gone by then."""
    answers = _of(session, ApprovalState.ANSWERED).where(approvals.c.used.is_(False))
    return await first(store, ApprovalRow, answers.where(approvals.c.signature == signature))


async def last_answer(store: Store, session: SessionId, signature: str) -> ApprovalRow | None:
    """The last answer to a question that is answered once for a whole session."""
    answers = select(approvals).where(
        approvals.c.session == session,
        approvals.c.state == ApprovalState.ANSWERED,
        approvals.c.signature == signature,
    )
    return await first(store, ApprovalRow, answers.order_by(approvals.c.answered.desc(), approvals.c.id))


def _of(session: SessionId | BindParameter[SessionId], state: ApprovalState) -> Select[*tuple[object, ...]]:
    return (
        select(approvals)
        .where(approvals.c.session == session, approvals.c.state == state)
        .order_by(approvals.c.asked, approvals.c.id)
    )


def _while_open(approval: ApprovalId) -> Update:
    return update(approvals).where(approvals.c.id == approval, approvals.c.state == ApprovalState.OPEN)
