"""The event log: appended before anything is shown, in one transaction with the rows that an event changes.

One writer task commits whatever has queued up meanwhile as one transaction (group commit), so that fifty sessions cost
little more than one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from itertools import chain, groupby
from typing import Any, TypeAlias

from msgspec import Struct, field
from sqlalchemy import Connection, CursorResult, Executable, Insert, Row, Select, bindparam, func, insert, select
from sqlalchemy.exc import StatementError
from sqlalchemy.sql.dml import UpdateBase

from handrail.errors import Conflict, HandrailError, InvalidInput, Unavailable
from handrail.kinds import Kind
from handrail.store.columns import Encoded, encode
from handrail.store.database import Database
from handrail.store.faults import FAULTS, is_environment, translate
from handrail.store.subscription import Subscription
from handrail.store.tables import events
from handrail.types import Event, Json, SessionId, now


class Prepared(Struct, frozen=True):
    """A statement that never changes, with the values of one use: it is built and compiled once."""

    statement: Executable
    values: Mapping[str, object]


class Shared(Prepared, frozen=True):
    """A guard that inserts a row unless it is there; those of one batch go to the database as one.

    One by one they cost twice as much, and what comes from outside comes in bursts.

    Args:
        together: the statement without RETURNING, which no driver gives for many.
        kept: selects those of the ids `these` that are there.
    """

    together: Executable
    kept: Executable


Write: TypeAlias = Executable | Prepared
"""A change to rows, made by a module of this room and carried out by `EventLog`; opaque to everybody else."""

_BATCH = 256
"""appends in one transaction, at the most: what comes later waits for one commit, not for many"""
COMPANY = 0.01
"""seconds that an append which is in no hurry waits for others to share its commit"""

LISTED = frozenset(
    {
        "runs", "tasks", "effects", "workflows", "workflow_versions", "ticks", "arrivals", "polls", "sources", "forges",
        "members", "providers", "secrets",
    }
)  # fmt: skip
"""tables whose rows stand in lists without an event of a session that tells of a change"""


class Draft(Struct, frozen=True):
    """An event before it has a number and a time. `data` belongs to the log from then on."""

    kind: Kind
    data: Json
    turn: int | None = None


class _Request(Struct):
    session: SessionId | None
    time: datetime
    drafts: Sequence[Draft]
    encoded: list[Encoded]
    writes: Sequence[Write]
    guard: Write | None
    future: asyncio.Future[list[Event]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def listed(self) -> bool:
        """It changes rows that lists show."""
        writes = self.writes if self.guard is None else (*self.writes, self.guard)
        return any(_table(write) in LISTED for write in writes)

    @property
    def empty(self) -> bool:
        """Nothing to write: it only waits for its place in the queue."""
        return not self.drafts and not self.writes and self.guard is None

    def resolve(self, result: list[Event] | BaseException) -> None:
        """Tell the caller, unless it was cancelled while it waited."""
        if self.future.done():
            return
        if isinstance(result, BaseException):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


class EventLog:
    """Appends to, reads and follows the log of every session.

    Args:
        database: where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._where = database.where
        self.moves = 0
        """counts the commits, of this process, of anything that a page may show"""
        self._queue: deque[_Request] = deque()
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._last: dict[SessionId, int] = {}
        self._followers: dict[SessionId | None, set[Subscription]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the writer; `Store.open` does it."""
        self._task = asyncio.create_task(self._run(), name="event log writer")

    async def close(self) -> None:
        """Write what is queued, then end the writer and every subscription. Idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        self._wake.set()
        await asyncio.wait({task})
        for follower in list(chain.from_iterable(self._followers.values())):
            follower.close()

    async def append(
        self,
        session: SessionId,
        drafts: Iterable[Draft],
        *writes: Write,
        guard: Write | None = None,
        hurry: bool = True,
    ) -> list[Event]:
        """Append events to a session's log and carry out `writes`, all of it or nothing, before it returns.

        A caller that is cancelled while it waits does not take back what it asked for.

        Args:
            session: whose log; its row is there, or is inserted by one of `writes`.
            drafts: the events, in order.
            writes: what else changes in the same transaction.
            guard: a conditional write with RETURNING, carried out first; when it returns no row, nothing is written.
            hurry: whether to commit now; else it may wait `COMPANY` seconds for others, or for `hurry()`.

        Raises:
            Conflict: `guard` found nothing to change, or a unique value is taken.
            NotFound: there is no such session.
            InvalidInput: a value cannot be stored.
            StorageFull: no room is left; nothing was written.
        """
        drafts = list(drafts)
        encoded: list[Encoded] = []
        for at, draft in enumerate(drafts):
            text, clean = encode(draft.data)
            encoded.append(text)
            if clean is not None:
                drafts[at] = Draft(draft.kind, clean, draft.turn)
        return await self._queued(_Request(session, now(), drafts, encoded, writes, guard), hurry=hurry)

    async def write(self, *writes: Write, guard: Write | None = None) -> None:
        """Carry out `writes` that no event belongs to, as `append` does."""
        await self._queued(_Request(None, now(), (), [], writes, guard))

    def hurry(self) -> None:
        """Commit now what waits for company."""
        if self._queue:
            self._wake.set()

    async def flush(self) -> None:
        """Wait until everything that was appended before is committed, or has failed."""
        await self._queued(_Request(None, now(), (), [], (), None))

    async def read(
        self, session: SessionId, after: int = 0, limit: int = 500, kinds: Collection[Kind] | None = None
    ) -> list[Event]:
        """Read events with `seq > after` in order, `limit` at the most; those of some kinds, where they are named."""
        values: Json = {"of_session": session, "after": after, "most": limit}
        page = (_page(), values) if kinds is None else (_page_of(), values | {"kinds": list(kinds)})
        (found,) = await self._database.rows(page)
        return [_event(session, row) for row in found]

    async def last_seq(self, session: SessionId) -> int:
        """The number of a session's last event; 0 when there is none."""
        known = self._last.get(session)
        if known is None:
            ((row,),) = await self._database.rows((_last(), {"of_session": session}))
            known = row[0] or 0
        return known

    def subscribe(
        self,
        session: SessionId | None = None,
        after: int = 0,
        *,
        others: bool = False,
        unless: Collection[Kind] = (),
        rows: bool = False,
    ) -> Subscription:
        """Follow one session's log from `after` on, or what every session appends from now on, or (`others`) both.

        With `unless`, events of those kinds need not come of other sessions. With `rows`, a follower of every session
        is told as well when rows change that lists show. A reader that is slow never holds up the writer: it reads the
        table again.
        """
        subscription = Subscription(self.read, self._leave, session, after, others=others, unless=unless, rows=rows)
        self._followers.setdefault(subscription.session, set()).add(subscription)
        return subscription

    def _leave(self, subscription: Subscription) -> None:
        followers = self._followers[subscription.session]
        followers.discard(subscription)
        if not followers:
            del self._followers[subscription.session]

    async def _queued(self, request: _Request, *, hurry: bool = True) -> list[Event]:
        if self._task is None or self._task.done():
            raise Unavailable(f"{self._where} is closed: start the server again")
        self._queue.append(request)
        if hurry:
            self._wake.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(COMPANY, self._wake.set)
        return await request.future

    # --- the writer ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while self._task is not None or self._queue:
            await self._wake.wait()
            await asyncio.sleep(0)  # whoever can run now can still join
            self._wake.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            queued, self._queue = self._queue, deque()
            while queued:
                batch = [queued.popleft() for _ in range(min(len(queued), _BATCH))]
                self._settle(batch, await self._commit(batch))

    def _settle(self, batch: list[_Request], results: list[list[Event] | BaseException]) -> None:
        for request, result in zip(batch, results, strict=True):
            request.resolve(result)
        listed = False
        for request, result in zip(batch, results, strict=True):
            if not isinstance(result, list):
                continue
            if result:
                self.moves += 1
                for follower in (*self._followers.get(request.session, ()), *self._followers.get(None, ())):
                    follower.push(result)
            listed = listed or request.listed
        if listed:
            self.moves += 1
            for follower in self._followers.get(None, ()):
                if follower.rows:
                    follower.nudge()

    async def _commit(self, batch: list[_Request]) -> list[list[Event] | BaseException]:
        """Commit the batch as one; where that fails, each request by itself: only the culprit's caller hears."""
        try:
            return await self._database.write(partial(self._transact, batch=batch))
        except Exception as error:  # noqa: BLE001  # the writer outlives whatever one caller hands in; each is told
            failure = self._failure(error)
        for request in batch:
            if request.session is not None:
                self._last.pop(request.session, None)  # another process may have written
        if is_environment(failure):
            return [failure for _ in batch]
        results: list[list[Event] | BaseException] = []
        for request in batch:
            try:
                results += await self._database.write(partial(self._transact, batch=[request]))
            except Exception as error:  # noqa: BLE001  # as above
                results.append(self._failure(error))
        return results

    def _failure(self, error: Exception) -> Exception:
        if type(error) is StatementError and isinstance(error.orig, Exception):  # a column type refused the value
            return self._failure(error.orig)
        if isinstance(error, FAULTS):
            failure: HandrailError = translate(error, self._where)
        elif isinstance(error, UnicodeEncodeError):
            failure = InvalidInput("text", error.object[error.start : error.end], "give valid Unicode")
        else:
            return error
        failure.__cause__ = error
        return failure

    def _transact(self, connection: Connection, batch: list[_Request]) -> list[list[Event] | BaseException]:
        """Write a batch; on an exception nothing was written and no number is used up."""
        if all(request.empty for request in batch):
            return [[] for _ in batch]
        results: list[list[Event] | BaseException] = []
        last: dict[SessionId, int] = {}
        rows: list[dict[str, object]] = []
        with connection.begin():
            known = _together(connection, batch)
            for at, request in enumerate(batch):
                if request.guard is not None and not (known[at] if at in known else _held(connection, request.guard)):
                    results.append(Conflict("this was decided before, or is not there any more"))
                    continue
                _carry_out(connection, request.writes)
                results.append(self._number(connection, request, last, rows))
            if rows:
                connection.execute(_insert(), rows)
        self._last |= last
        return results

    def _number(
        self, connection: Connection, request: _Request, last: dict[SessionId, int], rows: list[dict[str, object]]
    ) -> list[Event]:
        """Give the request's events their numbers and add their rows."""
        if request.session is None or not request.drafts:
            return []
        session = request.session
        seq = last.get(session, self._last.get(session))
        if seq is None:
            seq = connection.scalar(_last(), {"of_session": session}) or 0
        made = []
        for draft, text in zip(request.drafts, request.encoded, strict=True):
            seq += 1
            kind = draft.kind.value
            made.append(Event(session, seq, request.time, kind, draft.data, draft.turn))
            rows.append(
                {"session": session, "seq": seq, "time": request.time, "turn": draft.turn, "kind": kind, "data": text}
            )
        last[session] = seq
        return made


def _table(write: Write) -> str | None:
    statement = write.statement if isinstance(write, Prepared) else write
    return getattr(statement.table, "name", None) if isinstance(statement, UpdateBase) else None


def _execute(connection: Connection, write: Write) -> CursorResult[Any]:
    if isinstance(write, Prepared):
        return connection.execute(write.statement, write.values)
    return connection.execute(write)


def _carry_out(connection: Connection, writes: Sequence[Write]) -> None:
    """Carry writes out in order; what is alike and follows one another goes to the database as one."""
    for _, group in groupby(writes, _likeness):
        alike = list(group)
        values = [write.values for write in alike if isinstance(write, Prepared)]
        statement = alike[0].statement if isinstance(alike[0], Prepared) else alike[0]
        # no driver returns anything for many: a guard among the writes goes by itself
        if len(values) > 1 and isinstance(statement, UpdateBase) and not statement.returning_column_descriptions:
            connection.execute(statement, values)
        else:
            for write in alike:
                _execute(connection, write)


def _likeness(write: Write) -> tuple[object, ...]:
    # what a statement makes of its values depends on which there are
    return (id(write.statement), *write.values) if isinstance(write, Prepared) else (id(write),)


def _held(connection: Connection, guard: Write) -> bool:
    """Carry a guard out: whether it found what to change."""
    return _execute(connection, guard).first() is not None


def _together(connection: Connection, batch: Sequence[_Request]) -> dict[int, bool]:
    """Carry out the guards of a batch that can be as one, before all else of it; by place, whether each held."""
    found = {at: request.guard for at, request in enumerate(batch) if isinstance(request.guard, Shared)}
    if len(found) < 2:
        return {}
    one = next(iter(found.values()))
    alike = {at: guard.values for at, guard in found.items() if guard.together is one.together}
    ids = {at: values["id"] for at, values in alike.items()}
    connection.execute(one.together, list(alike.values()))
    there = set(connection.execute(one.kept, {"these": list(ids.values())}).scalars())
    return {at: identity in there for at, identity in ids.items()}


@cache
def _insert() -> Insert:
    return insert(events)


@cache
def _page() -> Select[*tuple[Any, ...]]:
    return (
        select(events.c.seq, events.c.time, events.c.turn, events.c.kind, events.c.data)
        .where(events.c.session == bindparam("of_session"), events.c.seq > bindparam("after"))
        .order_by(events.c.seq)
        .limit(bindparam("most"))
    )


@cache
def _page_of() -> Select[*tuple[Any, ...]]:
    return _page().where(events.c.kind.in_(bindparam("kinds", expanding=True)))


@cache
def _last() -> Select[*tuple[Any, ...]]:
    return select(func.max(events.c.seq)).where(events.c.session == bindparam("of_session"))


def _event(session: SessionId, row: Row[*tuple[Any, ...]]) -> Event:
    seq, time, turn, kind, data = row
    return Event(session, seq, time, kind, data, turn)
