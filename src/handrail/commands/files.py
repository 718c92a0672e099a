"""The files of a session as its snapshots hold them; nothing of the agent's tree is opened on the host."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import InvalidInput
from handrail.sessions.actors import must_be_here
from handrail.store import sessions as rows
from handrail.store import snapshots
from handrail.workspaces import browse
from handrail.workspaces.browse import File, Folder
from handrail.workspaces.layout import results_of


class Looked(Struct, frozen=True):
    """What stands at a path, in the snapshot after which turn."""

    session: str
    turn: int
    commit: str
    found: Folder | File


async def look(desk: Desk, actor: Actor, word: str, path: str, turn: int | None = None) -> Looked:
    """A folder or a file of a session's workspace.

    Args:
        desk: the rooms.
        actor: who looks.
        word: the session.
        path: from the top of the repository; empty for the top.
        turn: the state after this turn; None for the newest.

    Raises:
        NotFound: there is no such session, or nothing at this path.
        InvalidInput: no path can be that, or there is no such turn.
        Conflict: another server has it.
    """
    session, results, kept = await _kept(desk, actor, word, turn)
    return Looked(session, kept.turn, kept.commit, await browse.look(results, kept.commit, path))


async def raw(desk: Desk, actor: Actor, word: str, path: str, turn: int | None = None) -> bytes:
    """A file as it is.

    Raises:
        NotFound: there is no such session or file.
        InvalidInput: no path can be that, there is no such turn, or the file is too large.
        Conflict: another server has it.
    """
    _, results, kept = await _kept(desk, actor, word, turn)
    return await browse.raw(results, kept.commit, path)


async def snapshots_of(desk: Desk, actor: Actor, word: str) -> list[snapshots.SnapshotRow]:
    """The snapshots of a session, the newest first, one a turn."""
    authorise(actor, Permission.SESSIONS_READ)
    row = await rows.find(desk.store, word)
    newest: dict[int, snapshots.SnapshotRow] = {}
    for one in await snapshots.of(desk.store, row.id):
        newest.setdefault(one.turn, one)
    return list(newest.values())


async def _kept(desk: Desk, actor: Actor, word: str, turn: int | None) -> tuple[str, Path, snapshots.SnapshotRow]:
    authorise(actor, Permission.SESSIONS_READ)
    row = await rows.find(desk.store, word)
    await must_be_here(desk.store, row)
    found = snapshots.latest(desk.store, row.id) if turn is None else snapshots.after(desk.store, row.id, turn)
    kept = await found
    if kept is None:
        raise InvalidInput("turn", turn, f"name a turn of this session from 0 (the start) to {row.turn}")
    return row.id, results_of(desk.config.data, row.repository_key), kept
