"""Copies of the user's logins in the homes of sessions: made at each start of an agent, gone when it stops."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from handrail.agents import Login
from handrail.agents.roster import Roster
from handrail.errors import AgentError, HandrailError
from handrail.sessions.agent import erase_home
from handrail.store.sessions import SessionRow

_log = logging.getLogger(__name__)


def fresh(roster: Roster, row: SessionRow) -> Login:
    """The user's login as it is now, for a session that was promised one.

    Raises:
        AgentError: it is not there any more; says what to do.
        MissingPart: it has ended, or cannot be read.
    """
    login = roster.login(row.agent)
    if login is None:
        spec = roster.spec(row.agent)
        how = spec.login.how if spec.login is not None else "start another session without it"
        raise AgentError(f"the login of {spec.title} is not there any more: {how}")
    return replace(login, model=row.model)


def forget(roster: Roster, row: SessionRow, home: Path) -> None:
    """Remove the copy from the home of a session; one that has none is left alone."""
    if row.login and (login := roster.spec(row.agent).login) is not None:
        erase_home(home, login.files)


def forget_all(roster: Roster, rows: Iterable[SessionRow], sessions: Path) -> None:
    """Remove the copies that a server left which did not live to do it.

    Args:
        roster: knows the files of each agent.
        rows: the sessions.
        sessions: the folder that holds theirs.
    """
    for row in rows:
        try:
            forget(roster, row, sessions / row.id / "home")
        except (HandrailError, OSError) as error:
            _log.error("session %s: a copy of a login could not be removed: %s", row.id, error)
