"""Who asks, and whether they may: the one place where every act on the control plane is authorised."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from handrail.errors import Forbidden
from handrail.identity import YOU
from handrail.types import Role


class Permission(StrEnum):
    """What an act needs."""

    SESSIONS_READ = "sessions.read"
    SESSIONS_WRITE = "sessions.write"
    APPROVALS_ANSWER = "approvals.answer"
    RUNS_READ = "runs.read"
    RUNS_WRITE = "runs.write"
    CHANGES_APPLY = "changes.apply"
    AGENTS_READ = "agents.read"
    AGENTS_INSTALL = "agents.install"
    PROVIDERS_READ = "providers.read"
    PROVIDERS_WRITE = "providers.write"
    FORGES_READ = "forges.read"
    FORGES_WRITE = "forges.write"
    EFFECTS_READ = "effects.read"
    EFFECTS_DECIDE = "effects.decide"
    EVENTS_READ = "events.read"
    EVENTS_WRITE = "events.write"
    WORKFLOWS_READ = "workflows.read"
    WORKFLOWS_WRITE = "workflows.write"
    WORKFLOWS_START = "workflows.start"
    SECRETS_READ = "secrets.read"
    SECRETS_WRITE = "secrets.write"
    BUDGETS_WRITE = "budgets.write"
    NOTIFY_READ = "notify.read"
    NOTIFY_TEST = "notify.test"
    MEMBERS_READ = "members.read"
    MEMBERS_WRITE = "members.write"
    SYSTEM_READ = "system.read"
    SYSTEM_STOP = "system.stop"


_OF_MEMBERS = frozenset(
    {
        Permission.SESSIONS_READ, Permission.SESSIONS_WRITE, Permission.APPROVALS_ANSWER, Permission.RUNS_READ,
        Permission.RUNS_WRITE, Permission.AGENTS_READ, Permission.EFFECTS_READ, Permission.EFFECTS_DECIDE,
        Permission.WORKFLOWS_READ, Permission.WORKFLOWS_START,
    }
)  # fmt: skip
_OF = {Role.OWNER: frozenset(Permission), Role.MEMBER: _OF_MEMBERS}
OWNERS = "an owner can: that is who started this server, and whom `handrail members` lists as owner"


class Actor(Struct, frozen=True):
    """Who asks. `name` is what the log says after "by"."""

    name: str
    permissions: frozenset[Permission]
    role: Role | None = None
    """None for who is nobody, or holds a key to one act"""

    @property
    def only(self) -> str | None:
        """Whose things alone they may see; None for who sees everybody's."""
        return None if self.role is Role.OWNER else self.name


def person(name: str, role: Role) -> Actor:
    """Somebody of the roll."""
    return Actor(name, _OF[role], role)


OWNER = person(YOU, Role.OWNER)
"""The person whose machine and data directory this is."""

NOBODY = Actor("nobody", frozenset())
"""Whoever has not said who they are."""


def authorise(actor: Actor, permission: Permission) -> None:
    """Let the act go on, or refuse it.

    Raises:
        Forbidden: the actor lacks the permission; the message names both.
    """
    if permission not in actor.permissions:
        raise Forbidden(f"{actor.name} may not do this ({permission.value}): {OWNERS}.")
