"""Effects: acts on the outside world, from the proposal to the receipt. The same proposal of one task is one row."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import TypedDict, Unpack

from msgspec import Struct
from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, exists, func, literal, or_, select
from sqlalchemy import insert as sql_insert
from sqlalchemy import update as sql_update

from handrail.automation import EffectKind, EffectState
from handrail.errors import InvalidInput, NotFound
from handrail.store.automation import effects, runs, tasks
from handrail.store.engine import Store
from handrail.store.log import Prepared, Write
from handrail.store.rows import every
from handrail.store.tables import sessions
from handrail.types import EffectId, Json, RunId, SessionId, TaskId


class EffectRow(Struct, frozen=True, kw_only=True):
    """One effect."""

    id: EffectId
    """from `new_id`; at the forge it is the marker of the act"""
    key: str
    """the same proposal of the same task has the same: it is one effect, however often it is written"""
    kind: EffectKind
    target: str
    body: Json
    by: str
    created: datetime
    session: SessionId | None = None
    task: TaskId | None = None
    run: RunId | None = None
    workflow: str | None = None
    forge: str | None = None
    state: EffectState = EffectState.PROPOSED
    reason: str | None = None
    """why it waits, was rejected or failed"""
    cause: str | None = None
    """a stable word for a failure"""
    decided_by: str | None = None
    because: str | None = None
    receipt: Json | None = None
    tries: int = 0
    due: datetime | None = None
    """of an effect of no run: when it is tried next; while it is carried, when whoever does it has lost it"""
    epoch: int = 0
    """raised with each try: only who has the last may write what came of it"""
    decided: datetime | None = None
    carried: datetime | None = None


class EffectChanges(TypedDict, total=False):
    """The columns of an effect that can change."""

    body: Json
    task: TaskId | None
    run: RunId | None
    workflow: str | None
    state: EffectState
    reason: str | None
    cause: str | None
    decided_by: str | None
    because: str | None
    receipt: Json | None
    tries: int
    due: datetime | None
    epoch: int
    decided: datetime | None
    carried: datetime | None


_NAMES = EffectRow.__struct_fields__
_ALONE = (effects.c.task.is_(None), effects.c.state.in_([EffectState.APPROVED, EffectState.CARRYING]))
"""what is to be carried out and belongs to no run"""


def revive(row: EffectRow) -> Write:
    """Open the proposal of that key again, if it was set aside for a newer one: it is true again."""
    aside = (effects.c.key == row.key, effects.c.state == EffectState.REJECTED, effects.c.cause == "superseded")
    names = ("state", "body", "reason", "created", "task", "run", "workflow")
    again = {name: getattr(row, name) for name in names}
    none = dict.fromkeys(("cause", "decided", "decided_by", "because", "due"))
    return sql_update(effects).where(*aside).values(**again, **none, tries=0).returning(effects.c.id)


def new_id() -> EffectId:
    """An id that nobody can guess: what carries it at a forge is known as done, so nobody may write it there before."""
    return EffectId(f"f-{secrets.token_hex(8)}")


def propose(row: EffectRow) -> Write:
    """Keep a proposal, unless one of its key is there. As a guard it finds nothing to change then."""
    known = exists().where(effects.c.key == row.key)
    columns = [literal(getattr(row, name), effects.c[name].type) for name in _NAMES]
    kept = sql_insert(effects).from_select(list(_NAMES), select(*columns).where(~known))
    return kept.returning(effects.c.id)


def change(effect: EffectId, *of: EffectState, **changes: Unpack[EffectChanges]) -> Write:
    """Guard: change columns of an effect that is in one of the states `of`."""
    statement = sql_update(effects).where(effects.c.id == effect, effects.c.state.in_(of))
    return statement.values(**changes).returning(effects.c.id)


def adjust(effect: EffectId, *of: EffectState, **changes: Unpack[EffectChanges]) -> Write:
    """The same as one write of several; nothing happens where the effect is in another state."""
    return sql_update(effects).where(effects.c.id == effect, effects.c.state.in_(of)).values(**changes)


def begin(effect: EffectId, task: TaskId, epoch: int) -> Write:
    """Guard: note that an effect is under way, if it may be and its task is still in the same hands."""
    held = exists().where(tasks.c.id == task, tasks.c.epoch == epoch)
    return (
        sql_update(effects)
        .where(effects.c.id == effect, effects.c.state.in_([EffectState.APPROVED, EffectState.CARRYING]), held)
        .values(state=EffectState.CARRYING, epoch=epoch, tries=effects.c.tries + 1)
        .returning(effects.c.id)
    )


def take(row: EffectRow, until: datetime) -> Write:
    """Guard: take an effect of no run in hand until `until`, to carry it out, unless another hand was quicker."""
    statement = sql_update(effects).where(effects.c.id == row.id, effects.c.epoch == row.epoch, *_ALONE)
    return statement.values(state=EffectState.CARRYING, epoch=row.epoch + 1, tries=row.tries + 1, due=until).returning(
        effects.c.id
    )


def settle(row: EffectRow, **changes: Unpack[EffectChanges]) -> Write:
    """Guard: write what came of a try, if the effect is still in the hand that `row.epoch` names."""
    held = (effects.c.id == row.id, effects.c.epoch == row.epoch, effects.c.state == EffectState.CARRYING)
    return sql_update(effects).where(*held).values(**changes).returning(effects.c.id)


async def delivered(store: Store, limit: int = 500) -> list[EffectRow]:
    """Changes of workflows that were brought to forges, the latest first."""
    kinds = (EffectKind.PUSH, EffectKind.PULL_REQUEST)
    wanted = (effects.c.state == EffectState.CARRIED, effects.c.kind.in_(kinds), effects.c.workflow.is_not(None))
    return await every(store, EffectRow, select(effects).where(*wanted).order_by(effects.c.carried.desc()).limit(limit))


async def opened(store: Store, url: str) -> list[EffectRow]:
    """What workflows brought into the pull request at `url`, the latest first."""
    made = (effects.c.state == EffectState.CARRIED, effects.c.kind == EffectKind.PULL_REQUEST)
    there = (effects.c.workflow.is_not(None), effects.c.receipt["url"].as_string() == url)
    return await every(store, EffectRow, select(effects).where(*made, *there).order_by(effects.c.carried.desc()))


async def brought(store: Store, workflow: str, forge: str | None, target: str, limit: int = 500) -> list[EffectRow]:
    """Changes that one workflow brought to one repository, the latest last."""
    asked = Prepared(_brought(), {"by": workflow, "at": forge, "to": target, "most": limit})
    return (await every(store, EffectRow, asked))[::-1]


@cache
def _brought() -> Select[*tuple[object, ...]]:
    kinds = (EffectKind.PUSH, EffectKind.PULL_REQUEST)
    made = (effects.c.state == EffectState.CARRIED, effects.c.kind.in_(kinds), effects.c.workflow == bindparam("by"))
    there = (effects.c.forge.is_not_distinct_from(bindparam("at")), effects.c.target == bindparam("to"))
    return select(effects).where(*made, *there).order_by(effects.c.carried.desc()).limit(bindparam("most"))


async def get(store: Store, effect: EffectId) -> EffectRow:
    """One effect.

    Raises:
        NotFound: there is none of that id.
    """
    found = await every(store, EffectRow, select(effects).where(effects.c.id == effect))
    if not found:
        raise NotFound(f"there is no effect {effect!r}")
    return found[0]


async def by_key(store: Store, key: str) -> EffectRow | None:
    """The effect of that key, if it was proposed."""
    found = await every(store, EffectRow, select(effects).where(effects.c.key == key))
    return found[0] if found else None


async def find(store: Store, word: str) -> EffectRow:
    """The effect that a person means, by its id or a beginning of it that fits no other.

    Raises:
        NotFound: none fits.
        InvalidInput: several fit.
    """
    begins = select(effects).where(effects.c.id.startswith(word, autoescape=True)).order_by(effects.c.id).limit(6)
    found = [row for row in await every(store, EffectRow, begins) if word and row.id.startswith(word)]
    exact = [row for row in found if row.id == word]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if not found:
        raise NotFound(f"there is no effect {word!r}")
    raise InvalidInput("effect", word, f"several begin so ({', '.join(row.id for row in found[:5])}); give more")


async def of_task(store: Store, task: TaskId) -> list[EffectRow]:
    """The effects of a task, in the order in which they were proposed."""
    return await every(store, EffectRow, Prepared(_of_task(), {"of_task": task}))


@cache
def _of_task() -> Select[*tuple[object, ...]]:
    return select(effects).where(effects.c.task == bindparam("of_task")).order_by(effects.c.created, effects.c.key)


async def of_run(store: Store, run: RunId) -> list[EffectRow]:
    """The effects of a run."""
    return await every(
        store, EffectRow, select(effects).where(effects.c.run == run).order_by(effects.c.created, effects.c.key)
    )


async def of_sessions(store: Store, of: Sequence[SessionId]) -> list[EffectRow]:
    """The effects that the agents of some sessions proposed."""
    return await every(store, EffectRow, Prepared(_of_sessions(), {"of_these": list(of)}))


@cache
def _of_sessions() -> Select[*tuple[object, ...]]:
    these = effects.c.session.in_(bindparam("of_these", expanding=True))
    return select(effects).where(these).order_by(effects.c.created, effects.c.key)


async def waiting(store: Store, limit: int = 1000, by: str | None = None) -> list[EffectRow]:
    """Effects that wait for a person, the longest first; only those of one person's work, where `by` names them."""
    values = {"most": limit} | ({} if by is None else {"of_person": by})
    return await every(store, EffectRow, Prepared(_waiting(by is not None), values))


@cache
def _waiting(of_one: bool) -> Select[*tuple[object, ...]]:
    statement = select(effects).where(waits(bindparam("of_person") if of_one else None))
    return statement.order_by(effects.c.created, effects.c.key).limit(bindparam("most"))


def waits(by: BindParameter[str] | None) -> ColumnElement[bool]:
    """That an effect waits for a person; one of one person's work, where one is named."""
    waiting = effects.c.state == EffectState.WAITING
    if by is None:
        return waiting
    of_run = effects.c.run.in_(select(runs.c.id).where(runs.c.by == by))
    return and_(waiting, or_(of_run, effects.c.session.in_(select(sessions.c.id).where(sessions.c.by == by))))


def _here(store: Store) -> ColumnElement[bool]:
    """What the session of an effect made is on the disk of this server."""
    mine = exists().where(sessions.c.id == effects.c.session, sessions.c.server == store.server)
    return effects.c.session.is_(None) | mine


async def alone(store: Store) -> list[EffectRow]:
    """Effects of no run that were approved here and are not carried out yet."""
    mine = select(effects).where(*_ALONE, _here(store))
    return await every(store, EffectRow, mine.order_by(effects.c.created, effects.c.key))


async def due(store: Store, at: datetime) -> list[EffectRow]:
    """Those of `alone` that are to be tried by `at`, or whose hand has lost them by then."""
    ready = select(effects).where(*_ALONE, _here(store), effects.c.due.is_(None) | (effects.c.due <= at))
    return await every(store, EffectRow, ready.order_by(effects.c.created, effects.c.key))


async def next_due(store: Store) -> datetime | None:
    """When the next of `alone` is to be looked at; None when none is."""
    found = await store.rows(select(func.min(effects.c.due)).where(*_ALONE, _here(store)))
    moment: datetime | None = found[0][0]
    return moment


async def count_waiting(store: Store) -> int:
    """How many wait for a person."""
    statement = select(func.count()).where(effects.c.state == EffectState.WAITING)
    return int((await store.rows(statement))[0][0])
