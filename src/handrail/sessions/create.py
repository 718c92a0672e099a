"""A new session: everything is checked before anything is made, and a failure leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from pathlib import Path

from handrail.egress import rules
from handrail.errors import HandrailError, InvalidInput
from handrail.kinds import Kind
from handrail.policy.document import text_of
from handrail.policy.layers import stack
from handrail.sandbox.paths import session_uid
from handrail.sessions.models import check_model, choose
from handrail.sessions.rooms import NewSession, Rooms
from handrail.sessions.rules import CEILING
from handrail.sessions.workplace import session_folder
from handrail.store import sessions as rows
from handrail.store import snapshots
from handrail.store.log import Draft
from handrail.store.sessions import SessionRow
from handrail.types import Control, Json, Permissions, SessionId, SessionState, now
from handrail.workspaces import Workspace
from handrail.workspaces.find import find
from handrail.workspaces.prepare import prepare
from handrail.workspaces.remove import remove


async def create(rooms: Rooms, new: NewSession, by: str) -> SessionId:
    """See `Sessions.create`."""
    spec = rooms.roster.spec(new.agent)
    rooms.roster.installed(new.agent)
    check_model(spec, choose(rooms.gateway.providers, spec, new.provider), new.model)
    for tool in new.tools:
        _check_tool(tool)
    rules.parse(new.network)
    ceiling = rooms.config.data / CEILING
    stack(Permissions.ASK, team=text_of(ceiling) if ceiling.exists() else None, session=new.policy)
    repository = await find(new.repository)
    backend = await rooms.backend(new.sandbox)
    holds = [str(flag.name).lower() for flag in await backend.probe()]
    identity = SessionId(f"s-{secrets.token_hex(4)}")
    number = await rows.next_number(rooms.store)
    folder = session_folder(rooms, identity)
    try:
        await asyncio.to_thread(folder.mkdir, 0o700, parents=True)
        workspace = await prepare(
            rooms.config.data,
            repository,
            identity,
            ref=new.ref,
            include_uncommitted=new.include_uncommitted,
            owner=session_uid(number),
        )
    except BaseException:
        with contextlib.suppress(HandrailError, OSError):
            await remove(rooms.config.data, identity)
        raise
    row = _row(new, identity, number=number, workspace=workspace, repository_key=repository.key, holds=holds)
    await rooms.store.log.append(
        identity,
        [Draft(Kind.SESSION_CREATED, _data(row, by))],
        rows.insert(row),
        snapshots.insert(identity, 0, workspace.base),
    )
    return identity


def _row(
    new: NewSession,
    identity: SessionId,
    *,
    number: int,
    workspace: Workspace,
    repository_key: str,
    holds: list[str],
) -> SessionRow:
    created = now()
    return SessionRow(
        id=identity,
        number=number,
        title=new.title or "",
        agent=new.agent,
        provider=new.provider,
        model=new.model,
        repository=str(workspace.repository),
        repository_key=repository_key,
        workspace=str(workspace.path),
        base=workspace.base,
        branch=workspace.branch,
        sandbox=new.sandbox,
        holds=holds,
        permissions=new.permissions,
        policy=new.policy,
        tools=[str(tool) for tool in new.tools],
        network=list(new.network),
        control=Control.YOU,
        state=SessionState.IDLE,
        created=created,
        updated=created,
    )


def _data(row: SessionRow, by: str) -> Json:
    data: Json = {
        "agent": row.agent,
        "repository": row.repository,
        "workspace": row.workspace,
        "base": row.base,
        "branch": row.branch,
        "sandbox": row.sandbox,
        "holds": list(row.holds),
        "control": row.control,
        "by": by,
    }
    if row.network:
        data["network"] = list(row.network)
    given = {"model": row.model, "title": row.title, "permissions": row.permissions, "policy": row.policy}
    return data | {key: value for key, value in given.items() if value}


def _check_tool(path: Path) -> None:
    if not path.is_absolute() or not path.is_dir():
        raise InvalidInput("tools", str(path), "give the absolute path of a directory, such as a virtual environment")
