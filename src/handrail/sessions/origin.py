"""Where a session comes from that was branched off another: told by its own log, and by that of the other one."""

from __future__ import annotations

from msgspec import Struct

from handrail.kinds import Kind
from handrail.sessions.summary import BRANCHED, replay
from handrail.store.log import EventLog
from handrail.types import Event, SessionId

_TAIL = 3000
"""events of the other session that are looked at"""
_DEPTH = 5
"""branches of branches that are followed"""


class Origin(Struct, frozen=True):
    """The session and the turn after which another began."""

    session: SessionId
    turn: int


async def of(log: EventLog, session: SessionId) -> Origin | None:
    """Where a session was branched off; None for one that was not."""
    first = await log.read(session, limit=1)
    given = first[0].data.get("branched") if first and first[0].kind == Kind.SESSION_CREATED else None
    if not isinstance(given, dict):
        return None
    return Origin(SessionId(str(given["session"])), int(str(given["turn"])))


async def told(log: EventLog, session: SessionId) -> str:
    """What the agent of a branched session is told of what was before; empty for any other."""
    if await of(log, session) is None:
        return ""
    return replay(await _before(log, session, _DEPTH), BRANCHED)


async def _before(log: EventLog, session: SessionId, depth: int) -> list[Event]:
    """What happened up to where `session` begins, in the sessions that it comes from."""
    begun = await of(log, session) if depth else None
    if begun is None:
        return []
    last = await log.last_seq(begun.session)
    events = await log.read(begun.session, after=max(0, last - _TAIL), limit=_TAIL)
    earlier = await _before(log, begun.session, depth - 1)
    return earlier + [event for event in events if event.turn is not None and event.turn <= begun.turn]
