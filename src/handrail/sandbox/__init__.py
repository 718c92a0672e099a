"""Walls round a process. A backend is a sibling file: `bubblewrap`, `none`, `seatbelt` (untested).

A `Backend` is asked once what it really holds (`probe`), then opens one `Box` a session. A box starts processes, each
in a pid namespace of its own that ends with it; all of them see the same workspace and private home.

A *door* is the only way out: a loopback port inside the walls whose listening socket is handed to the server.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Flag, auto
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field

from handrail.types import Completed, SandboxKind


class Guarantee(Flag):
    """What a backend was measured to hold."""

    NOTHING = 0
    READS = auto()  # only what is mounted can be read
    WRITES = auto()  # only workspace, home and scratch can be written
    NETWORK = auto()  # no way out but the doors
    PROCESSES = auto()  # no other process is seen or signalled
    SECRETS = auto()  # the server's environment and files cannot be read
    PIDS = auto()
    MEMORY = auto()
    CPU = auto()
    DISK = auto()
    KILL = auto()  # everything inside dies with the box or the server


class ResourceLimits(Struct, frozen=True):
    """Caps on one box; bytes, or counts."""

    processes: int = 512
    open_files: int = 8192
    file_bytes: int = 4 << 30
    tmp_bytes: int = 1 << 30
    memory_bytes: int | None = None
    cpus: float | None = None
    disk_bytes: int | None = None
    """what workspace and home may take on disk, together (see `disk.Watch`)"""


class Walls(Struct, frozen=True):
    """What one box may see and touch. Paths are the same inside as outside.

    `home` and `workspace` are writable; `protected` names paths inside `workspace` that are mounted read-only over it
    (they exist and are no links); `read_only` are tool chains and the mirror's objects.
    """

    workspace: Path
    home: Path
    read_only: tuple[Path, ...] = ()
    protected: tuple[Path, ...] = ()
    uid: int | None = None
    """uid of the processes when the server is root; None otherwise"""
    limits: ResourceLimits = field(default_factory=ResourceLimits)


Closer = Callable[[], Awaitable[None]]
Door = Callable[[socket.socket], Awaitable[Closer]]
"""Takes a listening socket, serves it until the returned closer is awaited."""


class Exit(Struct, frozen=True):
    """How a process ended.

    `code` is negative for a signal; `reason` is one of exited, signalled, out_of_memory, out_of_disk, killed.
    """

    code: int
    reason: str


class Process(Protocol):
    """One running process inside a box.

    Its stderr is drained into `stderr_tail` (and `stderr_file`), never left in a pipe.
    """

    pid: int
    """pid of the outermost process on the host"""
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader

    def stderr_tail(self) -> str:
        """The last 8 KB of standard error, made printable."""
        ...

    async def wait(self) -> Exit:
        """Wait for the end; safe to call more than once."""
        ...

    async def kill(self) -> Exit:
        """SIGKILL everything inside; returns when nothing is left. Idempotent."""
        ...

    async def stop(self, grace: float = 3.0) -> Exit:
        """Close stdin, wait `grace` s, SIGTERM, wait 2 s, then `kill`."""
        ...


class Box(Protocol):
    """The walls of one session, ready to start processes."""

    kind: SandboxKind
    guarantee: Guarantee
    walls: Walls

    def door_url(self) -> str:
        """The base URL (`http://127.0.0.1:PORT`) at which processes started with a door reach the server."""
        ...

    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        door: Door | None = None,
        stderr_file: Path | None = None,
        stdout_limit: int = 64 << 20,
        warm: bool = False,
    ) -> Process:
        """Start `argv` with exactly `env` (plus HOME, PATH, LANG, TERM, TMPDIR where unset), pipes for stdio.

        `stdout_limit` bounds one line of the stdout StreamReader (asyncio's `limit`), in bytes. `warm`: `argv` is
        `sys.executable -I -m MODULE`, a module of ours whose `main` may be run by a process that was forked from one
        that had imported it, inside the same walls (see `kiln`).

        Raises:
            SandboxError: the walls could not be raised; nothing runs.
        """
        ...

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
        """`types.RunInside`: run to the end without a door."""
        ...

    async def close(self) -> None:
        """End everything that was started here. Idempotent."""
        ...


class Backend(Protocol):
    """A kind of walls."""

    kind: SandboxKind

    async def probe(self) -> Guarantee:
        """Try what must not be possible, and return what was held. Measured once a server start.

        Raises:
            MissingPart: the program is not installed (names the package).
        """
        ...

    async def open(self, walls: Walls) -> Box:
        """Raise `walls`. Fails closed.

        Raises:
            SandboxError: a path is missing or a link, or the backend cannot hold the walls.
        """
        ...
