"""Effects: what was proposed, the yes or no to it, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec.structs import replace

from handrail.automation import EffectKind, EffectState
from handrail.commands import members, values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import Conflict, InvalidInput
from handrail.runs import trust
from handrail.runs.evidence import UNKNOWN
from handrail.runs.local import kept_at
from handrail.runs.proposals import delivered
from handrail.sessions.actors import must_be_here
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
    """A yes or a no; or what a person found out about one that nobody knew to have been carried out or not."""

    APPROVE = "approve"
    REJECT = "reject"
    ARRIVED = "arrived"


_OPEN = (EffectState.PROPOSED, EffectState.WAITING)


async def listed(desk: Desk, actor: Actor, *, session: str | None, run: str | None) -> list[EffectRow]:
    """Effects of a session or of a run; without either those that wait for a person, the longest waiting first.

    Raises:
        NotFound: there is no such session or run.
    """
    authorise(actor, Permission.EFFECTS_READ)
    if session is not None and run is not None:
        raise InvalidInput("run", run, "give a session or a run, not both")
    for kind, word in (("session", session), ("run", run)):
        if word is not None:
            await members.must_own(desk, actor, kind, word)
    if session is not None:
        return await rows.of_sessions(desk.store, [(await session_rows.find(desk.store, session)).id])
    if run is not None:
        return await rows.of_run(desk.store, (await run_rows.find(desk.store, run)).id)
    return await rows.waiting(desk.store, by=actor.only)


async def show(desk: Desk, actor: Actor, word: str) -> EffectRow:
    """One effect.

    Raises:
        NotFound: there is none.
    """
    authorise(actor, Permission.EFFECTS_READ)
    return await rows.find(desk.store, word)


async def decide(desk: Desk, actor: Actor, word: str, decision: str, because: str | None) -> EffectRow:
    """`approve`, `reject` or `arrived`, as `decision` says.

    Raises:
        InvalidInput: it says none of them.
    """
    wanted = values.choice("decision", decision, Decision)
    if wanted is Decision.REJECT:
        return await reject(desk, actor, word, because)
    if because is not None:
        raise InvalidInput("because", because, "it goes with reject")
    return await (approve if wanted is Decision.APPROVE else arrived)(desk, actor, word)


async def approve(desk: Desk, actor: Actor, word: str) -> EffectRow:
    """Let an effect be carried out.

    One of a run goes on with its run; any other is tried at once, and again while it fails in passing. One that failed
    for good is tried anew.

    Raises:
        NotFound: there is none.
        Conflict: it was decided before, or lacks what it needs, such as a change to push.
    """
    authorise(actor, Permission.EFFECTS_DECIDE)
    row = await rows.find(desk.store, word)
    states = (*_OPEN, EffectState.FAILED) if row.task is None else _OPEN
    _must_be(row, states)
    if row.task is None and row.session is not None:  # it is carried out from here, with what the session made
        await must_be_here(desk.store, await session_rows.get(desk.store, row.session))
    whole = row if row.task is not None else await _filled_in(desk, row)
    change = rows.change(
        row.id, *states, state=EffectState.APPROVED, decided=now(), decided_by=actor.name, body=whole.body, due=None,
        tries=0, cause=None, reason=None if row.task is None else row.reason,
    )  # fmt: skip
    await _decide(desk, change, row, states)
    if row.task is not None:
        await desk.runs.decided(row.task)
    else:
        await desk.courier.carry(row.id)
    return await rows.get(desk.store, row.id)


async def reject(desk: Desk, actor: Actor, word: str, because: str | None) -> EffectRow:
    """Refuse an effect, or take back the yes to one of no run that could not be carried out yet.

    Raises:
        NotFound: there is none.
        Conflict: it was decided before.
    """
    authorise(actor, Permission.EFFECTS_DECIDE)
    row = await rows.find(desk.store, word)
    states = (*_OPEN, EffectState.APPROVED) if row.task is None else _OPEN
    _must_be(row, states)
    reason = values.text("because", because, LONGEST_REASON) if because is not None and because.strip() else None
    change = rows.change(
        row.id, *states, state=EffectState.REJECTED, decided=now(), decided_by=actor.name, because=reason, due=None
    )
    await _decide(desk, change, row, states, await _trusted_less(desk, actor, row, reason))
    if row.task is not None:
        await desk.runs.decided(row.task)
    return await rows.get(desk.store, row.id)


async def arrived(desk: Desk, actor: Actor, word: str) -> EffectRow:
    """Say that an effect was carried out of which nobody knew it; the person's word is its receipt.

    One of a run counts once the run goes on (`resume`).

    Raises:
        NotFound: there is none.
        Conflict: it is known what came of it.
    """
    authorise(actor, Permission.EFFECTS_DECIDE)
    row = await rows.find(desk.store, word)
    if row.state is not EffectState.FAILED or row.cause != UNKNOWN:
        raise Conflict(f"effect {row.id} is {row.state}: this can be said of one that failed as {UNKNOWN} alone")
    at = now()
    receipt: Json = {"kind": row.kind, "url": None, "ids": {"said by": actor.name}, "time": at.isoformat()}
    change = rows.change(
        row.id, EffectState.FAILED, state=EffectState.CARRIED, cause=None, reason=None, receipt=receipt, carried=at
    )
    told: Json = {"effect": row.id, "kind": row.kind, "target": row.target, "receipt": receipt}
    also = () if row.run is None else (run_rows.told(row.run, "effect.carried", told, row.task),)
    await _decide(desk, change, row, (EffectState.FAILED,), also)
    return await rows.get(desk.store, row.id)


async def _trusted_less(desk: Desk, actor: Actor, row: EffectRow, reason: str | None) -> tuple[Write, ...]:
    """A workflow whose effect a person refuses is trusted less, from this moment on."""
    workflow = None if row.workflow is None else await workflow_rows.find(desk.store, row.workflow)
    if workflow is None or row.run is None:
        return ()
    why = f"{actor.name} rejected a {row.kind.replace('_', ' ')}{'' if reason is None else f': {reason}'}"
    told: Json = {"from": workflow.trust, "to": trust.below(workflow.trust), "reason": why}
    return trust.fall(workflow, why, now()), run_rows.told(row.run, "trust.fell", told)


async def _filled_in(desk: Desk, row: EffectRow) -> EffectRow:
    """What a proposal of a session leaves to Handrail: the commit, which is the session's change as one commit."""
    needs = row.kind in {EffectKind.PUSH, EffectKind.PULL_REQUEST} and row.body.get("commit") is None
    if not needs or row.session is None:
        return row
    session = await session_rows.get(desk.store, row.session)
    latest = await snapshots.latest(desk.store, row.session)
    if latest is None or latest.commit == session.base:
        raise Conflict(f"session {row.session} has changed nothing yet that could be pushed")
    commit = await collect(
        results_of(desk.config.data, session.repository_key),
        base=session.base,
        head=latest.commit,
        message=f"{row.body.get('title') or session.title}\n\nSession: {session.id}\nAgent: {session.agent}\n",
        when=row.created,
        ref=kept_at(row),
    )
    before = delivered(await rows.of_sessions(desk.store, [row.session])).get(
        str(row.body.get("head") or row.body.get("branch"))
    )
    return replace(row, body={**row.body, "commit": commit, "expected": before})


async def _decide(
    desk: Desk, change: Write, row: EffectRow, states: Sequence[EffectState], also: Sequence[Write] = ()
) -> None:
    try:
        await desk.store.log.write(*also, guard=change)
    except Conflict:
        _must_be(await rows.get(desk.store, row.id), states)
        raise


def _must_be(row: EffectRow, states: Sequence[EffectState]) -> None:
    if row.state is EffectState.FAILED and row.run is not None and row.state not in states:
        raise Conflict(f"effect {row.id} failed: `handrail runs resume {row.run} --failed` tries it again")
    if row.state not in states:
        by = f" by {row.decided_by}" if row.decided_by else ""
        raise Conflict(f"effect {row.id} was decided before: it is {row.state}{by}")
