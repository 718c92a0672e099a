"""A new session: everything is checked before anything is made, and a failure leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from pathlib import Path

from msgspec.structs import replace

from handrail.agents.spec import AgentSpec
from handrail.egress import rules
from handrail.errors import HandrailError, InvalidInput, MissingPart
from handrail.kinds import Kind
from handrail.policy.document import text_of
from handrail.policy.layers import stack
from handrail.sandbox.paths import session_uid
from handrail.sessions import walling
from handrail.sessions.budgets import scopes_of
from handrail.sessions.handover import handed_over
from handrail.sessions.models import check_model, choose, played
from handrail.sessions.rooms import NewSession, Rooms
from handrail.sessions.rules import CEILING
from handrail.sessions.workplace import session_folder
from handrail.store import budgets, prompts, snapshots
from handrail.store import sessions as rows
from handrail.store.log import Draft, Write
from handrail.store.sessions import SessionRow
from handrail.types import SCRIPTED, Control, Json, Permissions, SessionId, SessionState, now
from handrail.workspaces import Workspace
from handrail.workspaces.find import find
from handrail.workspaces.prepare import prepare
from handrail.workspaces.remove import remove

TITLE = 80
"""characters of a title that is made from a prompt"""
A_SECRET = "a_secret"  # noqa: S105  # its name, not it
"""stands among what a session holds when a login is inside"""


async def create(rooms: Rooms, new: NewSession, by: str) -> SessionRow:
    """See `Sessions.create`; returns the session as it is kept."""
    if new.key is not None and (there := await rows.by_key(rooms.store, new.key)) is not None:
        return there
    spec = rooms.roster.spec(new.agent)
    rooms.roster.installed(new.agent)
    new = await _paid(rooms, spec, new)
    for tool in new.tools:
        _check_tool(tool)
    network = (*new.network, *(spec.login.hosts if new.login and spec.login is not None else ()))
    new = replace(new, network=tuple(dict.fromkeys(network)))
    rules.parse(new.network)
    ceiling = rooms.config.data / CEILING
    team = text_of(ceiling) if ceiling.exists() else None
    policy = stack(Permissions.ASK, team=team, session=new.policy, network=new.network)
    walling.check_wish(policy, new.network)
    given = walling.given(policy, new.secrets, rooms.vault)
    repository = await find(new.repository)
    backend = await rooms.backend(new.sandbox)
    held = await backend.probe()
    # without --network: that is a wish, and no walls are as good as any to reach more than it says
    walling.check(stack(Permissions.ASK, team=team, session=new.policy), new.sandbox, held)
    walling.check_secrets(given, new.sandbox, held)
    holds = [str(flag.name).lower() for flag in held]
    identity = SessionId(f"s-{secrets.token_hex(4)}")
    scopes = scopes_of(identity, new.scopes, new.whose or by)
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
            after=new.after,
            owner=session_uid(number),
            untrusted=new.untrusted,
        )
    except BaseException:
        with contextlib.suppress(HandrailError, OSError):
            await remove(rooms.config.data, identity)
        raise
    row = _row(new, identity, number=number, workspace=workspace, repository_key=repository.key, holds=holds)
    row = replace(row, scopes=scopes, by=new.whose or by, server=rooms.store.server)
    drafts = [Draft(Kind.SESSION_CREATED, _data(row, by) | _origin(new))]
    also: list[Write] = [*budgets.share(identity, scopes), snapshots.insert(identity, 0, workspace.base)]
    # What it is to do is in the same transaction: a server that dies here leaves no session that nobody takes up.
    if new.goal is not None:
        begun, changes = handed_over(row, new.goal, policy.limits, by, rooms.clock())
        drafts += begun
        row = replace(row, **changes)
    elif new.prompt is not None:
        also.append(prompts.insert(prompts.identity(), identity, new.prompt, by))
    await rooms.store.log.append(identity, drafts, rows.insert(row), *also)
    return row


def title_of(text: str) -> str:
    """The first line of a prompt, short enough for a list."""
    line = next((part.strip() for part in text.splitlines() if part.strip()), "")
    return line if len(line) <= TITLE else line[: TITLE - 1] + "…"


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
        key=new.key,
        title=new.title or title_of(new.goal.text if new.goal is not None else new.prompt or ""),
        agent=new.agent,
        provider=new.provider,
        model=new.model,
        repository=str(workspace.repository),
        repository_key=repository_key,
        workspace=str(workspace.path),
        base=workspace.base,
        branch=workspace.branch,
        sandbox=new.sandbox,
        holds=[*holds, A_SECRET] if new.login else holds,
        permissions=new.permissions,
        policy=new.policy,
        turn_budget_nano=new.turn_budget,
        tools=[str(tool) for tool in new.tools],
        network=list(new.network),
        login=new.login,
        secrets=list(dict.fromkeys(new.secrets)),
        untrusted=new.untrusted,
        set_aside=list(workspace.set_aside),
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
    if row.login:
        data["login"] = True
    if row.untrusted:
        data |= {"untrusted": True, "set_aside": list(row.set_aside)}
    if row.secrets:
        data["secrets"] = list(row.secrets)
    shared = [scope for scope in row.scopes if not scope.startswith("session:")]
    given = {
        "scopes": shared,
        "turn_budget_nano": row.turn_budget_nano,
        "provider": row.provider,
        "model": row.model,
        "title": row.title,
        "permissions": row.permissions,
        "policy": row.policy,
    }
    return data | {key: value for key, value in given.items() if value}


def _origin(new: NewSession) -> Json:
    return {} if new.branched is None else {"branched": {"session": new.branched[0], "turn": new.branched[1]}}


async def _paid(rooms: Rooms, spec: AgentSpec, new: NewSession) -> NewSession:
    """See that something pays for it: a login, a provider with a model, or the script that costs nothing."""
    if new.login:
        _check_login(rooms, spec, new)
        return new
    if await asyncio.to_thread(played, rooms.gateway.providers, rooms.roster, new):
        new = replace(new, provider=SCRIPTED)
    check_model(spec, choose(rooms.gateway.providers, spec, new.provider), new.model)
    return new


def _check_login(rooms: Rooms, spec: AgentSpec, new: NewSession) -> None:
    if new.provider is not None:
        raise InvalidInput("provider", new.provider, "leave it away: with its login an agent talks to its own vendor")
    if new.turn_budget is not None:
        mend = "leave it away: what a login pays is not metered by Handrail"
        raise InvalidInput("turn_budget", f"${new.turn_budget / 1e9:.2f}", mend)
    if spec.login is None:
        known = ", ".join(other.name for other in rooms.roster.all() if other.login is not None)
        raise InvalidInput("login", spec.name, f"name an agent that has logins ({known}), or leave the login away")
    if rooms.roster.login(spec.name) is None:
        also = "".join(f", or set {name} before `handrail up`" for name in spec.login.variables)
        where = ", ".join(f"~/{name}" for name in spec.login.files)
        raise MissingPart(f"no login of {spec.title} was found in {where}: {spec.login.how}{also}")


def _check_tool(path: Path) -> None:
    if not path.is_absolute() or not path.is_dir():
        raise InvalidInput("tools", str(path), "give the absolute path of a directory, such as a virtual environment")
