"""A place to try an agent in: a workspace and a home of its own inside the walls, gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from msgspec import Struct, field

from handrail.agents import Endpoint, Launch
from handrail.commands.desk import Desk
from handrail.sandbox import Box, Process, Walls
from handrail.sandbox.paths import python_paths
from handrail.types import SandboxKind

TOKEN = "no-session"  # noqa: S105  # the gateway knows none of that name, so the agent on trial reaches no model
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


class Stage(Struct, frozen=True):
    """An open box, and how the agent is started in it."""

    desk: Desk
    box: Box
    launch: Launch
    started: list[Process] = field(default_factory=list)

    @property
    def workspace(self) -> Path:
        """The working directory of its session."""
        return self.box.walls.workspace

    async def start(self) -> Process:
        """Start a process of the agent."""
        path = os.pathsep.join(part for part in (self.launch.env.get("PATH"), SYSTEM_PATH) if part)
        process = await self.box.start(
            self.launch.argv,
            env={**self.launch.env, "PATH": path},
            cwd=self.workspace,
            door=self.desk.gateway.serve,
        )
        self.started.append(process)
        return process

    async def end(self, _: object) -> None:
        """End what was started; one process runs at a time."""
        while self.started:
            await self.started.pop().kill()


@contextlib.asynccontextmanager
async def stage(desk: Desk, name: str) -> AsyncIterator[Stage]:
    """A stage for the agent `name`.

    Raises:
        NotFound: no such agent.
        MissingPart: it, or the sandbox, is not installed.
        SandboxError: the walls could not be raised.
    """
    read_only = tuple(dict.fromkeys((*python_paths(), *desk.roster.read_only(name))))
    backend = await desk.probes.backend(SandboxKind(desk.config.sandbox))
    folder = desk.config.data / "checks" / f"{name}-{secrets.token_hex(4)}"
    home, workspace = folder / "home", folder / "workspace"
    for place in (home, workspace):
        await asyncio.to_thread(place.mkdir, 0o700, parents=True)
    try:
        box = await backend.open(Walls(workspace=workspace, home=home, read_only=read_only))
        try:
            launch = desk.roster.launch(name, Endpoint(box.door_url(), TOKEN), home)
            await asyncio.to_thread(_furnish, home, launch)
            yield Stage(desk, box, launch)
        finally:
            await box.close()
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _furnish(home: Path, launch: Launch) -> None:
    """Write the agent's settings. Nothing has run in this home yet, so no link of an agent's can be in the way."""
    owner = home.stat()
    for name, content in launch.files.items():
        file = home / name
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(content, "utf-8")
        file.chmod(0o600)
    for path in home.rglob("*"):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
