"""Promotion: from a session that did well to a workflow that is switched off, and what it may do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from handrail.automation import EffectState
from handrail.commands import values, workflows
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import Conflict
from handrail.runs.drift import whole_log
from handrail.store import effects as effect_rows
from handrail.store import sessions as session_rows
from handrail.store import workflows as rows
from handrail.store.sessions import SessionRow
from handrail.store.workflows import VersionRow, WorkflowRow
from handrail.workflows.promote import Lived, Promoted, promote
from handrail.workflows.read import read
from handrail.workflows.sound import notes
from handrail.workflows.tree import LARGEST
from handrail.workspaces.git import Home, attempt

if TYPE_CHECKING:
    from handrail.workflows.document import Workflow

SOURCE = "session"


class Draft(Struct, frozen=True):
    """A draft, where it belongs, and the workflow that it was kept as."""

    promoted: Promoted
    repository: str
    kept: workflows.Listed | None
    notes: tuple[str, ...] = ()
    """what is sound about it, and may still surprise"""
    before: VersionRow | None = None
    """the newest version of it that this session was promoted to before"""


async def draft(desk: Desk, actor: Actor, word: str, *, name: str | None, keep: bool) -> Draft:
    """Draft a workflow from what a session did.

    Args:
        desk: the rooms.
        actor: who asks.
        word: the session.
        name: of the workflow; None takes it from the session's title.
        keep: keep it, switched off.

    Raises:
        NotFound: there is no such session.
        InvalidInput: it was told nothing, or the name cannot be one.
        Conflict: another workflow has that name.
    """
    authorise(actor, Permission.WORKFLOWS_WRITE if keep else Permission.WORKFLOWS_READ)
    authorise(actor, Permission.SESSIONS_READ)
    if name is not None:
        values.text("name", name, 63)
    session = await session_rows.find(desk.store, word)
    lived = await _lived(desk, session)
    promoted = await asyncio.to_thread(promote, lived, name)
    workflow = await _read(desk, promoted.text)
    told = tuple(notes(workflow))
    if not keep:
        there = await _own(desk, session, promoted.name)
        known = [] if there is None else await rows.versions(desk.store, there.name)
        return Draft(promoted, session.repository, None, told, known[0] if known else None)
    kept = await _add(desk, actor, session, promoted.name, promoted.text)
    return Draft(promoted, session.repository, kept, told)


async def keep(desk: Desk, actor: Actor, word: str, text: str) -> workflows.Listed:
    """Keep a draft as a person has changed it, switched off.

    Raises:
        NotFound: there is no such session.
        InvalidInput: the file cannot be used; the first problem is named.
        Conflict: another workflow has its name.
    """
    authorise(actor, Permission.WORKFLOWS_WRITE)
    authorise(actor, Permission.SESSIONS_READ)
    session = await session_rows.find(desk.store, word)
    values.text("text", text, 4 * LARGEST)
    workflow = await _read(desk, text)
    return await _add(desk, actor, session, workflow.name, text)


async def _read(desk: Desk, text: str) -> Workflow:
    return await asyncio.to_thread(read, text, "the draft", [spec.name for spec in desk.roster.all()])


async def _own(desk: Desk, session: SessionRow, name: str) -> WorkflowRow | None:
    """The workflow of this name that was promoted from this session."""
    there = next((row for row in await rows.everything(desk.store) if row.name == name), None)
    return there if there is not None and (there.source, there.origin) == (SOURCE, session.id) else None


async def _add(desk: Desk, actor: Actor, session: SessionRow, name: str, text: str) -> workflows.Listed:
    taken = any(row.name == name for row in await rows.everything(desk.store))
    if taken and await _own(desk, session, name) is None:
        raise Conflict(f"a workflow {name} is there already: choose another name with --name")
    return await workflows.add(desk, actor, text, source=SOURCE, origin=session.id)


async def _named(desk: Desk, session: SessionRow) -> str:
    """The repository as a workflow names it: at its forge where that is set up, so that effects can reach it."""
    checkout = Path(session.repository)
    if not await asyncio.to_thread(checkout.is_dir):  # it was moved away since
        return session.repository
    asked = await attempt(["config", "--get", "remote.origin.url"], cwd=checkout, home=Home.THEIRS)
    remote = asked.out.decode("utf-8", "replace").strip()
    found = await desk.forges.of_remote(remote) if asked.code == 0 and remote else None
    return session.repository if found is None else f"{found[0]}:{found[1]}"


async def _lived(desk: Desk, session: SessionRow) -> Lived:
    proposed = [
        effect.kind
        for effect in await effect_rows.of_sessions(desk.store, [session.id])
        if effect.state is not EffectState.REJECTED
    ]
    return Lived(
        session=session.id,
        title=session.title,
        agent=session.agent,
        provider=session.provider,
        model=session.model,
        repository=await _named(desk, session),
        workspace=session.workspace,
        events=await whole_log(desk.store, session.id),
        proposed=tuple(proposed),
        goal=session.goal,
        cost_nano=session.cost_nano,
    )
