"""What agents proposed inside a task, taken over into it: filled in from its change, or turned down with a reason.

A push or pull request of an agent is the task's change, under the agent's words: it has the commit that the task made,
and there is one of it, however often it was proposed and even if the workflow names one too. So it is with a review
that the workflow names: the agent's words and its comments on lines are taken over, its verdict is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Unpack

from msgspec.structs import replace

from handrail.automation import EffectKind, EffectState
from handrail.runs import proposals
from handrail.runs.proposals import Context
from handrail.store import effects as effect_rows
from handrail.store.effects import EffectChanges, EffectRow
from handrail.store.log import Write
from handrail.store.tasks import TaskRow
from handrail.types import Json, SessionId

SUPERSEDED = "superseded"
EMPTY = "empty_change"
DUPLICATE = "duplicate"
LATE = "too_late"
NO_LOSS = frozenset({SUPERSEDED, EMPTY, DUPLICATE})
"""causes of proposals that were turned down and that nobody misses"""


def latest(proposed: Sequence[EffectRow], kind: EffectKind, number: int | None = None) -> EffectRow | None:
    """The last effect of that kind (about that number) that an agent of the task proposed, whatever became of it."""
    found = [
        row
        for row in proposed
        if row.kind is kind and row.by == proposals.AGENT and number in (None, row.body.get("number"))
    ]
    return found[-1] if found else None


def adopted(context: Context, proposed: Sequence[EffectRow], named: Sequence[EffectRow]) -> tuple[Write, ...]:
    """The writes that make what agents proposed effects of the task.

    Args:
        context: of the task.
        proposed: by agents in its sessions, in order, those of earlier rounds too.
        named: the effects that the workflow names.
    """
    task = context.task
    newest = {kind: latest(proposed, kind) for kind in proposals.OF_CHANGE}
    about = _about(context)
    review = latest(proposed, EffectKind.REVIEW, about)
    reviews = any(one.kind is EffectKind.REVIEW and one.body.get("number") == about for one in named)
    writes: list[Write] = []
    for row in proposed:
        if row.task is not None or row.state is not EffectState.PROPOSED:
            continue
        of = EffectChanges(task=task.id, run=task.run, workflow=context.run.workflow)
        if row.kind in newest:
            of |= _judged(context, row, named, newest=row is newest[row.kind])
        elif row.kind is EffectKind.REVIEW and reviews and row.body.get("number") == about:
            why = "the workflow reviews itself; words and comments on lines were taken over"
            of |= _refused(context.now, DUPLICATE, why) if row is review else _second(context.now)
        writes.append(effect_rows.adjust(row.id, EffectState.PROPOSED, **of))
    behind = [row for row in newest.values() if row is not None and row.task is not None]
    again = [_again(context, row, named) for row in behind if _is_behind(context, row, named)]
    return (*writes, *(effect_rows.propose(row) for row in again))


def _about(context: Context) -> int | None:
    return context.plan.targets[context.task.position].number


def _judged(context: Context, row: EffectRow, named: Sequence[EffectRow], *, newest: bool) -> EffectChanges:
    if not newest:
        return _second(context.now)
    if context.made.commit is None:
        what = "push" if row.kind is EffectKind.PUSH else "open a pull request for"
        return _refused(context.now, EMPTY, f"nothing was changed, so there is nothing to {what}")
    if any(one.kind is row.kind for one in named):
        itself = "opens the pull request itself; title and text were taken over where it has none of its own"
        why = "pushes the change itself" if row.kind is EffectKind.PUSH else itself
        return _refused(context.now, DUPLICATE, f"the workflow {why}")
    return EffectChanges(body=_filled(context, row, named, str(row.body.get("body") or "")))


def _second(at: datetime) -> EffectChanges:
    return _refused(at, SUPERSEDED, "its agent proposed another one after it")


def _refused(at: datetime, cause: str, reason: str) -> EffectChanges:
    return EffectChanges(state=EffectState.REJECTED, cause=cause, reason=reason, decided=at, decided_by="policy")


def _filled(context: Context, row: EffectRow, named: Sequence[EffectRow], said: str) -> Json:
    """The proposal with the task's commit and its evidence, on the branch that the workflow pushes, if it does."""
    pushed = next((str(one.body["branch"]) for one in named if one.kind is EffectKind.PUSH), None)
    pushes = row.kind is EffectKind.PUSH
    branch = pushed or str(row.body["branch" if pushes else "head"])
    where = {"expected": context.delivered.get(branch), "replaces": proposals.replaced(context, branch) or []}
    what = {"branch": branch} if pushes else {"head": branch, "body": proposals.story(context, said)}
    return {**row.body, "commit": context.made.commit, **where, **what}


def _is_behind(context: Context, last: EffectRow, named: Sequence[EffectRow]) -> bool:
    """Whether what was proposed in an earlier round says less than what the task has made since."""
    if context.made.commit is None or any(one.kind is last.kind for one in named):
        return False
    live = last.state is EffectState.CARRIED or (last.state is EffectState.REJECTED and last.cause == SUPERSEDED)
    return live and last.body.get("commit") not in (None, context.made.commit)


def _again(context: Context, last: EffectRow, named: Sequence[EffectRow]) -> EffectRow:
    words, found, _ = str(last.body.get("body") or "").rpartition(f"\n\n{proposals.EVIDENCE}\n")
    body = _filled(context, last, named, words if found else str(last.body.get("body") or ""))
    said = json.dumps([last.kind, body], sort_keys=True).encode("utf-8", "surrogatepass")
    return EffectRow(
        id=effect_rows.new_id(),
        key=f"{context.task.id}:agent:{hashlib.sha256(said).hexdigest()[:32]}",
        kind=last.kind, target=last.target, forge=last.forge, body=body, by=last.by, created=context.now,
        session=last.session, task=context.task.id, run=context.task.run, workflow=context.run.workflow,
    )  # fmt: skip


def sessions(task: TaskRow, ended: Sequence[SessionId]) -> list[SessionId]:
    """The sessions in which the agents of a task proposed."""
    return list(dict.fromkeys([*ended, *([task.session] if task.session is not None else [])]))


def late(task: TaskRow, workflow: str, proposed: Sequence[EffectRow], at: datetime) -> tuple[Write, ...]:
    """What agents proposed in a task that ended before it came to that: kept with the task, for whoever reads on."""
    return _all(proposed, EffectChanges(
        task=task.id, run=task.run, workflow=workflow, state=EffectState.REJECTED, cause=LATE,
        reason="its task ended before", decided=at, decided_by="handrail",
    ))  # fmt: skip


def by_hand(proposed: Sequence[EffectRow]) -> tuple[Write, ...]:
    """What agents proposed in a task that a person has taken: it waits for that person."""
    return _all(proposed, EffectChanges(state=EffectState.WAITING, reason="its task was taken in hand by a person"))


def _all(proposed: Sequence[EffectRow], changes: EffectChanges) -> tuple[Write, ...]:
    return tuple(_adjust(row, **changes) for row in proposed if row.task is None and row.state is EffectState.PROPOSED)


def _adjust(row: EffectRow, **changes: Unpack[EffectChanges]) -> Write:
    return effect_rows.adjust(row.id, EffectState.PROPOSED, **changes)


def reopened(effects: Sequence[EffectRow]) -> list[Write]:
    """What came too late, as it was: its task goes on."""
    return [
        effect_rows.adjust(
            row.id, EffectState.REJECTED, task=None, run=None, workflow=None, state=EffectState.PROPOSED, cause=None,
            reason=None, decided=None, decided_by=None,
        )
        for row in effects
        if row.cause == LATE
    ]  # fmt: skip


def taken_over(context: Context, proposed: Sequence[EffectRow]) -> Context:
    """The context with what an agent wants its pull request and its review to say."""
    pull = latest(proposed, EffectKind.PULL_REQUEST)
    review = latest(proposed, EffectKind.REVIEW, number) if (number := _about(context)) is not None else None
    return replace(context, pull={} if pull is None else pull.body, review={} if review is None else review.body)
