"""The sources that may send events, as the door asks for them: once a second at the most, however many come."""

from __future__ import annotations

import asyncio
import time

from handrail.store import arrivals
from handrail.store.arrivals import SourceRow
from handrail.store.engine import Store

KEPT = 1.0
"""seconds that an answer of the table is used: so long may another server's change be unseen here"""


class Sources:
    """Looks up sources by name.

    Args:
        store: where they are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, tuple[float, SourceRow]] = {}
        self._looking = asyncio.Lock()

    async def get(self, name: str) -> SourceRow | None:
        """A source, or None; one that is unknown is looked for each time, since strangers can ask for any name."""
        if (there := self._fresh(name)) is not None:
            return there
        async with self._looking:  # of a burst, one looks for all
            if (there := self._fresh(name)) is not None:
                return there
            at = time.monotonic()
            row = await arrivals.source(self._store, name)
            self._kept.pop(name, None)
            if row is not None:
                self._kept[name] = (at, row)
            return row

    async def forget(self, name: str) -> None:
        """Look again: it was changed here. A look that is under way is waited for, so that it keeps nothing old."""
        async with self._looking:
            self._kept.pop(name, None)

    def _fresh(self, name: str) -> SourceRow | None:
        at, row = self._kept.get(name, (0.0, None))
        return row if time.monotonic() - at < KEPT else None
