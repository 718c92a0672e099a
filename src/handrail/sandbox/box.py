"""One box over the launcher: what `bubblewrap` and `none` share. A kind of walls tells its launcher and its orders."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from handrail.errors import SandboxError
from handrail.sandbox import Door, Guarantee, Process, Walls, paths
from handrail.sandbox.arguments import checked
from handrail.sandbox.client import LauncherClient
from handrail.sandbox.disk import Watch
from handrail.sandbox.orders import Order, Warm
from handrail.sandbox.process import BoxProcess, Sink, close_all, complete, launch
from handrail.types import Completed, SandboxKind


class LaunchedBox(ABC):
    """The `Box` of every kind whose processes are started by a launcher.

    Args:
        walls: what it may see and touch.
        guarantee: what its backend was measured to hold.
        disk: the limit on what its workspace and home take, if it has one.
    """

    kind: SandboxKind

    def __init__(self, walls: Walls, guarantee: Guarantee, disk: Watch | None = None) -> None:
        self.walls = walls
        self.guarantee = guarantee
        self.disk = disk
        self._processes: set[BoxProcess] = set()
        self._closed = False

    @abstractmethod
    def door_url(self) -> str:
        """Where processes started with a door reach the server."""

    @abstractmethod
    async def _client(self) -> LauncherClient:
        """The running launcher."""

    @abstractmethod
    def _order(
        self, client: LauncherClient, argv: Sequence[str], env: Mapping[str, str], cwd: Path, *, with_door: bool
    ) -> Order:
        """What to tell the launcher; `argv`, `env` and `cwd` have been looked at."""

    def _warm(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> Warm | None:  # noqa: ARG002
        """How `argv` may be forked, where this kind of walls can be entered."""
        return None

    def _listener(self) -> socket.socket | None:
        """A new descriptor of the door, where it is no port of the walls' own network."""
        return None

    def _kills(self) -> int:
        """How many processes the kernel has killed in this box for want of memory."""
        return 0

    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        door: Door | None = None,
        stderr_file: Path | None = None,
        stdout_limit: int = 64 << 20,
        sink: Sink | None = None,
        warm: bool = False,
    ) -> Process:
        """Start `argv` (see `Box.start`); `sink` is given its stderr as it comes."""
        if self.disk is not None:
            await self.disk.admit()
        return await self._launch(
            argv, env, cwd, door=door, stderr_file=stderr_file, stdout_limit=stdout_limit, sink=sink, warm=warm
        )

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
        """Run to the end without a door (see `Box.run`)."""
        process = await self._launch(
            argv, env or {}, cwd, door=None, stderr_file=None, stdout_limit=1 << 16, keep=limit
        )
        return await complete(process, stdin=stdin, limit=limit, timeout=timeout)

    async def close(self) -> None:
        """End everything that was started here, as far as it can be found. Idempotent."""
        self._closed = True
        await close_all(list(self._processes))
        self._processes.clear()
        if self.disk is not None:
            await self.disk.stop()

    async def _launch(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path | None,
        *,
        door: Door | None,
        stderr_file: Path | None,
        stdout_limit: int,
        keep: int = 0,
        sink: Sink | None = None,
        warm: bool = False,
    ) -> BoxProcess:
        self._must_be_open()
        client = await self._client()
        checked(argv, env)
        paths.check_walls(self.walls)
        directory = self.walls.workspace if cwd is None else cwd
        if not directory.is_dir():
            raise SandboxError(f"sandbox: the directory {directory} does not exist: choose one in the workspace")
        order = self._order(client, argv, env, directory, with_door=door is not None)
        if warm:
            order["warm"] = self._warm(argv, env, directory)
        self._processes = {process for process in self._processes if not process.done}
        before = self._kills()
        listener = self._listener() if door is not None else None
        try:
            process = await launch(
                client,
                order,
                door=door,
                stderr_file=stderr_file,
                stdout_limit=stdout_limit,
                keep=keep,
                sink=sink,
                out_of_memory=lambda: self._kills() > before,
                listener=listener,
            )
        except BaseException:
            if listener is not None:
                listener.close()
            raise
        self._processes.add(process)
        if self._closed:
            await process.kill()
            raise SandboxError("sandbox: this box was closed while a process started in it")
        if self.disk is not None:
            self.disk.follow(process, own=keep > 0)
        return process

    def _must_be_open(self) -> None:
        if self._closed:
            raise SandboxError("sandbox: this box is closed: open another")
