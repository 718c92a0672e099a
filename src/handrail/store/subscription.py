"""Following a log: from the table until caught up, then live, without a gap and without a duplicate."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from types import TracebackType
from typing import Self

from handrail.types import Event, SessionId, now

LIVE = 512
"""events kept for a subscriber that is slow; beyond, it reads the table again"""
PAGE = 200
"""events read from the table at a time"""

ROWS_CHANGED = "rows.changed"
"""kind of what a subscriber is told of rows; it is in no log, and of no session"""

Read = Callable[[SessionId, int, int], Awaitable[list[Event]]]
"""(session, after, limit) → events in order"""


class Subscription:
    """One reader of the log: `async with` it, then `async for event` or `await batch()`.

    Args:
        read: reads the table.
        leave: called once, when it is left.
        session: whose events; None for those of every session from now on.
        after: the last event that the reader has; nothing when `session` is None.
        others: with `session`, what every other session appends from now on comes as well.
        unless: kinds of other sessions' events that need not come.
        rows: it is told, by `ROWS_CHANGED`, when rows change that lists show and no event tells of.
    """

    def __init__(
        self,
        read: Read,
        leave: Callable[[Subscription], None],
        session: SessionId | None,
        after: int,
        *,
        others: bool = False,
        unless: Collection[str] = (),
        rows: bool = False,
    ) -> None:
        self._own = session
        self._unless = unless
        self.session = None if others else session
        """whose followers it is one of"""
        self.rows = rows
        self._read = read
        self._leave = leave
        self._live: deque[Event] = deque()
        self._handing: deque[Event] = deque()
        self._taken: dict[SessionId, int] = {}  # last seq that is in `_live`, or was handed out
        self._behind: dict[SessionId, int] = {}  # to be read from the table, at least up to this seq
        self._wake = asyncio.Event()
        self._closed = False
        if session is not None:
            self._taken[session] = after
            self._behind[session] = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if not self._handing:
            self._handing.extend(await self.batch())
        if not self._handing:
            raise StopAsyncIteration
        return self._handing.popleft()

    async def batch(self) -> list[Event]:
        """Wait for the next events: at least one; none when the log was closed.

        Events of one session come in order; those of different sessions in the order of their commits, unless the
        reader fell behind.
        """
        while True:
            if self._live:
                events = list(self._live)
                self._live.clear()
                return events
            if self._closed:
                return []
            if self._behind:
                if events := await self._catch_up():
                    return events
            else:
                self._wake.clear()
                await self._wake.wait()

    def push(self, events: Sequence[Event]) -> None:
        """Take committed events of one session. Never blocks: what does not fit is left in the table."""
        for event in events:
            self._take(event)
        if self._live or self._behind:
            self._wake.set()

    def nudge(self) -> None:
        """Say that rows changed: once, until the reader looked."""
        if not self._live or self._live[-1].kind != ROWS_CHANGED:
            self._live.append(Event(SessionId(""), 0, now(), ROWS_CHANGED, {}, None))
            self._wake.set()

    def close(self) -> None:
        """Leave the log. Idempotent."""
        if not self._closed:
            self._closed = True
            self._wake.set()
            self._leave(self)

    def _take(self, event: Event) -> None:
        session = event.session
        if session in self._behind:
            self._behind[session] = event.seq
            return
        taken = self._taken.get(session, event.seq - 1)
        if event.seq <= taken:  # was read from the table between its commit and now
            return
        # a seq that does not follow was written by another process: the table has what is between
        if event.seq == taken + 1 and session != self._own and event.kind in self._unless:
            self._taken[session] = event.seq
        elif event.seq == taken + 1 and len(self._live) < LIVE:
            self._live.append(event)
            self._taken[session] = event.seq
        else:
            self._taken[session] = taken
            self._behind[session] = event.seq

    async def _catch_up(self) -> list[Event]:
        session = next(iter(self._behind))
        page = await self._read(session, self._taken[session], PAGE)
        if page:
            self._taken[session] = page[-1].seq
        # no await between this look and the removal: what is committed later is pushed to a reader that is not behind
        if not page or (len(page) < PAGE and self._taken[session] >= self._behind[session]):
            del self._behind[session]
        return page
