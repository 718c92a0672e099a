"""Looks ahead: a credential that ends, or was revoked, before a schedule needs it is told of while there is time."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from handrail.errors import HandrailError
from handrail.loop import Loop
from handrail.notify import Notice, Occasion
from handrail.store import forges as forge_rows
from handrail.store.engine import Store
from handrail.store.forges import ForgeRow
from handrail.store.log import Write
from handrail.triggers.ticker import Scheduled
from handrail.types import now
from handrail.workflows.cron import upcoming

_log = logging.getLogger("handrail.triggers")

AHEAD = timedelta(days=1)
"""how long before a due time credentials are tried"""
EACH = 3600.0
"""seconds between looks"""
FIRST = 60.0
"""seconds from a server's start to its first look"""


def trouble(row: ForgeRow, due: datetime) -> str | None:
    """Why a forge's credential will not serve at a due time; None where nothing is known against it."""
    mend = f"set a new one with `handrail forges set {row.name}`"
    if row.trouble is not None:
        return f"the credential of {row.name} is not taken any more: {mend}"
    if row.ends is not None and row.ends <= due:
        return f"the credential of {row.name} ends at {row.ends:%Y-%m-%d %H:%M} UTC, before it is needed: {mend}"
    return None


class Foresight:
    """Tries the credentials that schedules of the next day need.

    Args:
        store: where forges are.
        scheduled: the enabled workflows with schedules, asked at each look.
        check: tries the credential of a forge and keeps what it found.
        tell: the rows that tell people of a notice; of one key, once.
        clock: gives the time.
    """

    def __init__(
        self,
        store: Store,
        scheduled: Callable[[], Awaitable[Sequence[Scheduled]]],
        check: Callable[[str], Awaitable[object]],
        tell: Callable[[Notice, str], Sequence[Write]],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._store = store
        self._scheduled = scheduled
        self._check = check
        self._tell = tell
        self._clock = clock
        self._loop = Loop("credentials", self._again, retry=EACH, first=FIRST)

    async def start(self) -> None:
        """Look from now on."""
        self._loop.start()

    async def stop(self) -> None:
        """Stop."""
        await self._loop.stop()

    async def _again(self) -> float:
        await self.look()
        return EACH

    async def look(self) -> None:
        """Try the credential of each forge that a schedule needs within a day; tell of those that will not serve."""
        at = self._clock()
        needed: dict[str, tuple[datetime, list[str]]] = {}
        for item in await self._scheduled():
            for due in upcoming([rule.cron for rule in item.rules], at, 1):
                for forge in item.forges if due - at <= AHEAD else ():
                    first, names = needed.get(forge, (due, []))
                    needed[forge] = min(first, due), [*names, item.row.name]
        for forge, (due, names) in needed.items():
            with contextlib.suppress(HandrailError):  # what a check found stands in the row; an outage passes
                await self._check(forge)
            row = await forge_rows.get(self._store, forge)
            why = None if row is None else trouble(row, due)
            if row is None or why is None:
                continue
            _log.warning("%s, due at %s: %s", ", ".join(names), due, why)
            facts: dict[str, object] = {"forge": forge, "workflows": names, "due": due.isoformat()}
            notice = Notice(Occasion.CREDENTIAL, ", ".join(names)[:200], why, facts=facts)
            key = f"credential:{forge}:{row.created.isoformat()}:{row.ends or at.date()}"
            await self._store.log.write(*self._tell(notice, key))
