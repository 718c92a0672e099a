"""Branch: a new session from where another one was after a turn; the other one goes on as it is."""

from __future__ import annotations

from pathlib import Path

from handrail.commands import values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.commands.sessions import Seen, show
from handrail.errors import InvalidInput
from handrail.sessions import origin
from handrail.sessions.actors import must_be_here
from handrail.sessions.models import replayed
from handrail.sessions.origin import Origin
from handrail.sessions.rooms import NewSession
from handrail.store import sessions as rows
from handrail.store import snapshots
from handrail.store.sessions import SessionRow
from handrail.types import NanoUSD
from handrail.workspaces.git import git
from handrail.workspaces.layout import results_of, session_ref

SHARED = ("team:",)
"""what a branch goes on to share: a person's own try is neither the run's nor the workflow's"""


async def branch(desk: Desk, actor: Actor, word: str, turn: int | None = None, title: str | None = None) -> Seen:
    """Begin a session from another one's state after a turn.

    Its files are that snapshot, from which its change is measured. Agent, model, walls and policy are the same; what
    was said and done up to there, its agent is told as a summary with the first prompt.

    Args:
        desk: the rooms.
        actor: who asks.
        word: the session to branch from; it may be at work, or ended.
        turn: the state after this one, 0 being the start; None for the newest.
        title: of the new session; the other one's where None.

    Raises:
        NotFound: there is no such session.
        InvalidInput: there is no snapshot of that turn, or its repository is gone.
        Conflict: another server has it.
    """
    authorise(actor, Permission.SESSIONS_WRITE)
    row = await rows.find(desk.store, word)
    await must_be_here(desk.store, row)
    wanted = snapshots.latest(desk.store, row.id) if turn is None else snapshots.after(desk.store, row.id, turn)
    kept = await wanted
    if kept is None:
        raise InvalidInput("turn", turn, f"name a turn of session {row.id} that has ended, from 0 to {row.turn}")
    named = values.title("title", title)
    made = await desk.sessions.create(await _new(desk, row, kept, named or row.title), actor.name)
    return await show(desk, actor, made)


async def origin_of(desk: Desk, actor: Actor, word: str) -> Origin | None:
    """Where a session was branched off; None for one that was not."""
    authorise(actor, Permission.SESSIONS_READ)
    return await origin.of(desk.store.log, (await rows.find(desk.store, word)).id)


async def _new(desk: Desk, row: SessionRow, kept: snapshots.SnapshotRow, title: str) -> NewSession:
    results = results_of(desk.config.data, row.repository_key)
    told = await git("rev-parse", session_ref(row.id, "upstream"), cwd=results)
    upstream = told.decode("ascii").strip()
    return NewSession(
        repository=Path(row.repository),
        agent=row.agent,
        provider=replayed(row.provider),
        model=row.model,
        ref=upstream,
        sandbox=row.sandbox,
        permissions=row.permissions,
        title=title,
        policy=row.policy,
        tools=tuple(map(Path, row.tools)),
        login=row.login,
        after=None if kept.commit == upstream else kept.commit,
        network=tuple(row.network),
        secrets=tuple(row.secrets),
        scopes=tuple(scope for scope in row.scopes if scope.startswith(SHARED)),
        turn_budget=None if row.turn_budget_nano is None else NanoUSD(row.turn_budget_nano),
        untrusted=row.untrusted,
        branched=(row.id, kept.turn),
    )
