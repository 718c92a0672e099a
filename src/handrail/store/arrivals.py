"""Events from outside, as they were taken in: stored before they are answered, each kept once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Insert, Select, Update, and_, bindparam, case, delete, exists, func, literal, select, update
from sqlalchemy import insert as sql_insert

from handrail.automation import ArrivalState
from handrail.errors import InvalidInput, NotFound
from handrail.store.automation import arrivals, sources
from handrail.store.engine import Store
from handrail.store.log import Prepared, Shared, Write
from handrail.store.rows import every, first
from handrail.types import ArrivalId, Json, Veiled


class ArrivalRow(Struct, frozen=True, kw_only=True):
    """One event from outside."""

    id: ArrivalId
    source: str
    delivery: str
    """the sender's own id, or one of ours where it gives none"""
    meaning: str
    """the same for two deliveries that tell of one thing"""
    event: str
    action: str | None
    sender: str | None
    repository: str | None
    payload: Json
    received: datetime
    state: ArrivalState = ArrivalState.STORED
    reason: str | None = None


class SourceRow(Veiled, frozen=True):
    """One sender that is known here; `secret` is sealed."""

    veiled: ClassVar = frozenset({"secret", "settings"})
    name: str
    kind: str
    settings: Json
    secret: bytes
    created: datetime


_NAMES = ArrivalRow.__struct_fields__


@cache
def _put() -> Insert:
    c = arrivals.c
    given = {name: bindparam(name, type_=c[name].type) for name in _NAMES}
    twin = (
        select(c.id)
        .where(
            c.source == given["source"],
            c.meaning == given["meaning"],
            c.received > bindparam("since", type_=c.received.type),
            c.state != ArrivalState.IGNORED,
        )
        .limit(1)
        .scalar_subquery()
    )
    again = and_(given["state"] == ArrivalState.STORED, twin.is_not(None))
    decided = {
        "state": case((again, literal(ArrivalState.IGNORED.value)), else_=given["state"]),
        "reason": case((again, literal("it tells of the same thing as ") + twin), else_=given["reason"]),
    }
    known = exists().where(c.source == given["source"], c.delivery == given["delivery"])
    columns = [decided.get(name, given[name]) for name in _NAMES]
    return sql_insert(arrivals).from_select(list(_NAMES), select(*columns).where(~known))


@cache
def _put_one() -> Insert:
    return _put().returning(arrivals.c.id)


@cache
def _kept() -> Select[tuple[ArrivalId]]:
    return select(arrivals.c.id).where(arrivals.c.id.in_(bindparam("these", expanding=True)))


def put(row: ArrivalRow, window: timedelta) -> Write:
    """Guard: keep an event, unless this delivery was kept before.

    One that means the same as an earlier one within `window` is kept as ignored. It is decided inside the statement,
    so that several deliveries at the same moment cannot all be the first, be they written one by one or together.
    """
    values = {name: getattr(row, name) for name in _NAMES} | {"since": row.received - window}
    return Shared(_put_one(), values, _put(), _kept())


def settle(arrival: ArrivalId, state: ArrivalState, reason: str) -> Write:
    """Guard: note what became of an event that was not settled yet."""
    return Prepared(_settle(), {"of_arrival": arrival, "to_state": state, "to_reason": reason})


@cache
def _settle() -> Update:
    return (
        update(arrivals)
        .where(arrivals.c.id == bindparam("of_arrival"), arrivals.c.state == ArrivalState.STORED)
        .values(state=bindparam("to_state"), reason=bindparam("to_reason"))
        .returning(arrivals.c.id)
    )


def forget(before: datetime) -> Write:
    """Remove what was received before that time and is settled."""
    return delete(arrivals).where(arrivals.c.received < before, arrivals.c.state != ArrivalState.STORED)


async def waiting(store: Store, limit: int = 100) -> list[ArrivalRow]:
    """Events that nobody has matched, the oldest first."""
    return await every(store, ArrivalRow, _all().where(arrivals.c.state == ArrivalState.STORED).limit(limit))


async def newest(store: Store, *, source: str | None = None, limit: int = 100) -> list[ArrivalRow]:
    """Events, the newest first."""
    statement = select(arrivals).order_by(arrivals.c.received.desc(), arrivals.c.id.desc()).limit(limit)
    if source is not None:
        statement = statement.where(arrivals.c.source == source)
    return await every(store, ArrivalRow, statement)


async def find(store: Store, word: str) -> ArrivalRow:
    """The event with this id, a unique beginning of one, or `last`.

    Raises:
        NotFound: none fits.
        InvalidInput: several fit.
    """
    if word == "last":
        found: Sequence[ArrivalRow] = await newest(store, limit=1)
    else:
        begins = func.substr(arrivals.c.id, 1, len(word)) == word
        found = await every(store, ArrivalRow, _all().where(begins).limit(2))
        found = [row for row in found if row.id == word] or found
    if not found:
        raise NotFound(f"there is no event {word!r}: `handrail events` lists them")
    if len(found) > 1:
        raise InvalidInput("event", word, "say more of it: several begin so")
    return found[0]


async def get(store: Store, arrival: ArrivalId) -> ArrivalRow:
    """One event.

    Raises:
        NotFound: there is none.
    """
    return await find(store, arrival)


async def put_source(store: Store, row: SourceRow) -> None:
    """Keep a source in place of the one of that name."""
    values = asdict(row)
    await store.log.write(delete(sources).where(sources.c.name == row.name), sql_insert(sources).values(values))


def remove_source(name: str) -> Write:
    """Guard: forget a source that is there; its events stay."""
    return delete(sources).where(sources.c.name == name).returning(sources.c.name)


async def all_sources(store: Store) -> list[SourceRow]:
    """All sources by name."""
    return await every(store, SourceRow, select(sources).order_by(sources.c.name))


async def source(store: Store, name: str) -> SourceRow | None:
    """One source, or None."""
    return await first(store, SourceRow, Prepared(_source(), {"of_name": name}))


@cache
def _source() -> Select[*tuple[Any, ...]]:
    return select(sources).where(sources.c.name == bindparam("of_name"))


def _all() -> Select[*tuple[object, ...]]:
    return select(arrivals).order_by(arrivals.c.received, arrivals.c.id)
