"""The door of the room: finds or makes the one actor of a session, resumes what was under way, releases what idles."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from pathlib import Path

from handrail.errors import InvalidInput, StorageFull
from handrail.kinds import Kind
from handrail.policy.learn import Proposal
from handrail.sessions import budgets, logins
from handrail.sessions.actor import given_up
from handrail.sessions.actors import Actors, Elsewhere
from handrail.sessions.create import create, title_of
from handrail.sessions.lookout import Lookout
from handrail.sessions.models import served_by
from handrail.sessions.questions import Answer
from handrail.sessions.recovery import NO_DATABASE, NO_ROOM
from handrail.sessions.rooms import NewSession, Rooms
from handrail.sessions.shells import Shells
from handrail.store import approvals, snapshots
from handrail.store import sessions as rows
from handrail.store.approvals import ApprovalRow
from handrail.store.engine import Store
from handrail.store.log import Draft
from handrail.types import ApprovalId, Goal, Lasts, Outcome, SessionId
from handrail.workspaces import Applied, ApplyMode, Change
from handrail.workspaces.apply import apply
from handrail.workspaces.find import find

_log = logging.getLogger(__name__)

_SWEEP = 5.0
"""seconds between looks for agents that idle"""


class Sessions:
    """All sessions of one server.

    Args:
        rooms: the rooms below.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self.gateway = rooms.gateway
        """where budgets that sessions share are bound"""
        self.served = partial(served_by, rooms.gateway.providers, rooms.roster)
        """the provider that serves an agent who is told this one, or none"""
        self.actors = Actors(rooms)
        self._sweeper: asyncio.Task[None] | None = None
        self._recovering: list[asyncio.Task[None]] = []
        self.shells = Shells(self.actors.use)
        """what people opened inside the walls"""

        async def deny(row: ApprovalRow, because: str) -> None:
            await self.answer(row.id, "deny", option=None, because=because, by="deadline")

        self._lookout = Lookout(rooms.store, rooms.asking, self.actors.living, deny)

    async def start(self) -> None:
        """Take up what was under way when the last server ended, each session by itself, and start sweeping."""
        left = await rows.with_login(self._rooms.store)
        await asyncio.to_thread(logins.forget_all, self._rooms.roster, left, self._rooms.config.data / "sessions")
        await budgets.load(self._rooms.store, self._rooms.gateway)
        parked = await approvals.parked(self._rooms.store)
        for row in await rows.under_way(self._rooms.store):
            if row.id in parked:
                continue
            self._recovering.append(asyncio.create_task(self.actors.recover(row.id), name=f"recover {row.id}"))
        self._sweeper = asyncio.create_task(self._sweep(), name="sweeper")

    async def stop(self) -> None:
        """End every process; what was handed off goes on at the next start."""
        tasks = [*self._recovering, *([self._sweeper] if self._sweeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.shells.stop()
        await asyncio.gather(*(actor.halt() for actor in self.actors.living.values()), return_exceptions=True)
        self.actors.living.clear()

    async def create(self, new: NewSession, by: str) -> SessionId:
        """Make a session with its workspace, and begin what it is told; nothing is left when that fails.

        Raises:
            InvalidInput: repository, ref, agent, provider or goal cannot be used.
            MissingPart: the agent, its login or the sandbox is not there.
            SandboxError: the walls do not hold here.
        """
        row = await create(self._rooms, new, by)
        if new.goal is not None or new.prompt is not None:
            async with self.actors.use(row.id, row) as actor:
                actor.wake()
        return row.id

    def pursues(self, session: SessionId) -> bool:
        """Whether an agent is at work here towards the goal of a session, as far as one knows without a look."""
        actor = self.actors.living.get(session)
        return actor is not None and actor.busy and actor.record.pursues

    async def prompt(self, session: SessionId, text: str, by: str) -> tuple[str, bool]:
        """See `Actor.prompt`. The first prompt becomes the title of a session that has none."""
        async with self.actors.use(session) as actor:
            if not actor.record.row.title:
                await actor.record.write(title=title_of(text))
            return await actor.prompt(text, by)

    async def withdraw(self, session: SessionId, prompt: str, by: str) -> None:
        """See `Actor.withdraw`."""
        async with self.actors.use(session) as actor:
            await actor.withdraw(prompt, by)

    async def cancel(self, session: SessionId, by: str) -> None:
        """See `Actor.cancel`."""
        _log.info("session %s: turn cancelled by %s", session, by)
        async with self.actors.use(session) as actor:
            await actor.cancel()

    async def handoff(self, session: SessionId, goal: Goal, by: str) -> None:
        """See `Actor.handoff`."""
        async with self.actors.use(session) as actor:
            if not actor.record.row.title:
                await actor.record.write(title=title_of(goal.text))
            await actor.handoff(goal, by)
        await self.shells.retake(session)

    async def take(self, session: SessionId, by: str) -> None:
        """See `Actor.take`."""
        async with self.actors.use(session) as actor:
            await actor.take(by)

    async def abandon(self, session: SessionId, by: str, grace: float) -> None:
        """See `Actor.abandon`. Where its agent is another server's, that ends it as soon as it sees this."""
        if (row := await rows.get(self._rooms.store, session)).server != self._rooms.store.server:
            drafts, _ = given_up(row, by, {"cost_nano": row.cost_nano - row.goal_spent_nano})
            await self._rooms.store.log.append(
                session, drafts, rows.settle_elsewhere(session, Outcome.CANCELLED, f"given up by {by}")
            )
            return
        async with self.actors.use(session) as actor:
            await actor.abandon(by, grace)

    async def end(self, session: SessionId, by: str) -> None:
        """See `Actor.end`."""
        async with self.actors.use(session) as actor:
            await actor.end(by)

    async def answer(
        self,
        approval: ApprovalId,
        decision: str,
        *,
        option: str | None,
        because: str | None,
        by: str,
        lasts: Lasts = Lasts.ONCE,
    ) -> None:
        """Answer an approval, whether or not its turn still lives; what lasts answers what is like it as well.

        Raises:
            InvalidInput: it shall last, and no narrow rule can be given for it.
            NotFound: no such approval.
            Conflict: it is answered already.
        """
        row = await approvals.get(self._rooms.store, approval)
        async with self.actors.use(row.session) as actor:
            proposal = await actor.turns.questions.always(row) if lasts is not Lasts.ONCE else None
            if lasts is not Lasts.ONCE and proposal is None:
                raise InvalidInput("lasts", row.title, "answer this one alone: no narrow rule can be given for it")
            stands = lasts is Lasts.ALWAYS
            if stands and proposal is not None and not proposal.stands:
                raise InvalidInput("lasts", row.title, "answer it for this session: it can stand for no other")
            await actor.answer(row, Answer(decision == "allow", option, because), by, proposal, stands=stands)

    async def always(self, approval: ApprovalRow) -> Proposal | None:
        """The rules that "always" would write for an approval, and what they would have answered before.

        None where there is no narrow one, or the session is another server's.
        """
        try:
            async with self.actors.use(approval.session) as actor:
                return await actor.turns.questions.always(approval)
        except Elsewhere:
            return None

    async def diff(self, session: SessionId, from_turn: int | None, to_turn: int | None) -> Change:
        """What was changed from the state before `from_turn` (default: all) up to that after `to_turn`.

        Raises:
            InvalidInput: there is no snapshot of such a turn.
        """
        base = head = None
        if from_turn is not None:
            base = await _snapshot(self._rooms.store, session, "from_turn", from_turn - 1)
        if to_turn is not None:
            head = await _snapshot(self._rooms.store, session, "to_turn", to_turn)
        async with self.actors.use(session) as actor:
            return await actor.workplace.change(base, head)

    async def undo(self, session: SessionId, to_turn: int | None) -> tuple[int, str]:
        """See `Actor.undo`."""
        async with self.actors.use(session) as actor:
            return await actor.undo(to_turn)

    async def apply(self, session: SessionId, mode: ApplyMode, branch: str | None, by: str) -> Applied:
        """Bring the change to the user's checkout.

        Raises:
            Conflict: it does not fit the checkout as it is now; nothing was touched.
        """
        async with self.actors.use(session) as actor:
            row = actor.record.row
            latest = await snapshots.latest(self._rooms.store, session)
            head = latest.commit if latest is not None else row.base
            applied = await apply(
                actor.workplace.workspace,
                await find(Path(row.repository)),
                session,
                head=head,
                mode=mode,
                branch=branch,
                title=row.title,
                agent=row.agent,
            )
            data = {"mode": applied.mode, "commit": applied.commit, "files": applied.files, "by": by}
            if applied.branch is not None:
                data["branch"] = applied.branch
            await actor.record.write(Draft(Kind.CHANGE_APPLIED, dict(data)))
            return applied

    async def _sweep(self) -> None:
        """Stop agents that have had nothing to do for long, the longest idle first when there are too many.

        What stopped for want of room on the disk is taken up again, as after a restart: from the log, as it stands.
        """
        while True:
            await asyncio.sleep(_SWEEP)
            await self._lookout.look()
            for actor in [actor for actor in self.actors.living.values() if actor.starved and actor.free]:
                await self.actors.release(actor)
                why = NO_ROOM if isinstance(actor.starved, StorageFull) else NO_DATABASE
                await self.actors.recover(actor.record.id, why)
            idle = sorted((a for a in self.actors.living.values() if a.free), key=lambda actor: actor.idle_since)
            warm = sum(1 for actor in self.actors.living.values() if actor.workplace.agent is not None)
            for actor in idle:
                old = actor.held or time.monotonic() - actor.idle_since > self._rooms.config.agent_idle
                if old or warm > self._rooms.config.warm_agents:
                    warm -= actor.workplace.agent is not None
                    await self.actors.release(actor)


async def _snapshot(store: Store, session: SessionId, field: str, turn: int) -> str:
    kept = await snapshots.after(store, session, turn)
    if kept is None:
        raise InvalidInput(field, turn, "name a turn of this session (`handrail show` lists them)")
    return kept.commit
