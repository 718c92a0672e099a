"""A session's row and its log, written together: an event and the state that it leads to are one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from handrail.store import sessions as rows
from handrail.store.engine import Store
from handrail.store.log import Draft, Write
from handrail.store.sessions import SessionChanges, SessionRow
from handrail.types import Event, SessionId, now


class Record:
    """What one session is now. The only place that changes its row.

    Args:
        store: the database.
        row: the session as it was read.
    """

    def __init__(self, store: Store, row: SessionRow) -> None:
        self.store = store
        self.log = store.log
        self.row = row

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
        self.row = replace(before, **columns)
        try:
            return await self.log.append(self.id, drafts, rows.update(self.id, **columns), *writes, guard=guard)
        except BaseException:
            if guard is not None:
                self.row = before
            raise
