"""Asks forges for news where no webhook can reach this machine, and stores what it finds as events like any other.

What a look found and how far it read are one transaction under the look's epoch: a server that dies in the midst of it
has done nothing, one that was too slow writes nothing, and of several servers one alone looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from msgspec.structs import replace

from handrail.errors import Conflict, ForgeError, HandrailError
from handrail.forges import ForgeKind, News
from handrail.loop import Loop
from handrail.store import arrivals
from handrail.store import polls as rows
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.polls import PollRow
from handrail.triggers import DAY, Settings
from handrail.triggers.receive import arrival
from handrail.triggers.senders import gitea, github, gitlab
from handrail.types import Json, now

_log = logging.getLogger("handrail.triggers")

LOOK = 30.0
"""seconds after which the table is looked at unasked: another server may have changed it"""
RETRY = 5.0
"""seconds until the table is tried again that could not be read"""
LEASE = timedelta(seconds=90)
"""how long a look belongs to the server that began it"""
PATIENCE = 60.0
"""seconds that a look may take; shorter than the lease"""
LONGEST = timedelta(hours=1)
"""between two tries, however often they failed"""
AT_ONCE = 4
"""looks at the same time"""
_READ = {ForgeKind.GITHUB: github.message, ForgeKind.GITLAB: gitlab.message, ForgeKind.GITEA: gitea.message}
"""how what a forge of this kind tells is read: as its webhooks are"""


class Forges(Protocol):
    """Where news come from."""

    async def news(self, source: str, repository: str, seen: Json) -> News:
        """Ask the forge of that name; see `handrail.forges.Forge.news`."""
        ...

    async def settings(self, source: str) -> Settings:
        """Who Handrail is there."""
        ...


class Poller:
    """Looks at all repositories that are polled, each when it is due.

    Args:
        store: where they are.
        forges: are asked.
        arrived: hears that events were stored.
        clock: gives the time.
    """

    def __init__(
        self, store: Store, forges: Forges, arrived: Callable[[], None], clock: Callable[[], datetime] = now
    ) -> None:
        self._store = store
        self._forges = forges
        self._arrived = arrived
        self._clock = clock
        self._loop = Loop("polls", self.look, retry=RETRY)

    async def start(self) -> None:
        """Begin with what is due."""
        self._loop.start()

    async def stop(self) -> None:
        """Stop; a look that is under way is left to whoever comes next."""
        await self._loop.stop()

    def wake(self) -> None:
        """Look now: what is polled was changed."""
        self._loop.wake()

    async def look(self) -> float:
        """Look at all that is due; returns the seconds until the next is."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(row: PollRow) -> None:
            async with places:
                at = self._clock()
                with contextlib.suppress(Conflict):  # another server was faster, or it is not polled any more
                    await self._store.log.write(guard=rows.claim(row, at, LEASE))
                    await self._one(row, at)

        due = await rows.ready(self._store, self._clock())
        ended = await asyncio.gather(*map(one, due), return_exceptions=True)
        if failures := [error for error in ended if isinstance(error, Exception)]:
            raise ExceptionGroup("of the looks at repositories", failures)
        following = await rows.following(self._store)
        return LOOK if following is None else min(LOOK, max(0.0, (following - self._clock()).total_seconds()))

    async def _one(self, row: PollRow, at: datetime) -> None:
        """One look, which was claimed.

        Raises:
            Conflict: it took so long that another server began one.
        """
        where = f"{row.repository} of {row.source}"
        try:
            async with asyncio.timeout(PATIENCE):
                settings = await self._forges.settings(row.source)
                found = await self._forges.news(row.source, row.repository, row.seen)
        except HandrailError as error:
            await self._failed(row, at, error.message, (error.wait if isinstance(error, ForgeError) else None) or 0.0)
        except TimeoutError:
            await self._failed(row, at, f"no answer about {where} within {PATIENCE:.0f} s", 0.0)
        except Exception as error:  # noqa: BLE001  # the edge of all polls: one odd answer must not stop the others
            _log.exception("looking at %s failed", where)
            await self._failed(row, at, f"what it answered could not be read: {error!r}"[:500], 0.0)
        else:
            await self._keep(row, at, found, settings)

    async def _failed(self, row: PollRow, at: datetime, said: str, wait: float) -> None:
        pause = min(timedelta(seconds=row.every) * 2 ** min(row.failures + 1, 20), LONGEST)
        due = max(at + pause, self._clock() + timedelta(seconds=wait))
        _log.warning("%s of %s could not be looked at, tried again at %s: %s", row.repository, row.source, due, said)
        await self._store.log.write(guard=rows.fail(row, said, due))

    async def _keep(self, row: PollRow, at: datetime, found: News, settings: Settings) -> None:
        window = DAY + (at - (row.looked or at))  # a webhook may have told of it since the last look
        writes: list[Write] = []
        for event, payload in found.told:
            seen = _READ[found.kind](event, payload, None)
            told = replace(seen, delivery=f"poll:{seen.meaning}"[:1000])  # a look that is repeated finds it kept
            writes.append(arrivals.put(arrival(row.source, told, at, settings), window))
        due = at + timedelta(seconds=max(row.every, found.wait or 0.0))
        await self._store.log.write(*writes, guard=rows.succeed(row, found.seen, at, due))
        if writes:
            self._arrived()
