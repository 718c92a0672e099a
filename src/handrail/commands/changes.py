"""Changes: what a session did to its workspace, back to an earlier state, and over to the user's checkout."""

from __future__ import annotations

from handrail.commands import values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.store import sessions as rows
from handrail.workspaces import Applied, ApplyMode, Change


async def diff(desk: Desk, actor: Actor, word: str, from_turn: int | None, to_turn: int | None) -> Change:
    """What the session changed, in all or between two turns.

    Raises:
        InvalidInput: there is no such turn.
    """
    authorise(actor, Permission.SESSIONS_READ)
    session = (await rows.find(desk.store, word)).id
    return await desk.sessions.diff(session, from_turn, to_turn)


async def undo(desk: Desk, actor: Actor, word: str, to_turn: int | None) -> tuple[int, str]:
    """Bring the workspace back to the state after `to_turn` (default: before the last turn): that turn, its commit.

    Raises:
        Conflict: a turn is under way.
    """
    authorise(actor, Permission.SESSIONS_WRITE)
    session = (await rows.find(desk.store, word)).id
    return await desk.sessions.undo(session, to_turn)


async def apply(desk: Desk, actor: Actor, word: str, mode: str, branch: str | None) -> Applied:
    """Bring the change to the user's checkout.

    Raises:
        Conflict: it does not fit the checkout as it is now; nothing was touched.
    """
    authorise(actor, Permission.CHANGES_APPLY)
    how = values.choice("mode", mode, ApplyMode)
    name = values.branch("branch", branch)
    session = (await rows.find(desk.store, word)).id
    return await desk.sessions.apply(session, how, name, actor.name)
