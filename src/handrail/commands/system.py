"""The server itself: how it is, what is missing, its end."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.agents import look
from handrail.commands.desk import Desk
from handrail.commands.walls import Held
from handrail.store import servers
from handrail.store import sessions as rows
from handrail.store.servers import ServerRow
from handrail.types import SandboxKind, SessionState, now

LOW_SPACE = 1 << 30
"""bytes below which a doctor warns"""
_KIB = 1024


class Status(Struct, frozen=True):
    """How the server is."""

    version: str
    pid: int
    data: Path
    url: str
    started: datetime
    uptime: float
    sandbox: Held
    sessions: Mapping[SessionState, int]
    providers: tuple[str, ...]
    memory_mb: float
    servers: tuple[ServerRow, ...] = ()
    """those of the database, where it can have several"""


class Finding(Struct, frozen=True):
    """One thing that was looked at; `mend` says what to do where it is not well."""

    name: str
    ok: bool
    detail: str
    mend: str | None = None


async def status(desk: Desk, actor: Actor) -> Status:
    """How the server is now; waits for nothing that is still being tried."""
    authorise(actor, Permission.SYSTEM_READ)
    running = desk.running
    return Status(
        version=running.version,
        pid=running.pid,
        data=desk.config.data,
        url=running.url,
        started=running.started,
        uptime=(now() - running.started).total_seconds(),
        sandbox=desk.probes.now(SandboxKind(desk.config.sandbox)),
        sessions=await rows.count(desk.store),
        providers=tuple(provider.name for provider in desk.shelf.registry),
        memory_mb=memory(),
        servers=tuple(await servers.everything(desk.store)),
    )


async def doctor(desk: Desk, actor: Actor) -> list[Finding]:
    """Look at all that a session needs, and say what to do about what is missing."""
    authorise(actor, Permission.SYSTEM_READ)
    walls = await desk.probes.held(SandboxKind(desk.config.sandbox))
    free = await asyncio.to_thread(shutil.disk_usage, desk.config.data)
    providers = [provider.name for provider in desk.shelf.registry]
    known = await asyncio.to_thread(look, desk)
    agents = [agent.name for agent in known if agent.installed]
    without = "none is set up" + ("" if any(one.login for one in known) else ": a script plays, and no model works")
    return [
        Finding("server", True, f"version {desk.running.version}, process {desk.running.pid}, {memory():.0f} MB"),
        Finding("python", True, f"{sys.version.split()[0]} at {sys.executable}"),
        _git(await asyncio.to_thread(shutil.which, "git")),
        _walls(walls),
        Finding(
            "disk",
            free.free >= LOW_SPACE,
            f"{free.free >> 20} MB free for {desk.config.data}",
            None if free.free >= LOW_SPACE else "free some space: workspaces and logs are kept there",
        ),
        Finding(
            "providers",
            bool(providers),
            ", ".join(providers) or without,
            None if providers else "set one with `handrail providers set`, or put its key into the environment",
        ),
        Finding(
            "agents",
            bool(agents),
            f"installed: {', '.join(agents)}" if agents else "none is installed",
            None if agents else "install one with `handrail agents install`",
        ),
    ]


def shutdown(desk: Desk, actor: Actor) -> None:
    """End the server, in order: handed-off sessions go on at its next start."""
    authorise(actor, Permission.SYSTEM_STOP)
    desk.running.stop()


def memory() -> float:
    """Resident memory of this process in MB (10⁶ bytes), proc(5); 0 where that is not told."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmRSS:"):
                return round(int(line.split()[1]) * _KIB / 1e6, 1)
    return 0.0


def _git(where: str | None) -> Finding:
    if where is None:
        return Finding("git", False, "git is not on the PATH", "install Debian's package `git`")
    return Finding("git", True, where)


def _walls(walls: Held) -> Finding:
    if walls.usable:
        lacking = f"; does not hold {', '.join(walls.lacks)}" if walls.lacks else ""
        return Finding("sandbox", True, f"{walls.kind} holds {', '.join(walls.holds) or 'nothing'}{lacking}")
    return Finding("sandbox", False, f"{walls.kind}: {walls.detail}", walls.mend)
