"""The two sides of the battery behind one face: the walls of a session, and a plain subprocess."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from msgspec.structs import replace

from handrail.sandbox import Box, Door, ResourceLimits, Walls
from handrail.sandbox.bubblewrap import BubblewrapBackend
from handrail.sandbox.paths import python_paths
from handrail.sessions import doors
from handrail.types import Completed
from handrail.workspaces import Workspace
from handrail.workspaces.remove import remove_tree
from tests.sandbox.battery.ground import PROCESSES, ROOT, UID, Ground

LIMITS = ResourceLimits(processes=PROCESSES, open_files=256, file_bytes=8 << 20, tmp_bytes=16 << 20)
MEMORY_CAPPED = ResourceLimits(processes=PROCESSES, memory_bytes=200 << 20)
CPU_CAPPED = ResourceLimits(processes=PROCESSES, cpus=0.15)
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
BATTERY = (sys.executable, "-S", "-m", "tests.sandbox.battery.inside")


class Side(Protocol):
    """Where the battery runs."""

    walled: bool

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        limit: int = 1 << 20,
        timeout: float = 60.0,
    ) -> Completed:
        """`types.RunInside`."""
        ...

    def started(self, argv: Sequence[str]) -> AbstractAsyncContextManager[bytes]:
        """Start, give its first line, and end it as this side ends things."""
        ...


class Walled:
    """The walls of a session.

    Args:
        box: opened for it.
    """

    walled = True

    def __init__(self, box: Box) -> None:
        self.box = box
        self.run = box.run

    @asynccontextmanager
    async def started(self, argv: Sequence[str]) -> AsyncIterator[bytes]:
        """Start a process of the box, and kill it."""
        process = await self.box.start(argv, env={})
        try:
            yield await process.stdout.readline()
        finally:
            await process.kill()

    async def battery(self, names: Sequence[str], given: bytes, door: Door | None) -> bytes:
        """Run attempts inside, with the door that an agent has."""
        told = doors.environment(self.box.door_url()) if door else {}
        process = await self.box.start([*BATTERY, *names], env={**told, **ENVIRONMENT}, door=door)
        process.stdin.write(given)
        process.stdin.close()
        answer = await process.stdout.read()
        await process.wait()
        return answer


class Plain:
    """No walls: what a tool does that starts a command with `subprocess`."""

    walled = False

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        limit: int = 1 << 20,  # noqa: ARG002  # it has none
        timeout: float = 60.0,
    ) -> Completed:
        """Run to the end, and keep all of the output."""
        began = time.monotonic()
        done = await asyncio.to_thread(
            subprocess.run, argv, cwd=cwd or self.cwd, env={**os.environ, **(env or {})}, input=stdin,
            capture_output=True, check=False, timeout=timeout, close_fds=False,
        )  # fmt: skip
        return Completed(done.returncode, done.stdout, done.stderr, seconds=time.monotonic() - began)

    @asynccontextmanager
    async def started(self, argv: Sequence[str]) -> AsyncIterator[bytes]:
        """Start a process, and kill that process."""
        process = subprocess.Popen(argv, cwd=self.cwd, stdout=subprocess.PIPE, start_new_session=True)  # noqa: ASYNC220
        assert process.stdout is not None
        with process.stdout:
            try:
                yield await asyncio.to_thread(process.stdout.readline)
            finally:
                process.kill()
                await asyncio.to_thread(process.wait)

    async def battery(self, names: Sequence[str], given: bytes, _: Door | None) -> bytes:
        """Run attempts."""
        patient = {**ENVIRONMENT, "BATTERY_PATIENCE": "10"}
        return (await self.run([*BATTERY, *names], env=patient, stdin=given, timeout=100)).stdout


def walls(ground: Ground, workspace: Workspace, limits: ResourceLimits) -> Walls:
    """The walls of a session on `workspace`, with what the battery itself needs to be read."""
    return Walls(
        workspace.path,
        ground.home,
        read_only=(*workspace.read_only, *python_paths(), ROOT / "tests", ground.top / "tools"),
        protected=workspace.protected,
        uid=UID,
        limits=limits,
    )


@asynccontextmanager
async def opened(
    backend: BubblewrapBackend, ground: Ground, workspace: Workspace, limits: ResourceLimits = LIMITS
) -> AsyncIterator[Walled]:
    """A box of its own."""
    box = await backend.open(walls(ground, workspace, limits))
    try:
        yield Walled(box)
    finally:
        await box.close()


@asynccontextmanager
async def disk_capped(
    backend: BubblewrapBackend, ground: Ground, name: str, limit: int
) -> AsyncIterator[tuple[Walled, dict[str, Any]]]:
    """A box with a limit on its disk, on an empty workspace and home; and the targets in it."""
    top = ground.top / "disk" / name
    for part in ("workspace", "home"):
        (top / part).mkdir(parents=True)
    caps = ResourceLimits(processes=PROCESSES, disk_bytes=limit)
    usual = walls(ground, ground.workspace, caps)
    box = await backend.open(replace(usual, workspace=top / "workspace", home=top / "home", protected=()))
    told = {"workspace": str(top / "workspace"), "home": str(top / "home"), "stay": 15}
    try:
        yield Walled(box), ground.targets | told
    finally:
        await box.close()
        await remove_tree(top)
