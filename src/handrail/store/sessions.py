"""Sessions: what each is now. How it came to be that is in its log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import TypedDict, Unpack

from msgspec import Struct
from sqlalchemy import Insert, Select, Update, and_, bindparam, exists, func, or_, select
from sqlalchemy import insert as sql_insert
from sqlalchemy import update as sql_update

from handrail.errors import InvalidInput, NotFound
from handrail.store import tasks
from handrail.store.database import Rows
from handrail.store.engine import HERE, NUMBERS, Store
from handrail.store.log import Prepared, Write
from handrail.store.rows import every, first
from handrail.store.tables import ApprovalState, PromptState, approvals, events, prompts, sessions
from handrail.types import (
    Control,
    Goal,
    Json,
    Outcome,
    Permissions,
    SandboxKind,
    Scope,
    ServerId,
    SessionId,
    SessionState,
    now,
)

LAST = "last"
"""what a person says for the newest session"""


class SessionRow(Struct, frozen=True, kw_only=True):
    """One session. Money is nano-dollars; sums are those of its ledger."""

    id: SessionId
    number: int
    """counts from 1 over all sessions of the database"""
    title: str
    agent: str
    repository: str
    repository_key: str
    """names its mirror and results"""
    workspace: str
    base: str
    branch: str
    sandbox: SandboxKind
    created: datetime
    updated: datetime
    by: str = "you"
    """whose it is: who started it, or its run"""
    key: str | None = None
    """whoever made it finds it again by this, and never makes it twice"""
    provider: str | None = None
    model: str | None = None
    holds: Sequence[str] = ()
    """what the walls were measured to hold"""
    tools: Sequence[str] = ()
    """tool chains shown inside the walls"""
    network: Sequence[str] = ()
    """what its agent may reach: registries and host:port; nothing by default"""
    login: bool = False
    """it holds a copy of the user's login of its agent"""
    secrets: Sequence[str] = ()
    """names of what its agent's requests may carry"""
    untrusted: bool = False
    """its base was written by somebody who is not trusted"""
    set_aside: Sequence[str] = ()
    """files of that base which steer agents and are not in the work tree; the first of them"""
    permissions: Permissions | None = None
    """None: by who holds it"""
    policy: str | None = None
    """its own policy, as YAML"""
    scopes: Sequence[Scope] = ()
    """what it spends together with others; frozen when it is made"""
    turn_budget_nano: int | None = None
    """cap of each turn"""
    wrap_told: bool = False
    """the agent was told that a budget nears its end, since the hand-off"""
    control: Control = Control.YOU
    state: SessionState = SessionState.IDLE
    outcome: Outcome | None = None
    outcome_reason: str | None = None
    seen: datetime | None = None
    """when a person said that they know of its outcome"""
    turn: int = 0
    """the last turn that was started"""
    goal: Goal | None = None
    goal_set: datetime | None = None
    goal_turns: int = 0
    """turns since the hand-off"""
    goal_seconds: float = 0.0
    """seconds of work since the hand-off, by a clock that nobody sets; waits for people not counted"""
    goal_prompted: bool = False
    """the agent was told the goal"""
    goal_spent_nano: int = 0
    """what the session had cost at the hand-off"""
    cost_nano: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    agent_session: str | None = None
    agent_capabilities: Json | None = None
    epoch: int = 0
    server: ServerId = HERE
    """on whose disk its workspace is"""


class SessionChanges(TypedDict, total=False):
    """The columns of a session that can change."""

    title: str
    provider: str | None
    model: str | None
    workspace: str
    base: str
    branch: str
    sandbox: SandboxKind
    holds: Sequence[str]
    tools: Sequence[str]
    network: Sequence[str]
    secrets: Sequence[str]
    permissions: Permissions | None
    policy: str | None
    wrap_told: bool
    control: Control
    state: SessionState
    outcome: Outcome | None
    outcome_reason: str | None
    seen: datetime | None
    turn: int
    goal: Goal | None
    goal_set: datetime | None
    goal_turns: int
    goal_seconds: float
    goal_prompted: bool
    goal_spent_nano: int
    cost_nano: int
    unpriced: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    agent_session: str | None
    agent_capabilities: Json | None
    epoch: int
    updated: datetime


class Standing(Struct, frozen=True):
    """A session with what stands beside it in other tables."""

    row: SessionRow
    queued: int
    """prompts that wait"""
    last_seq: int
    """the number of its last event"""
    asks: int
    """questions that wait"""


_NAMES = SessionRow.__struct_fields__
_COLUMNS = tuple(sessions.c.keys())


def insert(row: SessionRow) -> Write:
    """Keep a new session."""
    return Prepared(_insert(), {name: getattr(row, name) for name in _NAMES})


@cache
def _insert() -> Insert:
    return sql_insert(sessions)


def update(session: SessionId, **changes: Unpack[SessionChanges]) -> Write:
    """Change columns; `updated` is now unless it is given."""
    changes.setdefault("updated", now())
    return Prepared(_update(), {"of_session": session, **changes})


@cache
def _update() -> Update:
    # which columns it sets is said by the values of each use
    return sql_update(sessions).where(sessions.c.id == bindparam("of_session"))


async def by_key(store: Store, key: str) -> SessionRow | None:
    """The session that was made for one thing, by its maker's own name for it."""
    return await first(store, SessionRow, Prepared(_by_key(), {"of_key": key}))


@cache
def _by_key() -> Select[*tuple[object, ...]]:
    return select(sessions).where(sessions.c.key == bindparam("of_key"))


async def next_number(store: Store) -> int:
    """A number for a new session that no other has; one that is not used leaves a gap."""
    if store.shared:
        return int((await store.rows(select(NUMBERS.next_value())))[0][0])
    if store.number is None:
        found = (await store.rows(select(func.max(sessions.c.number))))[0][0] or 0
        store.number = max(found, store.number or 0)  # another caller may have been here meanwhile
    store.number += 1
    return store.number


async def get(store: Store, session: SessionId) -> SessionRow:
    """One session.

    Raises:
        NotFound: there is none of that id.
    """
    found = await first(store, SessionRow, Prepared(_get(), {"of_session": session}))
    if found is None:
        raise NotFound(f"there is no session {session!r}")
    return found


@cache
def _get() -> Select[*tuple[object, ...]]:
    return select(sessions).where(sessions.c.id == bindparam("of_session"))


async def find(store: Store, word: str) -> SessionRow:
    """The session that a person means: by its id, a beginning of it that fits no other, `last`, or its task's id.

    Raises:
        NotFound: none fits.
        InvalidInput: several fit.
    """
    if word.startswith("t-"):
        task = await tasks.find(store, word)
        if task.session is None:
            raise NotFound(f"task {task.id} has no session yet")
        return await get(store, task.session)
    if (known := await first(store, SessionRow, Prepared(_get(), {"of_session": word}))) is not None:
        return known
    newest = select(sessions).order_by(sessions.c.number.desc())
    if word == LAST:
        found = await every(store, SessionRow, newest.limit(1))
        if not found:
            raise NotFound("there is no session yet")
        return found[0]
    begins = newest.where(sessions.c.id.startswith(word, autoescape=True)).limit(6) if word else None
    # LIKE of SQLite does not know upper from lower case
    found = [] if begins is None else [row for row in await every(store, SessionRow, begins) if row.id.startswith(word)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"there is no session {word!r}")
    several = ", ".join(row.id for row in found[:5]) + (" and more" if len(found) > 5 else "")
    raise InvalidInput("session", word, f"several begin so ({several}); give more of the id")


async def newest(
    store: Store,
    states: Sequence[SessionState] | SessionState | None = None,
    limit: int | None = 100,
    by: str | None = None,
) -> list[SessionRow]:
    """Sessions, newest first.

    Args:
        store: the database.
        states: only those in this state, or one of these.
        limit: how many at the most; None for all.
        by: only those of this person.
    """
    statement = select(sessions).order_by(sessions.c.number.desc()).limit(limit)
    if by is not None:
        statement = statement.where(sessions.c.by == by)
    if states is not None:
        wanted = [states] if isinstance(states, SessionState) else list(states)
        statement = statement.where(sessions.c.state.in_(wanted))
    return await every(store, SessionRow, statement)


async def standing(store: Store, word: str) -> Standing:
    """The session that a person means, with what stands beside it.

    Raises:
        NotFound: none fits.
        InvalidInput: several fit.
    """
    found = await store.rows(Prepared(_standing_of(), {"of_session": word}))
    if not found:
        found = await store.rows(Prepared(_standing_of(), {"of_session": (await find(store, word)).id}))
    return _standing(found)[0]


async def standing_of(store: Store, those: Collection[SessionId]) -> list[Standing]:
    """Those of these sessions that are there, each with what stands beside it."""
    return _standing(await store.rows(Prepared(_those(), {"those": list(those)}))) if those else []


async def newest_standing(store: Store, state: SessionState | None, limit: int, by: str | None) -> list[Standing]:
    """Sessions, newest first, each with what stands beside it; only those in `state` and of one person, where named."""
    values = {"most": limit, "of_state": state, "of_person": by}
    statement = _newest_standing(state is not None, by is not None)
    given = {name: one for name, one in values.items() if one is not None}
    return _standing(await store.rows(Prepared(statement, given)))


@cache
def _standing_of() -> Select[*tuple[object, ...]]:
    return _with_beside().where(sessions.c.id == bindparam("of_session"))


@cache
def _those() -> Select[*tuple[object, ...]]:
    return _with_beside().where(sessions.c.id.in_(bindparam("those", expanding=True)))


@cache
def _newest_standing(in_state: bool, of_one: bool) -> Select[*tuple[object, ...]]:
    statement = _with_beside().order_by(sessions.c.number.desc()).limit(bindparam("most"))
    if in_state:
        statement = statement.where(sessions.c.state == bindparam("of_state"))
    return statement.where(sessions.c.by == bindparam("of_person")) if of_one else statement


def _with_beside() -> Select[*tuple[object, ...]]:
    """Sessions with three columns more, in the order of `Standing`."""
    c = sessions.c
    queued = select(func.count()).where(prompts.c.session == c.id, prompts.c.state == PromptState.QUEUED)
    last = select(func.coalesce(func.max(events.c.seq), 0)).where(events.c.session == c.id)
    asks = select(func.count()).where(approvals.c.session == c.id, approvals.c.state == ApprovalState.OPEN)
    return select(sessions, *(one.scalar_subquery() for one in (queued, last, asks)))


def _standing(found: Rows) -> list[Standing]:
    return [Standing(SessionRow(**dict(zip(_COLUMNS, row, strict=False))), *row[-3:]) for row in found]


async def places(store: Store, whose: Sequence[str]) -> set[str]:
    """The repositories in which these people started sessions."""
    found = await store.rows(select(sessions.c.repository).where(sessions.c.by.in_(whose)).distinct())
    return {row[0] for row in found}


async def with_login(store: Store) -> list[SessionRow]:
    """Sessions of this server that hold, or held, a copy of a login."""
    wanted = select(sessions).where(sessions.c.login, sessions.c.server == store.server)
    return await every(store, SessionRow, wanted)


async def under_way(store: Store) -> list[SessionRow]:
    """Sessions of this server that have work; the oldest first.

    That is a turn, an open question, a goal that is not reached, or a first prompt that was not begun.
    """
    busy = sessions.c.state.in_([SessionState.RUNNING, SessionState.WAITING])
    handed_off = and_(
        sessions.c.state == SessionState.IDLE, sessions.c.control == Control.AGENT, sessions.c.outcome.is_(None)
    )
    waits = exists().where(prompts.c.session == sessions.c.id, prompts.c.state == PromptState.QUEUED)
    untouched = and_(sessions.c.state == SessionState.IDLE, sessions.c.turn == 0, waits)
    wanted = select(sessions).where(sessions.c.server == store.server, or_(busy, handed_off, untouched))
    wanted = wanted.order_by(sessions.c.number)
    return await every(store, SessionRow, wanted)


def settle_elsewhere(session: SessionId, outcome: Outcome, reason: str) -> Write:
    """Note on a session of another server that nobody waits for it any more; what has an outcome keeps it."""
    open_ = (sessions.c.id == session, sessions.c.control == Control.AGENT, sessions.c.outcome.is_(None))
    return sql_update(sessions).where(*open_).values(outcome=outcome, outcome_reason=reason, control=Control.YOU)


async def settled_elsewhere(store: Store, of: Sequence[SessionId]) -> list[SessionId]:
    """Those of some sessions that are thought to be at work and have come to an outcome."""
    statement = select(sessions.c.id).where(sessions.c.id.in_(of), sessions.c.outcome.is_not(None))
    return [row[0] for row in await store.rows(statement)]


async def count(store: Store) -> dict[SessionState, int]:
    """How many sessions are in each state."""
    found = await store.rows(select(sessions.c.state, func.count()).group_by(sessions.c.state))
    return dict.fromkeys(SessionState, 0) | {row[0]: row[1] for row in found}
