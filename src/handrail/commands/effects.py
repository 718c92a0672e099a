"""Effects: what was proposed, the yes or no to it, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from handrail.automation import EffectKind, EffectState
from handrail.commands import values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import Conflict, InvalidInput
from handrail.runs import trust
from handrail.runs.rooms import Carried
from handrail.store import effects as rows
from handrail.store import runs as run_rows
from handrail.store import sessions as session_rows
from handrail.store import snapshots
from handrail.store import workflows as workflow_rows
from handrail.store.effects import EffectRow
from handrail.store.log import Write
from handrail.types import Json, now
from handrail.workspaces.collect import collect
from handrail.workspaces.layout import results_of

LONGEST_REASON = 4000


class Decision(StrEnum):
    """A yes or a no."""

    APPROVE = "approve"
    REJECT = "reject"


_OPEN = (EffectState.PROPOSED, EffectState.WAITING)


async def listed(desk: Desk, actor: Actor, *, session: str | None, run: str | None) -> list[EffectRow]:
    """Effects of a session or of a run; without either those that wait for a person, the longest waiting first.

    Raises:
        NotFound: there is no such session or run.
    """
    authorise(actor, Permission.EFFECTS_READ)
    if session is not None and run is not None:
        raise InvalidInput("run", run, "give a session or a run, not both")
    if session is not None:
        return await rows.of_sessions(desk.store, [(await session_rows.find(desk.store, session)).id])
    if run is not None:
        return await rows.of_run(desk.store, (await run_rows.find(desk.store, run)).id)
    return await rows.waiting(desk.store)


async def show(desk: Desk, actor: Actor, word: str) -> EffectRow:
    """One effect.

    Raises:
        NotFound: there is none.
    """
    authorise(actor, Permission.EFFECTS_READ)
    return await rows.find(desk.store, word)


async def decide(desk: Desk, actor: Actor, word: str, decision: str, because: str | None) -> EffectRow:
    """`approve` or `reject`, as `decision` says.

    Raises:
        InvalidInput: it says neither.
    """
    if values.choice("decision", decision, Decision) is Decision.APPROVE:
        if because is not None:
            raise InvalidInput("because", because, "it goes with reject")
        return await approve(desk, actor, word)
    return await reject(desk, actor, word, because)


async def approve(desk: Desk, actor: Actor, word: str) -> EffectRow:
    """Let an effect be carried out. One of a run goes on with its run; any other is carried out at once.

    Raises:
        NotFound: there is none.
        Conflict: it was decided before.
        InvalidInput: it lacks what it needs, such as a change to push.
    """
    authorise(actor, Permission.EFFECTS_DECIDE)
    row = await rows.find(desk.store, word)
    _must_be_open(row)
    whole = row if row.task is not None else await _filled_in(desk, row)
    change = rows.change(
        row.id, *_OPEN, state=EffectState.APPROVED, decided=now(), decided_by=actor.name, body=whole.body, due=None
    )
    await _decide(desk, change, row)
    if row.task is not None:
        await desk.runs.decided(row.task)
    elif row.session is not None:
        await carry(desk, row)
    return await rows.get(desk.store, row.id)


async def reject(desk: Desk, actor: Actor, word: str, because: str | None) -> EffectRow:
    """Refuse an effect.

    Raises:
        NotFound: there is none.
        Conflict: it was decided before.
    """
    authorise(actor, Permission.EFFECTS_DECIDE)
    row = await rows.find(desk.store, word)
    _must_be_open(row)
    reason = values.text("because", because, LONGEST_REASON) if because is not None and because.strip() else None
    change = rows.change(
        row.id, *_OPEN, state=EffectState.REJECTED, decided=now(), decided_by=actor.name, because=reason, due=None
    )
    await _decide(desk, change, row, await _trusted_less(desk, actor, row, reason))
    if row.task is not None:
        await desk.runs.decided(row.task)
    return await rows.get(desk.store, row.id)


async def _trusted_less(desk: Desk, actor: Actor, row: EffectRow, reason: str | None) -> tuple[Write, ...]:
    """A workflow whose effect a person refuses is trusted less, from this moment on."""
    workflow = None if row.workflow is None else await workflow_rows.find(desk.store, row.workflow)
    if workflow is None or row.run is None:
        return ()
    why = f"{actor.name} rejected a {row.kind.replace('_', ' ')}{'' if reason is None else f': {reason}'}"
    told: Json = {"from": workflow.trust, "to": trust.below(workflow.trust), "reason": why}
    return trust.fall(workflow, why, now()), run_rows.told(row.run, "trust.fell", told)


async def carry(desk: Desk, row: EffectRow) -> None:
    """Carry out an approved effect that belongs to no run, or find that it was carried out before a kill."""
    begun = rows.change(
        row.id, EffectState.APPROVED, EffectState.CARRYING, EffectState.FAILED,
        state=EffectState.CARRYING, tries=row.tries + 1,
    )  # fmt: skip
    await desk.store.log.write(guard=begun)
    row = await rows.get(desk.store, row.id)
    done = await desk.outward.carry(row, await _results(desk, row))
    if isinstance(done, Carried):
        ended = rows.change(
            row.id, EffectState.CARRYING, state=EffectState.CARRIED, receipt=done.receipt, carried=now(),
            cause=None, reason=None,
        )  # fmt: skip
    else:
        ended = rows.change(
            row.id, EffectState.CARRYING, state=EffectState.FAILED, cause=done.cause, reason=done.reason
        )
    await desk.store.log.write(guard=ended)


async def resume(desk: Desk) -> None:
    """Go on with what a server that died had begun to carry out."""
    for row in await rows.under_way(desk.store):
        await carry(desk, row)


async def _results(desk: Desk, row: EffectRow) -> Path:
    if row.session is None:
        return desk.config.data
    session = await session_rows.get(desk.store, row.session)
    return results_of(desk.config.data, session.repository_key)


async def _filled_in(desk: Desk, row: EffectRow) -> EffectRow:
    """What a proposal of a session leaves to Handrail: the commit, which is the session's change as one commit."""
    needs = {"commit"} if row.kind in {EffectKind.PUSH, EffectKind.PULL_REQUEST} else set()
    if not needs - set(row.body) or row.session is None:
        return row
    session = await session_rows.get(desk.store, row.session)
    latest = await snapshots.latest(desk.store, row.session)
    if latest is None or latest.commit == session.base:
        raise Conflict(f"session {row.session} has changed nothing yet that could be pushed")
    commit = await collect(
        await _results(desk, row),
        base=session.base,
        head=latest.commit,
        message=f"{row.body.get('title') or session.title}\n\nSession: {session.id}\nAgent: {session.agent}\n",
        when=row.created,
        ref=f"refs/handrail/effects/{row.id}",
    )
    return replace(row, body={**row.body, "commit": commit})


async def _decide(desk: Desk, change: Write, row: EffectRow, also: Sequence[Write] = ()) -> None:
    try:
        await desk.store.log.write(*also, guard=change)
    except Conflict:
        _must_be_open(await rows.get(desk.store, row.id))
        raise


def _must_be_open(row: EffectRow) -> None:
    if row.state not in _OPEN:
        by = f" by {row.decided_by}" if row.decided_by else ""
        raise Conflict(f"effect {row.id} was decided before: it is {row.state}{by}")
