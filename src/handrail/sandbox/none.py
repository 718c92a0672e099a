"""No walls: an explicit choice. The command has every right of the server; only its end is looked after."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from handrail.sandbox import Guarantee, Walls, paths
from handrail.sandbox.arguments import environment
from handrail.sandbox.box import LaunchedBox
from handrail.sandbox.client import LauncherClient
from handrail.sandbox.orders import Order
from handrail.sandbox.process import door_socket
from handrail.types import SandboxKind

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


class NoneBox(LaunchedBox):
    """A session without walls; each command has a session and a process group of its own."""

    kind = SandboxKind.NONE

    def __init__(self, backend: NoneBackend, walls: Walls) -> None:
        super().__init__(walls, Guarantee.NOTHING)
        self._backend = backend
        self._mark = secrets.token_hex(8)
        self._started = 0
        self._door = door_socket()
        self._port = int(self._door.getsockname()[1])

    def door_url(self) -> str:
        """Where processes started with a door reach the server: a port of its own on the host's loopback."""
        return f"http://127.0.0.1:{self._port}"

    async def close(self) -> None:
        """End everything that was started here, as far as it can be found. Idempotent."""
        self._door.close()
        await super().close()
        self._backend.forget(self)

    async def _client(self) -> LauncherClient:
        return self._backend.client()

    def _listener(self) -> socket.socket:
        return self._door.dup()

    def _order(
        self,
        _client: LauncherClient,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        *,
        with_door: bool,  # noqa: ARG002  # it has the same network
    ) -> Order:
        self._started += 1
        mark = f"{self._mark}.{self._started}"
        return Order(
            id=0,
            walled=False,
            argv=list(argv),
            args=[],
            env={**environment(self.walls, env), MARK: mark},
            cwd=str(cwd),
            data={},
            stage=[],
            uid=None,
            rlimits={"RLIMIT_CORE": 0},
            processes=0,
            cgroups=[],
            door=None,
            mark=mark,
            warm=None,
        )
