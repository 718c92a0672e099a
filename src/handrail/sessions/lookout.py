"""Looks after questions that nobody answers: lets their agents go, and does what was said for the deadline.

One look reads the rows that are due. There is no task, timer or object for a question that waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Protocol

from handrail.clock import JUMP
from handrail.errors import Conflict, HandrailError
from handrail.kinds import Kind
from handrail.notify import Notice, Occasion
from handrail.sessions.patience import MOST_ESCALATIONS, Asking, later, passed
from handrail.store import approvals, sessions
from handrail.store.approvals import ApprovalRow
from handrail.store.engine import Store
from handrail.store.log import Draft
from handrail.store.tables import Then
from handrail.types import Json, SessionId

_log = logging.getLogger(__name__)


class Parked(Enum):
    """What became of the agent of a question that waits."""

    GONE = auto()  # nothing is held any more
    BUSY = auto()  # it still does something: ask again later
    KEPT = auto()  # it could not take up its session again, and is kept


class Parking(Protocol):
    """What can let its agent go while it waits: a session's actor."""

    def park(self) -> Parked:
        """Let the agent go, if it does nothing but wait."""
        ...


Deny = Callable[[ApprovalRow, str], Awaitable[None]]
"""answers a question with deny, because of the sentence"""


class Lookout:
    """Looks at what is due.

    Args:
        store: where the questions are.
        asking: clock, patience, and how people are told.
        living: the sessions that have something running.
        deny: answers a question for its deadline.
    """

    def __init__(self, store: Store, asking: Asking, living: Mapping[SessionId, Parking], deny: Deny) -> None:
        self._store = store
        self._asking = asking
        self._living = living
        self._deny = deny

    async def look(self) -> None:
        """Do what is due now; what cannot be done is told to the log and tried again."""
        at = self._asking.clock()
        try:
            rows = await approvals.due(self._store, at)
        except HandrailError as error:
            _log.error("open questions could not be looked at: %s", error)
            return
        await asyncio.gather(*(self._tried(row, at) for row in rows))  # together they share a commit

    async def _tried(self, row: ApprovalRow, at: datetime) -> None:
        try:
            await self._one(row, at)
        except Conflict:
            pass  # answered in this very moment
        except HandrailError as error:
            _log.error("approval %s: %s", row.id, error)

    async def _one(self, row: ApprovalRow, at: datetime) -> None:
        if row.asked > at + JUMP:
            await self._anew(row, at)
            return
        if passed(row, at):
            if row.then is Then.DENY:
                await self._deny(row, "nobody answered by the deadline")
                return
            await self._escalate(row, at)
            row = await approvals.get(self._store, row.id)
        if row.released is not None:
            await self._store.log.write(approvals.look_at(row.id, later(row, at)))
            return
        release = row.asked + timedelta(seconds=self._asking.patience.release)
        if release > at:
            deadline = later(row, at)
            await self._store.log.write(approvals.look_at(row.id, min(release, deadline) if deadline else release))
            return
        actor = self._living.get(row.session)
        match Parked.GONE if actor is None else actor.park():
            case Parked.GONE:
                await self._store.log.write(guard=approvals.release(row.id, at, later(row, at)))
            case Parked.KEPT:
                await self._store.log.write(approvals.look_at(row.id, later(row, at)))
            case Parked.BUSY:
                pass

    async def _anew(self, row: ApprovalRow, at: datetime) -> None:
        """The clock was far ahead when it was asked, and was set right: its time counts from now."""
        deadline = None if row.deadline is None else at + (row.deadline - row.asked)
        text = f"the clock of this machine was set back: the time of the question “{row.title}” counts from now"
        await self._store.log.append(
            row.session,
            [Draft(Kind.NOTICE, {"level": "warning", "text": text}, row.turn)],
            approvals.anew(row.id, at, deadline, self._asking.patience.due(at, deadline)),
        )

    async def _escalate(self, row: ApprovalRow, at: datetime) -> None:
        times = row.escalations + 1
        deadline = self._asking.patience.until(at) if times < MOST_ESCALATIONS else None
        data: Json = {"approval": row.id, "times": times}
        if deadline is not None:
            data["deadline"] = deadline.isoformat()
        session = await sessions.get(self._store, row.session)
        notice = asked_notice(row, session.agent, times)
        await self._store.log.append(
            row.session,
            [Draft(Kind.APPROVAL_ESCALATED, data, row.turn)],
            *self._asking.tell(notice, f"approval:{row.id}:{times}"),
            guard=approvals.escalate(row, deadline),
        )


def asked_notice(row: ApprovalRow, agent: str, times: int = 0) -> Notice:
    """What people are told of a question; `times` is how often they were told before."""
    return Notice(
        occasion=Occasion.ESCALATED if times else Occasion.ASKED,
        title=row.title,
        detail=row.why,
        session=row.session,
        agent=agent,
        approval=row.id,
        times=times,
        facts={"tool": row.tool, "then": row.then.value}
        | ({} if row.deadline is None else {"deadline": row.deadline.isoformat()}),
    )
