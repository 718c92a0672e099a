"""The outbox: a row for each message and channel, kept until it was delivered or given up; and the used links.

A row is written in the transaction of the event that it tells of, so that neither is there without the other.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Update, and_, delete, exists, insert, literal, or_, select, update

from handrail.clock import JUMP
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.rows import every, first
from handrail.store.tables import Delivery, links, outbox
from handrail.types import ApprovalId, Json


class OutboxRow(Struct, frozen=True):
    """One message on its way to one channel."""

    id: int
    key: str
    """what it tells of; a channel is told it once"""
    channel: str
    notice: Json
    created: datetime
    state: Delivery
    tries: int
    due: datetime | None
    """when it is tried next; None once it has ended"""
    ended: datetime | None
    error: str | None
    """why the last try failed"""


def put(key: str, channel: str, notice: Json, *, created: datetime, due: datetime) -> Write:
    """Queue a message, unless this channel has had one of that key."""
    values = {
        "key": key,
        "channel": channel,
        "notice": notice,
        "created": created,
        "state": Delivery.PENDING,
        "tries": 0,
        "due": due,
    }
    known = exists().where(outbox.c.key == key, outbox.c.channel == channel)
    columns = [literal(value, outbox.c[name].type) for name, value in values.items()]
    return insert(outbox).from_select(list(values), select(*columns).where(~known))


def claim(row: OutboxRow, due: datetime) -> Write:
    """Guard: this server tries it now; unless that is noted, another may from `due` on."""
    return _of(row).where(outbox.c.due == row.due).values(due=due).returning(outbox.c.id)


def sending(row: OutboxRow) -> Write:
    """Note that it is handed over now, to a far side that would not know it again."""
    return _of(row).values(state=Delivery.SENDING)


def again(row: OutboxRow, at: datetime) -> Write:
    """Send once more what was given up, because a person said so."""
    given_up = (outbox.c.id == row.id, outbox.c.state == Delivery.DEAD)
    return update(outbox).where(*given_up).values(state=Delivery.PENDING, tries=0, due=at, ended=None, error=None)


def sent(row: OutboxRow, at: datetime) -> Write:
    """Note that it was delivered."""
    return _of(row).values(state=Delivery.SENT, tries=row.tries + 1, due=None, ended=at, error=None)


def failed(row: OutboxRow, error: str, due: datetime) -> Write:
    """Note a try that failed, and when the next one is."""
    return _of(row).values(state=Delivery.PENDING, tries=row.tries + 1, due=due, error=error)


def given_up(row: OutboxRow, error: str, at: datetime) -> Write:
    """Note that it will not be tried again, and why."""
    return _of(row).values(state=Delivery.DEAD, tries=row.tries + 1, due=None, ended=at, error=error)


def moot(row: OutboxRow, at: datetime) -> Write:
    """Note that nobody needs to be told any more."""
    return _of(row).values(state=Delivery.MOOT, due=None, ended=at)


def forget(before: datetime) -> Write:
    """Remove what ended before that time."""
    return delete(outbox).where(outbox.c.ended < before)


async def due(store: Store, at: datetime, limit: int = 100) -> list[OutboxRow]:
    """Messages to be tried by `at`, the longest due first; and new ones that a clock wrote which was set back since."""
    ahead = and_(outbox.c.created > at + JUMP, outbox.c.tries == 0)
    statement = select(outbox).where(outbox.c.due.is_not(None), or_(outbox.c.due <= at, ahead))
    return await every(store, OutboxRow, statement.order_by(outbox.c.due, outbox.c.id).limit(limit))


async def next_due(store: Store) -> datetime | None:
    """When the next message is to be tried; None when there is none."""
    statement = select(outbox.c.due).where(outbox.c.due.is_not(None)).order_by(outbox.c.due).limit(1)
    found = await store.rows(statement)
    return found[0][0] if found else None


async def find(store: Store, key: str, channel: str) -> OutboxRow | None:
    """The message of that key to that channel, if there is one."""
    return await first(store, OutboxRow, select(outbox).where(outbox.c.key == key, outbox.c.channel == channel))


async def newest(store: Store, limit: int = 50) -> list[OutboxRow]:
    """Messages of every state, the newest first."""
    return await every(store, OutboxRow, select(outbox).order_by(outbox.c.id.desc()).limit(limit))


def spend(nonce: str, approval: ApprovalId, at: datetime) -> Write:
    """Guard: note that a link was used; a Conflict where it was before."""
    return insert(links).values(nonce=nonce, approval=approval, used=at).returning(links.c.nonce)


def _of(row: OutboxRow) -> Update:
    return update(outbox).where(outbox.c.id == row.id, outbox.c.state.in_([Delivery.PENDING, Delivery.SENDING]))
