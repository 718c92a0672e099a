"""What proves how a task went: checks after the last edit, the change, the receipts. Read, never believed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from msgspec import Struct

from handrail.automation import EffectState
from handrail.kinds import Kind
from handrail.runs import plan as plans
from handrail.runs import verdict
from handrail.runs.adopt import NO_LOSS
from handrail.runs.plan import Plan, Stage
from handrail.runs.results import EndedStage, Made, Ran, Work
from handrail.runs.rooms import Rooms
from handrail.runs.verdict import Ended
from handrail.store import effects as effect_rows
from handrail.store import sessions as session_rows
from handrail.store import snapshots
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.runs import RunRow
from handrail.store.sessions import SessionRow
from handrail.store.tasks import TaskRow
from handrail.types import Event, Json, Outcome
from handrail.workspaces.changes import change
from handrail.workspaces.collect import begun_from, collect
from handrail.workspaces.layout import results_of

OUTPUT = 4000
"""characters of a check's output that are kept as evidence; the session's log has more"""
SAID = 20_000
_TAIL = 400
_FILES = 500


class Came(Struct, frozen=True):
    """How a session ended."""

    cause: str
    reason: str
    checks: tuple[Ran, ...]
    said: str
    memory_lost: bool
    resets: datetime | None = None
    """when a quota that is used up is there again, where its provider says so"""

    @property
    def output(self) -> str:
        """What the checks that failed printed."""
        return "\n".join(check.output for check in self.checks if not check.passed)


async def outcome(store: Store, session: SessionRow) -> Came:
    """Read from its log how a session ended: the last outcome, and the checks that were run for it."""
    last = await store.log.last_seq(session.id)
    tail = await store.log.read(session.id, after=max(0, last - _TAIL), limit=_TAIL)
    reached = next((event for event in reversed(tail) if event.kind == Kind.OUTCOME_REACHED), None)
    until = reached.seq if reached is not None else last
    before = [event for event in tail if event.seq <= until]
    turn = reached.turn if reached is not None else session.turn
    return Came(
        cause=str(reached.data.get("cause", "")) if reached is not None else "",
        reason=session.outcome_reason or "",
        checks=_checks(before),
        said=_said(before, turn) or str(reached.data.get("summary") or "" if reached is not None else ""),
        memory_lost=any(event.kind == Kind.MEMORY_LOST for event in tail),
        resets=None if reached is None else _moment(reached.data.get("resets")),
    )


def _moment(kept: object) -> datetime | None:
    return datetime.fromisoformat(kept) if isinstance(kept, str) else None


def _checks(events: Sequence[Event]) -> tuple[Ran, ...]:
    """The checks after the last edit: those behind the last turn's end."""
    ran: list[Ran] = []
    for event in reversed(events):
        if event.kind == Kind.TURN_ENDED:
            break
        if event.kind == Kind.CHECK_ENDED:
            data = event.data
            said = str(data.get("output") or "")
            code = data.get("code")
            ran.append(
                Ran(str(data["command"]), bool(data["passed"]), code if isinstance(code, int) else -1, said[-OUTPUT:])
            )
    return tuple(reversed(ran))


def _said(events: Sequence[Event], turn: int | None) -> str:
    """The last message of the agent: the text after its last tool call."""
    parts: list[str] = []
    for event in events:
        if event.turn != turn:
            continue
        if event.kind == Kind.TOOL_STARTED:
            parts.clear()
        elif event.kind == Kind.AGENT_TEXT:
            parts.append(str(event.data.get("text") or ""))
    return "".join(parts)[-SAID:].strip()


async def of_stage(
    store: Store, session: SessionRow, stage: Stage, came: Came, *, begun: str | None, verified: bool
) -> EndedStage:
    """A stage as it ended; `begun` is the commit that the task began with, None for the first stage."""
    latest = await snapshots.latest(store, session.id)
    return EndedStage(
        name=stage.name,
        session=session.id,
        agent=session.agent,
        outcome=session.outcome or Outcome.LOST,
        cause=came.cause,
        reason=came.reason,
        head=latest.commit if latest is not None else session.base,
        upstream=begun or session.base,
        verified=verified,
        review=stage.review,
        checks=came.checks,
        said=came.said,
        memory_lost=came.memory_lost,
    )


async def of_change(
    rooms: Rooms, of: tuple[RunRow, Plan], task: TaskRow, work: Work, seen: SessionRow | None = None
) -> Made:
    """What all stages together changed, as one commit, with the checks that ran after the last edit.

    Args:
        rooms: the rooms below.
        of: its run, with the plan.
        task: whose.
        work: where that stands.
        seen: the session of its last stage, where it was read before.
    """
    run, plan = of
    last = work.last_edit()
    said = work.ended[-1].said if work.ended else ""
    lost = any(stage.memory_lost for stage in work.ended)
    if last is None:
        base = work.ended[0].upstream if work.ended else ""
        return Made(base, said=said, memory_lost=lost, unverified="nothing was to be changed or checked")
    known = seen is not None and seen.id == last.session
    session = seen if seen is not None and known else await session_rows.get(rooms.store, last.session)
    repository = results_of(rooms.config.data, session.repository_key)
    made = await change(repository, last.upstream, last.head)
    commit = branch = None
    if made.files:
        branch = task.ref or await begun_from(Path(session.repository), last.upstream)
        commit = await collect(
            repository,
            base=last.upstream,
            head=last.head,
            message=f"{plans.subject(plan)}\n\nHandrail run {run.number} of {run.workflow}\n",
            when=task.created,
            ref=ref(task),
        )
    verified = last.verified and bool(last.checks) and all(check.passed for check in last.checks)
    files: tuple[Json, ...] = tuple(
        {"path": file.path, "status": file.status, "added": file.added, "removed": file.removed}
        for file in made.files[:_FILES]
    )
    return Made(
        base=last.upstream,
        head=last.head,
        commit=commit,
        branch=branch,
        files=files,
        flagged=tuple(f"{file.path}: {file.flag}" for file in made.files if file.flag),
        verified=verified,
        checks=last.checks,
        unverified=None if verified else "no check was given: that the change is right is the agent's word",
        said=said,
        memory_lost=lost,
    )


def ref(task: TaskRow) -> str:
    """The ref of the results that keeps the commit of a task."""
    return f"refs/handrail/tasks/{task.id}"


async def cost(store: Store, work: Work, task: TaskRow) -> int:
    """What the sessions of a task have cost, in nano-dollars."""
    of = {stage.session for stage in work.ended} | ({task.session} if task.session is not None else set())
    return sum([(await session_rows.get(store, session)).cost_nano for session in of])


def names(task: TaskRow) -> list[str]:
    """What a repository is called: it differs from task to task, and so says nothing of likeness."""
    path = PurePosixPath(task.repository.partition(":")[2] or task.repository)
    return [path.name.removesuffix(".git"), str(path)]


UNKNOWN = "unknown"
"""cause of an effect that was begun and of which nobody knows what came"""


def moot(effects: Sequence[EffectRow], at: datetime) -> tuple[Write, ...]:
    """Effects of a task that has ended and that nobody will carry out any more."""
    open_states = (EffectState.PROPOSED, EffectState.WAITING, EffectState.APPROVED)
    doubtful = tuple(
        effect_rows.adjust(
            row.id, EffectState.CARRYING, state=EffectState.FAILED, cause=UNKNOWN,
            reason=f"its task ended before an answer came: it may have been carried out, look at {row.target}",
        )
        for row in effects
        if row.state is EffectState.CARRYING
    )  # fmt: skip
    return doubtful + tuple(
        effect_rows.adjust(
            row.id,
            *open_states,
            state=EffectState.REJECTED,
            reason="its task ended before",
            decided=at,
            decided_by="handrail",
        )
        for row in effects
        if row.state in open_states
    )


def concluded(made: Made, effects: Sequence[EffectRow]) -> Ended:
    """How a task ends that has come to its report: `done` needs passed checks or a person's yes, and receipts."""
    live = [row for row in effects if row.state is not EffectState.REJECTED or row.cause not in NO_LOSS]
    failed = next((row for row in live if row.state is EffectState.FAILED), None)
    if failed is not None:
        return verdict.of_refusal(failed.kind, failed.cause or "refused", failed.reason or "it was refused")
    rejected = next((row for row in live if row.state is EffectState.REJECTED and row.decided_by != "policy"), None)
    if rejected is not None:
        said = f": {rejected.because}" if rejected.because else ""
        return Ended(Outcome.FAILED, verdict.REJECTED, f"{rejected.decided_by} rejected the {rejected.kind}{said}")
    carried = [row for row in live if row.state is EffectState.CARRIED]
    if carried:
        acts = ", ".join(row.kind.replace("_", " ") for row in carried)
        return Ended(Outcome.DONE, "carried_out", f"{_proof(made)}; carried out: {acts}")
    if any(row.state is EffectState.RECORDED for row in live):
        count = sum(1 for row in live if row.state is EffectState.RECORDED)
        return Ended(Outcome.DONE, "recorded", f"{_proof(made)}; {count} effects recorded, none carried out")
    if any(row.state is EffectState.REJECTED for row in live):
        return Ended(Outcome.NEEDS_PERSON, "not_allowed", "what its agent proposed is not allowed by the workflow")
    if not made.files:
        if made.verified:
            return Ended(Outcome.NOTHING_TO_DO, "empty_change", "every check passes and nothing was changed")
        return Ended(Outcome.NEEDS_PERSON, "no_checks", "nothing was changed, and no check says that this is right")
    if made.verified:
        return Ended(Outcome.DONE, "kept", "checks passed after the last edit; the change is kept in Handrail")
    return Ended(Outcome.NEEDS_PERSON, "no_checks", "the agent says that it is finished; no check was given to decide")


def _proof(made: Made) -> str:
    if made.verified:
        return "checks passed after the last edit" if made.files else "checks passed"
    return "no check was given" if made.files else "nothing was changed"
