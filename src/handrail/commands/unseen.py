"""Sessions and runs that ended badly, or stopped: in the inbox until somebody says that they know, or works on them."""

from __future__ import annotations

import contextlib

from msgspec import Struct

from handrail.automation import RunState
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import Conflict
from handrail.kinds import Kind
from handrail.store import runs as run_rows
from handrail.store import sessions as session_rows
from handrail.store import unseen as rows
from handrail.store.log import Draft
from handrail.store.runs import RunRow, Traits
from handrail.store.sessions import SessionRow
from handrail.types import NEEDS_A_LOOK


class Unseen(Struct, frozen=True):
    """What ended badly, or stopped, and nobody said yet that they know."""

    sessions: tuple[SessionRow, ...]
    runs: tuple[RunRow, ...]


async def listed(desk: Desk, actor: Actor) -> Unseen:
    """All of it, the longest waiting first; no runs for those who may not read them."""
    authorise(actor, Permission.SESSIONS_READ)
    of_runs = await rows.of_runs(desk.store, actor.only) if Permission.RUNS_READ in actor.permissions else []
    return Unseen(tuple(await rows.of_sessions(desk.store, actor.only)), tuple(of_runs))


async def see_session(desk: Desk, actor: Actor, word: str) -> SessionRow:
    """Say that one knows how a session ended; to say it twice is no error.

    Raises:
        Conflict: it has no outcome that anybody should know of.
    """
    authorise(actor, Permission.SESSIONS_WRITE)
    row = await session_rows.find(desk.store, word)
    if row.outcome not in NEEDS_A_LOOK:
        raise Conflict(f"session {row.id} has come to no bad end: there is nothing to take off the inbox")
    await note(desk, actor, row)
    return await session_rows.get(desk.store, row.id)


async def see_run(desk: Desk, actor: Actor, word: str) -> RunRow:
    """Say that one knows how a run ended, or that it stopped; to say it twice is no error.

    Raises:
        Conflict: it goes on, or ended well.
    """
    authorise(actor, Permission.RUNS_WRITE)
    row = await run_rows.find(desk.store, word)
    if not run_needs_a_look(row):
        raise Conflict(f"run {row.number} is {row.outcome or row.state}: there is nothing to take off the inbox")
    await note_run(desk, actor, row)
    return await run_rows.get(desk.store, row.id)


def run_needs_a_look(run: RunRow | Traits) -> bool:
    """Whether a run ended badly, or stopped: what a person should know of and can try again."""
    return run.outcome in NEEDS_A_LOOK or run.state is RunState.STOPPED


async def note(desk: Desk, actor: Actor, row: SessionRow) -> None:
    """Take a session off the inbox, where it is there: somebody works on it."""
    if row.outcome in NEEDS_A_LOOK and row.seen is None:
        seen = [Draft(Kind.OUTCOME_SEEN, {"by": actor.name}, row.turn)]
        with contextlib.suppress(Conflict):  # another one was faster, or it is one of a run's
            await desk.store.log.append(row.id, seen, guard=rows.session_seen(row.id))


async def note_run(desk: Desk, actor: Actor, row: RunRow) -> None:
    """Take a run off the inbox, where it is there."""
    with contextlib.suppress(Conflict):
        told = run_rows.told(row.id, "run.seen", {"by": actor.name})
        await desk.store.log.write(told, guard=rows.run_seen(row.id))
