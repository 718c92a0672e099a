"""The terminal of a session: what its agent runs, to be watched, and shells for a person who holds it."""

from __future__ import annotations

from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.sessions.shells import Shell
from handrail.store import sessions as rows


async def open_shell(desk: Desk, actor: Actor, word: str, columns: int, rows_: int) -> Shell:
    """A new shell inside the walls of a session that `actor` holds.

    Args:
        desk: the rooms.
        actor: who types.
        word: the session.
        columns: width of the terminal, in characters.
        rows_: its height.

    Raises:
        NotFound: there is no such session.
        Conflict: the agent is in control, the session has ended, or too many shells are open.
        SandboxError: the walls do not hold.
    """
    authorise(actor, Permission.SESSIONS_WRITE)
    session = (await rows.find(desk.store, word)).id
    return await desk.sessions.shells.open(session, columns, rows_, actor.name)


async def find_shell(desk: Desk, actor: Actor, word: str, identity: str) -> Shell:
    """A shell that is open still, for whoever lost the line to it.

    Raises:
        NotFound: it has ended.
    """
    authorise(actor, Permission.SESSIONS_WRITE)
    return desk.sessions.shells.find((await rows.find(desk.store, word)).id, identity)
