"""Members: who may come in, with which role; and whose a session, a run, a question or an effect is."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from handrail.commands import values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import Conflict, Forbidden, NotFound
from handrail.identity import YOU
from handrail.store import approvals, effects, runs, sessions, tasks
from handrail.store.effects import EffectRow
from handrail.store.members import MemberRow
from handrail.types import ApprovalId, Role


class Listed(Struct, frozen=True):
    """A member as they may be shown. `invited` is until when their link lets them in; None where there is none."""

    name: str
    role: Role
    added: datetime | None
    """None for the person of this machine"""
    added_by: str | None
    seen: datetime | None
    invited: datetime | None


class Invited(Struct, frozen=True):
    """A member, and the link that lets them in once."""

    member: Listed
    link: str


def listed(desk: Desk, actor: Actor) -> list[Listed]:
    """Everybody who may come in: the person of this machine first, then members by name."""
    authorise(actor, Permission.MEMBERS_READ)
    return [Listed(YOU, Role.OWNER, None, None, None, None), *(_listed(row) for row in desk.roll.everybody())]


async def add(desk: Desk, actor: Actor, name: str, role: str) -> Invited:
    """Make somebody a member.

    Raises:
        InvalidInput: the name or the role cannot be one.
        Conflict: there is a member of that name.
    """
    authorise(actor, Permission.MEMBERS_WRITE)
    token = await desk.roll.add(name, values.choice("role", role, Role), actor.name)
    return _invited(desk, name, token)


async def invite(desk: Desk, actor: Actor, name: str) -> Invited:
    """A new link for a member, in place of the one before.

    Raises:
        NotFound: there is no such member.
    """
    authorise(actor, Permission.MEMBERS_WRITE)
    return _invited(desk, name, await desk.roll.invite(name))


async def remove(desk: Desk, actor: Actor, name: str) -> None:
    """Take a member off the roll: their browsers are signed out, what they made stays.

    Raises:
        NotFound: there is no such member.
        Conflict: it is the person of this machine.
    """
    authorise(actor, Permission.MEMBERS_WRITE)
    if name == YOU:
        raise Conflict("you are the person of this machine: whoever has its data directory is its owner")
    await desk.roll.remove(name)


async def must_own(desk: Desk, actor: Actor, kind: str, word: str) -> None:
    """Let the act go on if `actor` may see everybody's, or this is their own.

    Args:
        desk: the rooms.
        actor: who asks.
        kind: session, run, task, approval or effect.
        word: which one, as a person says it.

    Raises:
        Forbidden: it is somebody else's; the message says whose.
        NotFound: there is none.
        InvalidInput: several fit.
    """
    if actor.only is None:
        return
    whose = await _whose(desk, kind, word)
    if whose != actor.only:
        who = f"{whose} can, or an owner" if desk.roll.role(whose) is Role.MEMBER else "an owner can"
        raise Forbidden(f"This {kind} is not {actor.name}'s own: {who}.")


async def _whose(desk: Desk, kind: str, word: str) -> str:
    match kind:
        case "session":
            return (await sessions.find(desk.store, word)).by
        case "run":
            return (await runs.find(desk.store, word)).by
        case "task":
            try:
                return (await runs.get(desk.store, (await tasks.find(desk.store, word)).run)).by
            except NotFound:  # a task may be named by its session
                return (await sessions.find(desk.store, word)).by
        case "approval":
            return (await sessions.get(desk.store, (await approvals.get(desk.store, ApprovalId(word))).session)).by
        case _:
            return await _whose_effect(desk, await effects.find(desk.store, word))


async def _whose_effect(desk: Desk, row: EffectRow) -> str:
    if row.run is not None:
        return (await runs.get(desk.store, row.run)).by
    return "" if row.session is None else (await sessions.get(desk.store, row.session)).by


def _listed(row: MemberRow) -> Listed:
    return Listed(row.name, row.role, row.added, row.added_by, row.seen, row.link_due if row.link else None)


def _invited(desk: Desk, name: str, token: str) -> Invited:
    row = next(row for row in desk.roll.everybody() if row.name == name)
    return Invited(_listed(row), f"{desk.running.url}/open?token={token}")
