"""One session that has work: takes prompts and goals one after the other, and hands control over when told to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from handrail.errors import Conflict, InvalidInput, StorageFull, Unavailable
from handrail.kinds import Kind
from handrail.policy.learn import Proposal
from handrail.sessions.allowance import Allowance
from handrail.sessions.goals import TurnEnd, answered_prompt, first_prompt
from handrail.sessions.handover import handed_over
from handrail.sessions.lookout import Parked
from handrail.sessions.pursuit import Pursuit
from handrail.sessions.questions import Answer
from handrail.sessions.record import Record
from handrail.sessions.rooms import Rooms
from handrail.sessions.turns import Turns, Watch
from handrail.sessions.workplace import Workplace
from handrail.store import prompts, snapshots
from handrail.store.approvals import ApprovalRow
from handrail.store.log import Draft, Write
from handrail.store.sessions import SessionRow
from handrail.types import Control, Goal, Json, Outcome, SessionState, StopReason
from handrail.workspaces.remove import remove_tree

_log = logging.getLogger(__name__)


class Actor:
    """The one writer of one session.

    Args:
        rooms: the rooms below.
        record: the session.
    """

    def __init__(self, rooms: Rooms, record: Record) -> None:
        self._rooms = rooms
        self.record = record
        self.workplace = Workplace(rooms, record)
        config = rooms.config
        watch = Watch(config.turn_idle, config.cancel_grace, config.tool_output_limit, config.loop_calls)
        self.turns = Turns(record, self.workplace, watch, Allowance(rooms, record))
        self._task: asyncio.Task[None] | None = None
        self._resume: str | None = None
        self._poked = False
        self._pursuit = Pursuit(rooms, record, self.workplace)
        self._hands = asyncio.Lock()
        self.idle_since = time.monotonic()
        self.held = record.row.state == SessionState.WAITING
        """a question is open whose agent was let go: nothing is begun until somebody answers or prompts"""
        self.users = 0
        """calls that hold this actor now"""
        self.starved: StorageFull | Unavailable | None = None
        """its work stopped because nothing could be written; the supervisor takes it up again"""

    @property
    def free(self) -> bool:
        """Whether it can be let go: nobody holds it and nothing runs."""
        return self.users == 0 and not self.busy

    @property
    def busy(self) -> bool:
        """Whether its task runs."""
        return self._task is not None and not self._task.done()

    def wake(self, *, resume: str | None = None) -> None:
        """See to it that the work goes on; `resume` is the prompt of a turn that takes up an interrupted one."""
        if resume is not None:
            self._resume = resume
        self.held = False
        self._poked = True
        self.record.resting = False
        if not self.busy:
            self._task = asyncio.create_task(self._work(), name=f"session {self.record.id}")

    async def prompt(self, text: str, by: str) -> tuple[str, bool]:
        """Take a prompt: at once when idle, else after the turn under way. Returns its id and whether it waits."""
        _refuse(self)
        identity = prompts.identity()
        queued = not self.record.resting
        draft = Draft(Kind.PROMPT_QUEUED, {"prompt": identity, "text": text, "by": by})
        await self.record.write(
            *([draft] if queued else []), writes=(prompts.insert(identity, self.record.id, text, by),)
        )
        self.wake()
        return identity, queued

    async def withdraw(self, prompt: str, by: str) -> None:
        """Take back a queued prompt.

        Raises:
            Conflict: it was taken up already, or withdrawn.
        """
        draft = Draft(Kind.PROMPT_WITHDRAWN, {"prompt": prompt, "by": by})
        await self.record.write(draft, guard=prompts.withdraw(self.record.id, prompt))

    async def cancel(self) -> None:
        """Cancel the turn under way.

        Raises:
            Conflict: no turn is under way.
        """
        if not self.record.resting:
            self.turns.cancel()
            return
        if self.record.row.state == SessionState.WAITING:  # parked on a question, its agent released
            pursues = self.record.pursues
            await self.turns.questions.withdraw(None if pursues else SessionState.IDLE)
            self.held = False
            row = self.record.row
            if pursues and row.goal is not None:
                await self.record.write(goal_turns=row.goal_turns + 1)  # it was parked, and so was not counted
                await self._pursuit.after(row.goal, TurnEnd(StopReason.CANCELLED))
            else:
                await self.record.write(state=SessionState.IDLE)
            return
        raise Conflict(f"session {self.record.id} has no turn under way to cancel")

    async def handoff(self, goal: Goal, by: str) -> None:
        """Hand control to the agent until the goal's checks pass or a limit is met."""
        _refuse(self)
        drafts, changes = handed_over(self.record.row, goal, self.turns.questions.limits(), by, self._rooms.clock())
        self._pursuit.failures = 0
        self.record.watch.reset()
        await self.record.write(*drafts, **changes)
        self._rooms.gateway.set_budget(self.record.id, self.workplace.budget())
        self.wake()

    async def take(self, by: str) -> None:
        """Take control back: the turn under way is cancelled, what was made stays."""
        _refuse(self)
        if self.record.row.control == Control.AGENT:
            await self.record.write(
                Draft(Kind.CONTROL_CHANGED, {"control": Control.YOU, "by": by}), control=Control.YOU
            )
            if not self.record.resting:
                self.turns.cancel()

    async def abandon(self, by: str, grace: float) -> None:
        """Give the goal up: its agent is told to stop, and its process is ended after `grace` seconds.

        Raises:
            Conflict: no goal is pursued.
        """
        row = self.record.row
        if row.control != Control.AGENT or row.outcome is not None:
            raise Conflict(f"session {self.record.id} pursues no goal: there is nothing to give up")
        drafts, reason = given_up(row, by, self.record.cost(row.cost_nano - row.goal_spent_nano))
        await self.record.write(*drafts, control=Control.YOU, outcome=Outcome.CANCELLED, outcome_reason=reason)
        if self.held:
            await self.turns.questions.withdraw(SessionState.IDLE)
            self.held = False
            await self.record.write(state=SessionState.IDLE)
        if (task := self._task) is not None and not task.done() and not self.record.resting:
            self.turns.cancel()
            done, _ = await asyncio.wait({task}, timeout=grace)
            if not done:
                await self.workplace.stop_agent(kill=True)
                done, _ = await asyncio.wait({task}, timeout=grace)
            if not done:  # a check that runs long
                await self.halt()
                await self._rest()
        await self.workplace.stop_agent(kill=True)

    async def answer(
        self, approval: ApprovalRow, answer: Answer, by: str, always: Proposal | None = None, *, stands: bool = False
    ) -> None:
        """Take a person's answer; where the turn that asked is gone, the session goes on by itself."""
        _refuse(self)
        live = await self.turns.questions.answer(approval, answer, by, always, stands=stands)
        if answer.because and not answer.allow:
            self.turns.note = f"[The person refused “{approval.title}” and says: {answer.because}]"
        if not live:
            self.wake(resume=answered_prompt(approval.title, allowed=answer.allow))

    def park(self) -> Parked:
        """Let the agent go while nothing happens but that a person is waited for."""
        return self.turns.park() if self.busy else Parked.GONE

    async def end(self, by: str) -> None:
        """Close the session for good; its change can still be read and applied."""
        if self.record.row.state == SessionState.ENDED:
            return
        await self.halt()
        await self.turns.questions.withdraw()
        if self.record.row.login:  # the agent may have put it anywhere in there
            await remove_tree(self.workplace.folder / "home")
        await self.record.write(Draft(Kind.SESSION_ENDED, {"by": by}), state=SessionState.ENDED)

    async def undo(self, to_turn: int | None) -> tuple[int, str]:
        """Bring the workspace back to the state after `to_turn`, 0 being the start (default: before the last turn).

        Raises:
            Conflict: a turn is under way, or no turn has been.
            InvalidInput: there is no such turn to go back to.
        """
        last = self.record.row.turn
        if not self.record.resting:
            raise Conflict(f"session {self.record.id} has a turn under way: cancel it first")
        if last == 0:
            raise Conflict(f"session {self.record.id} has had no turn yet: there is nothing to undo")
        turn = last - 1 if to_turn is None else to_turn
        kept = await snapshots.before(self.record.store, self.record.id, turn + 1)
        if kept is None or not 0 <= turn <= last:
            raise InvalidInput("to_turn", to_turn, f"name a turn from 0 (the start) to {last}")
        async with self._hands:
            await self.workplace.restore(kept.commit)
        data: Json = {"turn": last, "commit": kept.commit, "restored": True, "to": turn}
        await self.record.write(
            Draft(Kind.SNAPSHOT_TAKEN, data), writes=(snapshots.insert(self.record.id, last, kept.commit),)
        )
        self.turns.note = (
            f"[The person undid what was done after turn {turn}: the files are again as they were then. "
            "Read a file again before you rely on what you remember of it.]"
        )
        return turn, kept.commit

    async def keep_state(self, turn: int) -> None:
        """Take the snapshot that a crash in the middle of `turn` prevented."""
        async with self._hands:
            await self.turns.snapshot(turn)

    async def halt(self) -> None:
        """Stop the task and every process of this session, leaving the row as it is (a restart resumes it)."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(StorageFull, Unavailable):  # what could not be written was never shown
            await self.turns.stop()
        await self.workplace.close()

    async def _work(self) -> None:
        try:
            while self._poked:
                self._poked = False
                while await self._step():
                    pass
                if not self._poked:
                    await self._rest()
        except (StorageFull, Unavailable) as error:
            _log.error("session %s stopped: %s", self.record.id, error)
            self.starved = error
            await self.workplace.stop_agent(kill=True)
        except Exception as error:  # noqa: BLE001  # the edge of a session: its fault must not take the others along
            _log.exception("session %s stopped", self.record.id)
            await self.workplace.stop_agent(kill=True)
            text = f"Handrail failed in this session ({type(error).__name__}); the log of the server tells more"
            await self.record.write(Draft(Kind.NOTICE, {"level": "error", "text": text}), state=SessionState.IDLE)
            if self.record.pursues and self.record.row.goal is not None:
                await self._pursuit.broke(text)

    async def _rest(self) -> None:
        self.record.resting = True
        self.idle_since = time.monotonic()
        if not self.held and self.record.row.state not in (SessionState.ENDED, SessionState.IDLE):
            await self.record.write(state=SessionState.IDLE)

    async def _step(self) -> bool:
        """Do the next thing; False when there is none."""
        row = self.record.row
        resume, self._resume = self._resume, None
        if resume is not None:
            await self._turn(resume, "resume" if row.control == Control.YOU or self._pursuit.failures else "goal")
            return True
        if self.held:
            return False
        if (waiting := await prompts.head(self.record.store, row.id)) is not None:
            with contextlib.suppress(Conflict):  # withdrawn meanwhile
                await self._turn(waiting.text, waiting.by, prompts.begin(row.id, waiting.id))
            return True
        if row.control == Control.AGENT and row.goal is not None and row.outcome is None:
            await self._turn(first_prompt(row.goal), "goal")
            return True
        return False

    async def _turn(self, text: str, by: str, guard: Write | None = None) -> None:
        with self.record.watch.working():
            async with self._hands:
                end = await self.turns.run(text, by, guard)
            row = self.record.row
            if end.stop_reason is StopReason.PARKED:
                self.held = self._resume is None
            elif end.pursued and self.record.pursues and row.goal is not None:
                self._resume = await self._pursuit.after(row.goal, end)


def given_up(row: SessionRow, by: str, cost: Json) -> tuple[tuple[Draft, ...], str]:
    """What the log of a session says when its goal is given up, and the reason in a sentence."""
    reason = f"given up by {by}"
    data: Json = {
        "outcome": Outcome.CANCELLED, "cause": "cancelled", "reason": reason, "checks": [], "turns": row.goal_turns,
        "files": 0, "flagged": [],
    } | cost  # fmt: skip
    told = Draft(Kind.CONTROL_CHANGED, {"control": Control.YOU, "by": by}, row.turn)
    return (Draft(Kind.OUTCOME_REACHED, data, row.turn), told), reason


def _refuse(actor: Actor) -> None:
    if isinstance(actor.starved, StorageFull):
        raise StorageFull(f"session {actor.record.id} stopped because no room was left: make room, then try again")
    if actor.starved is not None:
        raise Unavailable(f"session {actor.record.id} stopped because the database could not be used: try again soon")
    if actor.record.row.state == SessionState.ENDED:
        raise Conflict(f"session {actor.record.id} has ended: start a new one")
