"""The course of one task: prepare → work → check → propose → gate → deliver → report.

A task is where its row says. Each step stores what it gave before the next begins, in one transaction with the step
that follows; a step that was cut off is done again from its beginning, and finds what it had made: the session by its
key, the commit by its content, the effect by its key. Steps that give nothing but what doing them again gives as well
share one write: gathering the change, and, where there are no effects, what is left. Every write names the epoch with
which the task was claimed.
While an agent works, or a person is waited for, nothing of a task is in memory.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Unpack

from msgspec.structs import replace

from handrail.automation import EffectState, Step, TaskState, TriggerKind
from handrail.errors import Conflict, ForgeError, HandrailError, InvalidInput, MissingPart, NotFound, SandboxError
from handrail.notify import Notice, Occasion
from handrail.runs import adopt, caps, evidence, gate, hands, likeness, proposals, results, trust, verdict
from handrail.runs.delivery import Delivery, Fenced
from handrail.runs.plan import Plan, Stage, Target
from handrail.runs.rooms import Brought, Refused, Rooms
from handrail.runs.spread import stage_of
from handrail.runs.verdict import Again, Ended
from handrail.sessions.rooms import NewSession
from handrail.sessions.rules import CEILING
from handrail.store import effects as effect_rows
from handrail.store import runs as run_rows
from handrail.store import sessions as session_rows
from handrail.store import tasks as task_rows
from handrail.store import workflows as workflow_rows
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.runs import RunRow
from handrail.store.sessions import SessionRow
from handrail.store.tasks import TaskChanges, TaskRow
from handrail.types import Control, Goal, Json, Outcome, SandboxKind, SessionId
from handrail.workspaces.layout import results_of
from handrail.workspaces.mirror import ensure_empty

_SETTINGS = frozenset({"secrets", "network", "policy", "provider", "model", "agent", "sandbox"})
"""fields of a session whose fault is the workflow's, not its repository's"""


class Course:
    """Carries one claimed task as far as it goes now.

    Args:
        rooms: the rooms below.
        run: its run.
        plan: of the run.
        task: as it was claimed.
    """

    def __init__(self, rooms: Rooms, run: RunRow, plan: Plan, task: TaskRow) -> None:
        self._rooms = rooms
        self._run = run
        self._plan = plan
        self.task = task
        self.delivery = Delivery(rooms, run)
        self._seen: SessionRow | None = None
        """its session, as it came to its outcome"""
        self._told: list[Write] = []
        """the steps that were passed since the last write, and are said with the next"""
        self._steps: Mapping[Step, Callable[[], Awaitable[bool]]] = {
            Step.PREPARE: self._prepare,
            Step.WORK: self._work,
            Step.CHECK: self._check,
            Step.PROPOSE: self._propose,
            Step.GATE: self._gate,
            Step.DELIVER: self._deliver,
            Step.REPORT: self._report,
        }

    async def go(self) -> None:
        """Go on until the task ends, waits, or is claimed by another.

        Raises:
            StorageFull: the data directory takes no more; the row is where it was.
        """
        try:
            while await self._steps[self.task.step]():
                pass
        except Fenced:
            pass

    # --- prepare, work ------------------------------------------------------------------------------------------------

    async def _prepare(self) -> bool:
        stage, work = stage_of(self._plan, self.task), results.work(self.task)
        try:
            session = await self._session(stage, work)
        except (InvalidInput, NotFound) as error:
            cause = error.field if isinstance(error, InvalidInput) and error.field in _SETTINGS else "repository"
            return await self._end(Ended(Outcome.FAILED, cause, error.message))
        except MissingPart as error:
            return await self._end(Ended(Outcome.BLOCKED, "missing_part", error.message))
        except SandboxError as error:
            return await self._end(Ended(Outcome.BLOCKED, "walls", error.message))
        except ForgeError as error:
            if not error.passing:
                return await self._end(verdict.of_refusal("repository", error.cause, error.message))
            until = None if error.wait is None else self._rooms.clock() + timedelta(seconds=error.wait)
            return await self._again(Again(verdict.FORGE), work, error.message, until)
        except HandrailError as error:
            return await self._again(Again(verdict.AGENT), work, error.message)
        await self._write(session=session, step=Step.WORK, results=results.put(self.task, "work", work))
        return True

    async def _session(self, stage: Stage, work: results.Work) -> SessionId:
        """The session of the stage, which knows its goal from the first: made, or found by its key."""
        target = self._plan.targets[self.task.position]
        key = results.key(self.task, stage.name)
        # claimed for the first time: nobody can have made it
        there = None if self.task.epoch == 1 else await session_rows.by_key(self._rooms.store, key)
        if there is None:
            brought = await self._rooms.sources.bring(target)
            before = work.last_edit()
            await caps.bind(self._rooms, self._run.id, self._plan)
            new = NewSession(
                repository=brought.path,
                agent=stage.agent,
                provider=stage.provider,
                model=stage.model,
                ref=brought.ref if before is None else before.upstream,
                sandbox=SandboxKind(self._plan.sandbox or self._rooms.config.sandbox),
                title=f"{self._run.workflow}: {self.task.repository}"[-200:],
                policy=self._plan.policy,
                network=self._plan.network,
                scopes=await caps.scopes(self._rooms.store, self._run),
                untrusted=self._run.arrival is not None and await _foreign(self._rooms.store, target, brought, work),
                secrets=self._plan.secrets,
                key=key,
                whose=self._whose,
                goal=_goal(stage, work),
                after=None if before is None or before.head == before.upstream else before.head,
            )
            return await self._rooms.sessions.create(new, self._by)
        return there.id

    async def _work(self) -> bool:
        """See what the session came to; nothing is awaited: whoever is told of its outcome calls again."""
        if self.task.session is not None and self._rooms.sessions.pursues(self.task.session):
            return False
        session = self._seen = await _session_of(self._rooms.store, self.task)
        stage, work = stage_of(self._plan, self.task), results.work(self.task)
        if session.outcome is None:
            if session.control is Control.YOU and session.goal is not None:
                await self._write(state=TaskState.TAKEN, reason="a person has taken its session in hand")
            return False
        handed = session.goal_set.isoformat() if session.goal_set is not None else ""
        if handed == work.consumed:
            await self._rooms.sessions.handoff(session.id, session.goal or _goal(stage, work), self._by)
            return False
        came = await evidence.outcome(self._rooms.store, session)
        work = work.settled(handed)
        reached = Ended(session.outcome, came.cause, came.reason)
        follows = verdict.of_session(stage, reached, work.tries, self._plan.retries)
        if isinstance(follows, Again):
            return await self._again(follows, work, came.reason, came.resets)
        ended = await evidence.of_stage(
            self._rooms.store, session, stage, came,
            begun=work.ended[0].upstream if work.ended else None,
            verified=not isinstance(follows, Ended) and follows.verified,
        )  # fmt: skip
        work = work.with_stage(ended)
        if isinstance(follows, Ended):
            self.task = replace(self.task, results=results.put(self.task, "work", work))
            return await self._end(follows, output=came.output)
        last = work.stage + 1 >= len(self._plan.stages)
        if last:
            await self._write(step=Step.CHECK, results=results.put(self.task, "work", work))
        else:
            following = results.put(self.task, "work", work.next_stage())
            await self._write(step=Step.PREPARE, session=None, results=following)
        return True

    async def _again(self, again: Again, work: results.Work, reason: str, resets: datetime | None = None) -> bool:
        """Set the task aside; it goes on by itself when its time has come."""
        tries = work.tries.get(again.cause, 0) + 1
        if tries > int(getattr(self._plan.retries, again.cause)):
            return await self._end(Ended(Outcome.BLOCKED, again.cause, reason))
        wait = self._rooms.pace.of(again.cause, tries) * random.uniform(0.9, 1.1)  # noqa: S311  # spreads tries, no secret
        if resets is not None:
            wait = max(wait, (resets - self._rooms.clock()).total_seconds())
        kept = results.put(self.task, "work", work.tried(again.cause))
        told: Json = {"cause": again.cause, "reason": reason, "tries": tries, "seconds": round(wait, 1)}
        due = self._rooms.clock() + timedelta(seconds=wait)
        await self._write(("task.retried", told), state=TaskState.PARKED, due=due, reason=reason, results=kept)
        return False

    # --- check, propose -----------------------------------------------------------------------------------------------

    async def _check(self) -> bool:
        """Gather what was changed, as one commit, and the evidence for it."""
        work = results.work(self.task)
        made = await evidence.of_change(self._rooms, (self._run, self._plan), self.task, work, self._seen)
        self._pass(Step.PROPOSE, results.put(self.task, "check", made))
        return True

    async def _propose(self) -> bool:
        """Write down the effects that the workflow names, and take over those that its agents proposed."""
        there = await effect_rows.of_task(self._rooms.store, self.task.id)
        if not await self._carry_out(there, EffectState.CARRYING):  # begun before a person took it: what came of it?
            return False
        made, work = results.change(self.task), results.work(self.task)
        at = proposals.place(self.task.repository)
        brought = await effect_rows.brought(self._rooms.store, self._run.workflow, *at)
        proposed = await self._proposed()
        context = adopt.taken_over(
            proposals.Context(
                self._run, self._plan, self.task, made, work, self._rooms.clock(),
                proposals.delivered([row for row in brought if row.task == self.task.id]),
                proposals.delivered([row for row in brought if row.task != self.task.id]),
            ), proposed,
        )  # fmt: skip
        named = proposals.planned(context)
        writes: list[Write] = [write for row in named for write in (effect_rows.propose(row), effect_rows.revive(row))]
        writes += adopt.adopted(context, proposed, named)
        if there or writes or self.task.session is None:
            await self._write(writes=tuple(writes), step=Step.GATE)
        else:  # nothing is to be decided or carried out
            for step in (Step.GATE, Step.DELIVER, Step.REPORT):
                self._pass(step)
            ended = evidence.concluded(results.change(self.task), there)
            return await self._end(ended, there, proposed)
        return True

    async def _proposed(self) -> list[EffectRow]:
        """What the agents of the task proposed."""
        ended = [stage.session for stage in results.work(self.task).ended]
        rows = await effect_rows.of_sessions(self._rooms.store, adopt.sessions(self.task, ended))
        return [row for row in rows if row.by == proposals.AGENT]

    # --- gate, deliver ------------------------------------------------------------------------------------------------

    async def _gate(self) -> bool:
        made = results.change(self.task)
        workflow = await workflow_rows.find(self._rooms.store, self._run.workflow)
        # never more than when the run began; what was lost since is lost at once
        earned = self._run.trust if workflow is None else trust.lower(self._run.trust, workflow.trust)
        ceiling = self._rooms.config.data / CEILING
        waits = 0
        for row in await effect_rows.of_task(self._rooms.store, self.task.id):
            if row.state is EffectState.PROPOSED:
                seen = gate.Proposal(
                    row.kind,
                    by_agent=row.by == proposals.AGENT,
                    key=row.id,
                    verified=made.verified or not made.files,
                    flagged=bool(made.flagged),
                    ruling=gate.ruling(self._plan, ceiling, row.kind, by_agent=row.by == proposals.AGENT),
                )
                state, why = gate.decide(self._plan, earned, self._run.trigger, seen)
                await self._decided(row, state, why)
                waits += state is EffectState.WAITING
            elif row.state is EffectState.WAITING:
                waits += 1
        if waits:
            reason = f"{waits} effect{'s' if waits > 1 else ''} wait{'' if waits > 1 else 's'} for a person"
            await self._write(state=TaskState.PARKED, due=None, reason=reason)
            return False
        await self._write(step=Step.DELIVER)
        return True

    async def _decided(self, row: EffectRow, state: EffectState, why: str) -> None:
        writes: list[Write] = [run_rows.told(self._run.id, f"effect.{state}", {"effect": row.id, "kind": row.kind,
                               "target": row.target, "reason": why}, self.task.id)]  # fmt: skip
        if state is EffectState.WAITING:
            notice = Notice(
                occasion=Occasion.EFFECT,
                title=f"{row.kind.replace('_', ' ')} in {row.target}",
                detail=str(row.body.get("title") or why),
                session=self.task.session,
                facts={"run": self._run.id, "task": self.task.id, "effect": row.id, "workflow": self._run.workflow},
            )
            writes += self._rooms.tell(notice, f"effect:{row.id}", self._plan.notify)
        at = self._rooms.clock()
        decided = None if state is EffectState.WAITING else at
        by = None if state is EffectState.WAITING else "policy"
        change = effect_rows.change(
            row.id, EffectState.PROPOSED, state=state, reason=why, decided=decided, decided_by=by
        )
        await self._rooms.store.log.write(*writes, guard=change)

    async def _deliver(self) -> bool:
        """Carry out what was approved."""
        if self.task.session is None:
            return await self._end(Ended(Outcome.LOST, "session", "its session is not there any more"))
        there = await effect_rows.of_task(self._rooms.store, self.task.id)
        if not await self._carry_out(there, EffectState.APPROVED, EffectState.CARRYING):
            return False
        self._pass(Step.REPORT)
        return True

    async def _carry_out(self, there: Sequence[EffectRow], *states: EffectState) -> bool:
        """Carry out the effects in these states, in order; False where the task rests, or begins again."""
        rows = [row for row in there if row.state in states]
        if not rows:
            return True
        session = await _session_of(self._rooms.store, self.task)
        source = results_of(self._rooms.config.data, session.repository_key)
        foreign = session.server != self._rooms.store.server
        if foreign:  # what it made is on another disk: what the world has already is found, the rest is made again
            await ensure_empty(source, session.base)
        stopped = await self.delivery.carry_out(self.task, rows, source)
        if stopped is None:
            return True
        row, refused = stopped
        if foreign and row.kind in proposals.OF_CHANGE:
            told, moot = await hands.made_again(self._rooms.store, self.task, refused.reason)
            await self._write(told, writes=moot, **hands.from_the_beginning(self.task))
            return False
        if refused.passing and (refused.waits or row.tries < self._plan.retries.forge):
            return await self._later(row, refused)
        await self.delivery.came(self.task, row, refused)
        return True

    async def _later(self, row: EffectRow, refused: Refused) -> bool:
        wait = refused.wait or 0.0
        wait = wait if refused.waits else max(wait, self._rooms.pace.of(verdict.FORGE, row.tries + 1))
        due = self._rooms.clock() + timedelta(seconds=wait)
        told: Json = {"effect": row.id, "cause": refused.cause, "reason": refused.reason, "seconds": round(wait, 1)}
        await self._write(("task.retried", told), state=TaskState.PARKED, due=due, reason=refused.reason)
        return False

    # --- report -------------------------------------------------------------------------------------------------------

    async def _report(self) -> bool:
        effects = await effect_rows.of_task(self._rooms.store, self.task.id)
        return await self._end(evidence.concluded(results.change(self.task), effects), effects)

    async def _end(
        self,
        ended: Ended,
        there: Sequence[EffectRow] | None = None,
        proposed: Sequence[EffectRow] | None = None,
        *,
        output: str = "",
    ) -> bool:
        """Write how the task ended. What was proposed and not carried out will not be."""
        made = results.change(self.task)
        alike = likeness.likeness(
            ended.outcome, ended.cause, names=evidence.names(self.task), output=output,
            files=[(str(file["status"]), str(file["path"])) for file in made.files],
        )  # fmt: skip
        work = results.work(self.task)
        cost = await evidence.cost(self._rooms.store, work, self.task)
        told: Json = {"outcome": ended.outcome, "cause": ended.cause, "reason": ended.reason, "cost_nano": cost}
        if there is None:
            there = await effect_rows.of_task(self._rooms.store, self.task.id)
        moot = evidence.moot(there, self._rooms.clock())
        if proposed is None:
            proposed = await self._proposed()
        moot += adopt.late(self.task, self._run.workflow, proposed, self._rooms.clock())
        await self._write(
            ("task.ended", told),
            writes=moot,
            state=TaskState.ENDED,
            outcome=ended.outcome,
            cause=ended.cause,
            reason=ended.reason,
            likeness=alike,
            cost_nano=cost,
            due=None,
            ended=self._rooms.clock(),
            results=self.task.results,
        )
        return False

    @property
    def _by(self) -> str:
        return f"run {self._run.number}"

    @property
    def _whose(self) -> str:
        """The person who started the run; where nobody did, what started it."""
        cause = self._run.trigger
        return cause.value if cause in (TriggerKind.SCHEDULE, TriggerKind.EVENT) else self._run.by

    async def _write(
        self, *told: tuple[str, Json], writes: tuple[Write, ...] = (), **changes: Unpack[TaskChanges]
    ) -> None:
        """Change the task, if it is still in our hand, and what belongs to that in one transaction."""
        lines = [run_rows.told(self._run.id, kind, data, self.task.id) for kind, data in told]
        if "step" in changes and changes["step"] is not self.task.step:
            lines.append(_stepped(self.task, changes["step"]))
        try:
            if self._told:
                changes = TaskChanges(step=self.task.step, results=self.task.results) | changes
            guard = task_rows.update(self.task.id, self.task.epoch, **changes)
            await self._rooms.store.log.write(*self._told, *lines, *writes, guard=guard)
        except Conflict as error:
            raise Fenced from error
        self._told.clear()
        self.task = replace(self.task, **changes)

    def _pass(self, step: Step, given: Json | None = None) -> None:
        """Go on to a step without a write of its own, with the results that there are then."""
        self._told.append(_stepped(self.task, step))
        self.task = replace(self.task, step=step, results=self.task.results if given is None else given)


def _stepped(task: TaskRow, to: Step) -> Write:
    return run_rows.told(task.run, "task.step", {"step": to}, task.id)


async def _session_of(store: Store, task: TaskRow) -> SessionRow:
    if task.session is None:
        raise NotFound(f"task {task.id} has no session")
    return await session_rows.get(store, task.session)


async def _foreign(store: Store, target: Target, brought: Brought, work: results.Work) -> bool:
    """Whether anybody may have written what a session begins from: what an event names, or is about."""
    if target.ref is not None or brought.foreign or not work.ended:
        return target.ref is not None or brought.foreign
    return (await session_rows.get(store, work.ended[0].session)).untrusted  # the pull request went away since


def _goal(stage: Stage, work: results.Work) -> Goal:
    """The goal of a stage's session; what a review just before found is told with it."""
    found = work.findings()
    said = "" if found is None or stage.review else proposals.findings(found)
    return Goal(stage.goal + said, stage.checks, stage.limits)
