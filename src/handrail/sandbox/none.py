"""No walls: an explicit choice. The command has every right of the server; only its end is looked after."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from handrail.errors import SandboxError
from handrail.sandbox import Door, Guarantee, Process, Walls, paths
from handrail.sandbox.arguments import checked, environment
from handrail.sandbox.client import LauncherClient
from handrail.sandbox.orders import Order
from handrail.sandbox.process import BoxProcess, Sink, close_all, complete, door_socket, launch
from handrail.types import Completed, SandboxKind

MARK = "HANDRAIL_BOX"


class NoneBackend:
    """Starts commands as they are, guarantees nothing, and says so."""

    kind = SandboxKind.NONE

    def __init__(self) -> None:
        self._client: LauncherClient | None = None
        self._boxes: set[NoneBox] = set()

    async def probe(self) -> Guarantee:
        """Nothing is held."""
        return Guarantee.NOTHING

    async def open(self, walls: Walls) -> NoneBox:
        """Take the paths of `walls`; none of them is enforced.

        Raises:
            SandboxError: the workspace or the home is missing or a link.
        """
        paths.check_walls(walls)
        box = NoneBox(self, walls)
        self._boxes.add(box)
        return box

    def client(self) -> LauncherClient:
        """The running launcher of this event loop."""
        if self._client is None or not self._client.alive:
            self._client = LauncherClient()
        return self._client

    def forget(self, box: NoneBox) -> None:
        """A box was closed."""
        self._boxes.discard(box)

    async def close(self) -> None:
        """Close every box and end the launcher."""
        await asyncio.gather(*(box.close() for box in list(self._boxes)))
        if self._client is not None:
            self._client.close()
            self._client = None


class NoneBox:
    """A session without walls."""

    kind = SandboxKind.NONE
    guarantee = Guarantee.NOTHING

    def __init__(self, backend: NoneBackend, walls: Walls) -> None:
        self.walls = walls
        self._backend = backend
        self._mark = secrets.token_hex(8)
        self._started = 0
        self._processes: set[BoxProcess] = set()
        self._listener: socket.socket | None = door_socket()
        self._port = int(self._listener.getsockname()[1])

    def door_url(self) -> str:
        """Where processes started with a door reach the server: a port of its own on the host's loopback."""
        return f"http://127.0.0.1:{self._port}"

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
    ) -> Process:
        """Start `argv` in a session and process group of its own (see `Box.start`, and `BubblewrapBox.start`)."""
        return await self._launch(
            argv, env, cwd, door=door, stderr_file=stderr_file, stdout_limit=stdout_limit, sink=sink
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
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        await close_all(list(self._processes))
        self._processes.clear()
        self._backend.forget(self)

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
    ) -> BoxProcess:
        if self._listener is None:
            raise SandboxError("sandbox: this box is closed: open another")
        checked(argv, env)
        directory = self.walls.workspace if cwd is None else cwd
        if not directory.is_dir():
            raise SandboxError(f"sandbox: the directory {directory} does not exist: choose one in the workspace")
        self._processes = {process for process in self._processes if not process.done}
        self._started += 1
        mark = f"{self._mark}.{self._started}"
        order = Order(
            id=0,
            walled=False,
            argv=list(argv),
            args=[],
            env={**environment(self.walls, env), MARK: mark},
            cwd=str(directory),
            data={},
            stage=[],
            uid=None,
            rlimits={"RLIMIT_CORE": 0},
            processes=0,
            cgroups=[],
            door=None,
            mark=mark,
        )
        listener = self._listener.dup() if door is not None else None
        try:
            process = await launch(
                self._backend.client(),
                order,
                door=door,
                stderr_file=stderr_file,
                stdout_limit=stdout_limit,
                keep=keep,
                sink=sink,
                listener=listener,
            )
        except BaseException:
            if listener is not None:
                listener.close()
            raise
        self._processes.add(process)
        return process
