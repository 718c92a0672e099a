"""The living actors of one server: at most one a session, made when it is asked for, let go when it does nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from handrail.errors import Conflict, HandrailError, StorageFull, Unavailable
from handrail.sessions.actor import Actor
from handrail.sessions.record import Record
from handrail.sessions.recovery import ELSEWHERE, RESTARTED, recover
from handrail.sessions.rooms import Rooms
from handrail.store import servers
from handrail.store import sessions as rows
from handrail.store.engine import Store
from handrail.store.sessions import SessionRow
from handrail.types import SessionId

_log = logging.getLogger(__name__)


class Elsewhere(Conflict):
    """Another server of this database has the session."""


async def must_be_here(store: Store, row: SessionRow) -> None:
    """Check that a session's workspace is on this machine.

    Raises:
        Elsewhere: another server of this database has it.
    """
    if row.server == store.server:
        return
    host = {one.id: one.host for one in await servers.everything(store)}.get(row.server, "a machine that is not known")
    raise Elsewhere(f"session {row.id} is on another server, on {host}: its workspace is there, so do this there")


class Actors:
    """The actors of one server.

    Args:
        rooms: what they are made with.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self.living: dict[SessionId, Actor] = {}
        self._making: dict[SessionId, asyncio.Lock] = {}

    @contextlib.asynccontextmanager
    async def use(self, session: SessionId, known: SessionRow | None = None) -> AsyncIterator[Actor]:
        """The one actor of a session, kept for as long as the caller needs it.

        Args:
            session: its id.
            known: its row, by a caller who made it just now; else it is read, where no actor is there.

        Raises:
            NotFound: there is no such session.
            Elsewhere: another server has it.
        """
        async with self._making.setdefault(session, asyncio.Lock()):
            actor = self.living.get(session)
            if actor is None:
                row = known or await rows.get(self._rooms.store, session)
                await must_be_here(self._rooms.store, row)
                actor = Actor(self._rooms, Record(self._rooms.store, row, self._rooms.running))
                actor.workplace.fresh = known is not None
                self.living[session] = actor
            actor.users += 1
        try:
            yield actor
        finally:
            actor.users -= 1

    async def recover(self, session: SessionId, why: str = RESTARTED) -> None:
        """Take up what was cut off; what cannot be is told to the log of the server."""
        try:
            async with self.use(session) as actor:
                try:
                    await recover(actor, why)
                except (StorageFull, Unavailable) as error:
                    actor.starved = error
                    raise
        except HandrailError as error:
            _log.error("session %s could not be taken up again: %s", session, error)

    async def release(self, actor: Actor) -> None:
        """Forget an actor that has nothing to do; nobody can get hold of it while it ends its processes."""
        async with self._making.setdefault(actor.record.id, asyncio.Lock()):
            if actor.free:
                await actor.halt()
                self.living.pop(actor.record.id, None)

    async def end_strays(self) -> None:
        """End the agents of sessions that another server of this database has given up."""
        held = {id_: actor for id_, actor in self.living.items() if actor.busy and actor.record.row.outcome is None}
        if not held:
            return
        for session in await rows.settled_elsewhere(self._rooms.store, list(held)):
            actor = held[session]
            if actor.record.row.outcome is not None:  # it came to one here, just now
                continue
            _log.warning("session %s was given up by another server: its agent is ended", session)
            async with self._making.setdefault(session, asyncio.Lock()):
                await actor.halt()
                self.living.pop(session, None)
            await self.recover(session, ELSEWHERE)
