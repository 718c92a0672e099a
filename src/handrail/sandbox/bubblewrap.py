"""Bubblewrap: namespaces of an ordinary user, a filesystem built up from nothing, no network but the door."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from handrail.errors import MissingPart, SandboxError
from handrail.sandbox import Guarantee, Walls, cgroups, etc, paths
from handrail.sandbox.arguments import (
    DOOR_PORT,
    ETC,
    Host,
    bwrap_arguments,
    descriptor,
    environment,
    files,
    mounts,
    survey,
)
from handrail.sandbox.box import LaunchedBox
from handrail.sandbox.client import LauncherClient
from handrail.sandbox.disk import Watch
from handrail.sandbox.linux import STAGE
from handrail.sandbox.orders import Order, Source, Warm
from handrail.sandbox.probe import Report, measure
from handrail.sandbox.seccomp import MACHINES
from handrail.types import SandboxKind

CAP_SYS_ADMIN = 21
STEERING = ("GLIBC_", "LC_", "LD_", "MALLOC_", "OPENSSL_")
"""how variables begin that steer a process from its first moment on"""
KILN_SECONDS = 10.0
"""for an answer of the kiln; it takes milliseconds, and its own start less than a second of CPU"""


class BubblewrapBackend:
    """The default walls on Linux."""

    kind = SandboxKind.BUBBLEWRAP

    def __init__(self) -> None:
        self.hierarchy = cgroups.find()
        if self.hierarchy is not None:
            cgroups.sweep(self.hierarchy)
        self._client: LauncherClient | None = None
        self._boxes: dict[int, BubblewrapBox] = {}
        self._report: Report | None = None
        self._probing = asyncio.Lock()
        self._starting = asyncio.Lock()

    async def probe(self) -> Guarantee:
        """Try what must not be possible, once, and return what was held.

        Raises:
            MissingPart: bwrap is not installed.
            SandboxError: bwrap cannot make its namespaces here; the message says what to change.
        """
        return (await self.probe_report()).guarantee

    async def probe_report(self) -> Report:
        """What was tried, one finding each, in plain words.

        Raises:
            MissingPart, SandboxError: as `probe`.
        """
        async with self._probing:
            if self._report is None:
                held = self.hierarchy.guarantee if self.hierarchy else Guarantee.NOTHING
                scratch = (await self.client()).scratch or Path(tempfile.gettempdir())
                self._report = await measure(self, scratch, held)
            return self._report

    async def open(self, walls: Walls) -> BubblewrapBox:
        """Raise `walls`. When the server is root, workspace and home are given to the session's own uid.

        Raises:
            MissingPart: bwrap is not installed.
            SandboxError: a path is missing or a link, or the backend cannot hold the walls.
        """
        program = find_bwrap()
        paths.check_walls(walls)
        mounts(walls)
        uid = os.getuid()
        root = uid == 0
        if root:
            taken = {box.host.uid for box in self._boxes.values()}
            uid = walls.uid if walls.uid is not None else paths.choose_uid(walls.workspace, taken)
            if uid == 0:
                raise SandboxError("sandbox: uid 0 is never used inside the walls: give another or leave it out")
            await asyncio.to_thread(_give, walls, uid)
        elif walls.uid not in (None, uid):
            raise SandboxError(f"sandbox: uid {walls.uid} can be given only by a server that is root: leave it out")
        await self.client()
        host = survey(uid, Path(), staged=root and has_capability(CAP_SYS_ADMIN))
        group = self._group(walls)
        box = BubblewrapBox(self, walls, host, program, group)
        self._boxes[id(box)] = box
        return box

    def _group(self, walls: Walls) -> cgroups.Group:
        wanted = Guarantee.NOTHING
        if walls.limits.memory_bytes is not None:
            wanted |= Guarantee.MEMORY
        if walls.limits.cpus is not None:
            wanted |= Guarantee.CPU
        held = self.hierarchy.guarantee if self.hierarchy else Guarantee.NOTHING
        if missing := wanted & ~held:
            names = " and ".join(str(flag.name).lower() for flag in missing)
            raise SandboxError(
                f"sandbox: a limit on {names} cannot be held here: no writable control group:"
                " run the server under `systemd-run --user --scope -p Delegate=yes`, or leave the limit out"
            )
        if self.hierarchy is None:
            return cgroups.Group()
        try:
            return cgroups.make(self.hierarchy, cgroups.box_name(), walls.limits)
        except OSError as error:
            if wanted:
                raise SandboxError(f"sandbox: the control group was refused: {error}") from error
            return cgroups.Group()

    async def client(self) -> LauncherClient:
        """The running launcher of this event loop."""
        async with self._starting:
            if self._client is None or not self._client.alive:
                self._client = LauncherClient(await asyncio.to_thread(_scratch))
            return self._client

    def forget(self, box: BubblewrapBox) -> None:
        """A box was closed."""
        self._boxes.pop(id(box), None)

    @property
    def guarantee(self) -> Guarantee:
        """What the last probe held; nothing before the first."""
        return self._report.guarantee if self._report else Guarantee.NOTHING

    async def close(self) -> None:
        """Close every box and end the launcher."""
        await asyncio.gather(*(box.close() for box in list(self._boxes.values())))
        if self._client is not None:
            self._client.close()
            self._client = None


class BubblewrapBox(LaunchedBox):
    """The walls of one session; each process has a pid namespace of its own."""

    kind = SandboxKind.BUBBLEWRAP

    def __init__(
        self, backend: BubblewrapBackend, walls: Walls, host: Host, program: str, group: cgroups.Group
    ) -> None:
        limit = walls.limits.disk_bytes
        disk = None if limit is None else Watch((walls.workspace, walls.home), limit)
        super().__init__(walls, backend.guarantee, disk)
        self.host = host
        self._backend = backend
        self._program = program
        self._group = group

    def door_url(self) -> str:
        """Where processes started with a door reach the server."""
        return f"http://127.0.0.1:{DOOR_PORT}"

    async def close(self) -> None:
        """End everything that was started here. Idempotent."""
        await super().close()
        await asyncio.to_thread(self._group.remove)
        self._backend.forget(self)

    async def hand_over(self, *trees: Path) -> None:
        """Give files that the server wrote after `open` to the uid of the session."""
        if os.getuid() == 0:
            for tree in trees:
                await asyncio.to_thread(paths.hand_over, tree, self.host.uid)

    async def _client(self) -> LauncherClient:
        return await self._backend.client()

    def _kills(self) -> int:
        return self._group.kills()

    def _order(
        self, client: LauncherClient, argv: Sequence[str], env: Mapping[str, str], cwd: Path, *, with_door: bool
    ) -> Order:
        walls, limits = self.walls, self.walls.limits
        host = replace(self.host, etc=(client.scratch or Path("/")) / ETC)
        whole = environment(walls, env)
        if reason := paths.missing_program(argv[0], walls, whole["PATH"], cwd):
            raise SandboxError(reason)
        filtered = platform.machine() in MACHINES
        words = bwrap_arguments(walls, host, env=whole, cwd=cwd, stage=STAGE if host.staged else "", filtered=filtered)
        return Order(
            id=0,
            walled=True,
            argv=[self._program, "--args", descriptor("args"), "--", *argv],
            args=words,
            env={},
            cwd="/",
            data=files(walls, self.host),
            stage=self._sources(host),
            uid=self.host.uid if os.getuid() == 0 else None,
            rlimits={
                "RLIMIT_NOFILE": limits.open_files,
                "RLIMIT_FSIZE": min(limits.file_bytes, limits.disk_bytes or limits.file_bytes),
                "RLIMIT_CORE": 0,
            },
            processes=limits.processes,
            cgroups=self._group.procs,
            door=DOOR_PORT if with_door else None,
            mark=None,
            warm=None,
        )

    def _warm(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> Warm | None:
        whole = environment(self.walls, env)
        # these are read before a line of Python is; a shell keeps the walls up
        steered = whole["LANG"] != "C.UTF-8" or any(name.startswith(STEERING) for name in whole)
        if steered or paths.missing_program("/bin/sh", self.walls, "", cwd):
            return None
        # as bwrap does
        env = {**whole, "PWD": str(cwd)}
        return Warm(module=argv[3], argv=list(argv), env=env, cwd=str(cwd), seconds=KILN_SECONDS)

    def _sources(self, host: Host) -> list[Source]:
        if not self.host.staged:
            return []
        return [Source(path=str(host.etc), name=ETC, protected=[])] + [
            Source(
                path=str(mount.path),
                name=mount.name,
                protected=[str(path.relative_to(mount.path)) for path in mount.protected],
            )
            for mount in mounts(self.walls)
        ]


def find_bwrap() -> str:
    """Where bwrap is installed; the distribution's comes first, since AppArmor profiles name its path.

    Raises:
        MissingPart: it is not.
    """
    found = shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin") or shutil.which("bwrap")
    if found is None:
        raise MissingPart(
            "sandbox: bubblewrap is not installed: `apt-get install bubblewrap` (or `dnf install bubblewrap`)"
        )
    return found


def has_capability(number: int) -> bool:
    """Whether this process has a capability in effect."""
    for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def _scratch() -> Path:
    top = Path(tempfile.mkdtemp(prefix="handrail-sandbox-"))
    top.chmod(0o755)
    etc.build(top / ETC)
    return top


def _give(walls: Walls, uid: int) -> None:
    if walls.workspace.lstat().st_uid != uid:
        paths.hand_over(walls.workspace, uid)
    paths.hand_over(walls.home, uid)
