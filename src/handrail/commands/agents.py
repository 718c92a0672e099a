"""Agents: what the catalogue holds, installing one, trying one."""

from __future__ import annotations

import asyncio
import time

from msgspec import Struct

from handrail.agents import check as trial
from handrail.agents.check import CheckReport
from handrail.agents.install import Installed
from handrail.agents.spec import AgentSpec
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.commands.trial import stage
from handrail.errors import MissingPart


class Known(Struct, frozen=True):
    """An agent of the catalogue, and what was found of it on this machine."""

    spec: AgentSpec
    found: Installed | None
    login: str | None = None
    """where the user's login of it was found"""

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.spec.title

    @property
    def installed(self) -> bool:
        """Whether it can be started."""
        return self.found is not None


class Fetched(Struct, frozen=True):
    """An agent as it was installed; `seconds` is what it took."""

    name: str
    version: str | None
    path: str
    seconds: float


async def listed(desk: Desk, actor: Actor) -> list[Known]:
    """Every agent of the catalogue, with what was found on this machine."""
    authorise(actor, Permission.AGENTS_READ)
    return await asyncio.to_thread(look, desk)


async def install(desk: Desk, actor: Actor, name: str) -> Fetched:
    """Fetch an agent's pinned package into Handrail's own folder; one that is there is left alone.

    Raises:
        NotFound: no such agent.
        MissingPart: npm or the right Python is missing.
        AgentError: the registry or the package manager failed.
    """
    authorise(actor, Permission.AGENTS_INSTALL)
    began = time.monotonic()
    installed = await desk.roster.install(name)
    return Fetched(name, installed.version, str(installed.prefix), round(time.monotonic() - began, 3))


async def check(desk: Desk, actor: Actor, name: str, *, deep: bool) -> CheckReport:
    """Start an agent inside the walls, shake hands, and try what it says it can do; no model is called.

    Raises:
        NotFound: no such agent.
        MissingPart: it, or the sandbox, is not installed.
        SandboxError: the walls could not be raised.
    """
    authorise(actor, Permission.AGENTS_INSTALL)
    async with stage(desk, name) as place:
        return await trial.check(desk.roster.spec(name), place.start, place.end, place.workspace, deep=deep)


def look(desk: Desk) -> list[Known]:
    """The catalogue as it is on disk now; blocks for a few file lookups an agent."""
    return [Known(spec, desk.roster.find(spec.name), _login(desk, spec.name)) for spec in desk.roster.all()]


def _login(desk: Desk, name: str) -> str | None:
    try:
        login = desk.roster.login(name)
    except MissingPart:  # it has ended; a session that wants it is told so
        return None
    return None if login is None else login.source
