"""A session's row and its log, written together: an event and the state that it leads to are one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Unpack

from msgspec.structs import replace

from handrail.sessions.stopwatch import Stopwatch
from handrail.store import sessions as rows
from handrail.store.engine import Store
from handrail.store.log import Draft, Write
from handrail.store.sessions import SessionChanges, SessionRow
from handrail.types import Control, Event, Json, SessionId, now

_KEEP = 30.0
"""seconds of a goal's time that a crash may forget, at the most"""


class Record:
    """What one session is now. The only place that changes its row.

    Args:
        store: the database.
        row: the session as it was read.
        running: tells seconds by a clock that is never set.
    """

    def __init__(self, store: Store, row: SessionRow, running: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self.log = store.log
        self.row = row
        self.watch = Stopwatch(row.goal_seconds, running)
        """how long it has worked towards its goal; kept with every write"""
        self.resting = True
        """nothing is under way, and nothing was asked that is still to be taken up"""

    @property
    def id(self) -> SessionId:
        """The session's id."""
        return self.row.id

    async def write(
        self,
        *drafts: Draft,
        writes: tuple[Write, ...] = (),
        guard: Write | None = None,
        **columns: Unpack[SessionChanges],
    ) -> list[Event]:
        """Append `drafts` and change the row in one transaction.

        The row in memory changes before the write is awaited, so that sums computed from it by several writers of one
        loop add up.

        Raises:
            Conflict: `guard` found nothing to change, and nothing was written.
            StorageFull: the data directory takes no more.
        """
        before = self.row
        columns["updated"] = now()
        if self.pursues:
            columns.setdefault("goal_seconds", self.watch.seconds)
        self.row = replace(before, **columns)
        try:
            return await self.log.append(self.id, drafts, rows.update(self.id, **columns), *writes, guard=guard)
        except BaseException:
            if guard is not None:
                self.row = before
            raise

    async def keep_time(self) -> None:
        """Keep the time worked towards the goal where the row is far behind; to be called now and then."""
        if self.pursues and self.watch.seconds - self.row.goal_seconds >= _KEEP:
            await self.write()

    def cost(self, nano: int, unpriced: int | None = None) -> Json:
        """What an event says of money: where the agent's own login pays, that nobody meters it."""
        told: Json = {"metered": False} if self.row.login else {"cost_nano": nano}
        if unpriced is not None and not self.row.login:
            told["unpriced"] = unpriced
        return told

    @property
    def pursues(self) -> bool:
        """Whether the agent works towards a goal."""
        row = self.row
        return row.control == Control.AGENT and row.goal is not None and row.outcome is None
