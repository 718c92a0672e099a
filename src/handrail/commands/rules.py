"""Rules that stand: what "always" wrote for a repository, listed and taken back."""

from __future__ import annotations

from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.sessions import standing
from handrail.sessions.standing import Standing


async def listed(desk: Desk, actor: Actor) -> list[Standing]:
    """Every rule that stands, by repository.

    Raises:
        InvalidInput: a file of them is no policy any more.
    """
    authorise(actor, Permission.SESSIONS_READ)
    return standing.listed(desk.config.data)


async def remove(desk: Desk, actor: Actor, key: str, section: str, rule: str) -> None:
    """Take a rule back; what it allowed is asked about again, in sessions that run as well.

    Raises:
        NotFound: there is no such rule.
    """
    authorise(actor, Permission.APPROVALS_ANSWER)
    standing.remove(desk.config.data, key, section, rule)
