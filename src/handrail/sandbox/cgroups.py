"""Control groups: caps on memory, processes and CPU of a whole box, where this machine lets the server make any.

Version 2 in a subtree that was delegated to the server, or version 1 as root.
https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/index.html
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

from msgspec import Struct, field

from handrail.sandbox import Guarantee, ResourceLimits

MOUNT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
PERIOD = 100_000
REMOVE_SECONDS = 1.0
CONTROLLERS = {"memory": Guarantee.MEMORY, "pids": Guarantee.PIDS, "cpu": Guarantee.CPU}


class Hierarchy(Struct, frozen=True):
    """Where groups can be made: one directory for all controllers (version 2), or one for each (version 1)."""

    version: int
    parents: dict[str, Path]

    @property
    def guarantee(self) -> Guarantee:
        """What could be held, before it is measured."""
        held = Guarantee.NOTHING
        for name in self.parents:
            held |= CONTROLLERS[name]
        return held


class Group(Struct):
    """The control group of one box."""

    directories: dict[str, Path] = field(default_factory=dict)
    version: int = 1

    @property
    def procs(self) -> list[str]:
        """Files that a process writes `0` to, to enter."""
        return sorted({str(path / "cgroup.procs") for path in self.directories.values()})

    def kills(self) -> int:
        """How many processes the kernel has killed here for want of memory."""
        directory = self.directories.get("memory")
        if directory is None:
            return 0
        file = directory / ("memory.events" if self.version == 2 else "memory.oom_control")
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in file.read_text("ascii").splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """Remove the group; its processes have ended, or are about to."""
        until = time.monotonic() + REMOVE_SECONDS
        for directory in set(self.directories.values()):
            while directory.exists():
                with contextlib.suppress(OSError):
                    directory.rmdir()
                    break
                if time.monotonic() > until:
                    break
                time.sleep(0.01)
        self.directories.clear()


def find(mount: Path = MOUNT) -> Hierarchy | None:
    """Find where groups can be made here; None where nothing is writable."""
    if (mount / "cgroup.controllers").exists():
        return _find_v2(mount)
    if os.geteuid() != 0:
        return None
    parents = {}
    for name in CONTROLLERS:
        base = mount / name
        if os.access(base / "cgroup.procs", os.W_OK) and not (base / "cgroup.controllers").exists():
            parents[name] = base / "handrail"
    return Hierarchy(1, parents) if parents else None


def _find_v2(mount: Path) -> Hierarchy | None:
    with contextlib.suppress(OSError, StopIteration):
        lines = OWN.read_text("ascii").splitlines()
        own = next(line[3:] for line in lines if line.startswith("0::"))
        # a group that holds processes cannot hand controllers on, so the boxes go beside the server's own group
        for parent in (mount / own.lstrip("/"), (mount / own.lstrip("/")).parent):
            control = parent / "cgroup.subtree_control"
            if mount in (parent, *parent.parents) and os.access(control, os.W_OK):
                usable = set(control.read_text("ascii").split()) & CONTROLLERS.keys()
                if usable:
                    return Hierarchy(2, dict.fromkeys(sorted(usable), parent / "handrail"))
    return None


def make(hierarchy: Hierarchy, name: str, limits: ResourceLimits) -> Group:
    """Make the group `name` with `limits`; none at all where only processes are limited, which an rlimit does.

    Entering a group waits for an RCU grace period: 8 to 15 ms a start, measured.

    Raises:
        OSError: the kernel refused.
    """
    group = Group(version=hierarchy.version)
    if limits.memory_bytes is None and limits.cpus is None:
        return group
    try:
        for controller, parent in hierarchy.parents.items():
            settings = _settings(controller, hierarchy.version, limits)
            if not settings:
                continue
            if not parent.exists():
                parent.mkdir(mode=0o755)
                if hierarchy.version == 2:
                    wanted = " ".join(f"+{item}" for item in hierarchy.parents)
                    (parent / "cgroup.subtree_control").write_text(wanted, "ascii")
            directory = parent / name
            directory.mkdir(mode=0o755, exist_ok=True)
            group.directories[controller] = directory
            for file, value in settings.items():
                target = directory / file
                if target.exists():
                    target.write_text(value, "ascii")
    except OSError:
        group.remove()
        raise
    return group


def box_name() -> str:
    """A new name, which tells whose it is."""
    return f"box-{os.getpid()}-{secrets.token_hex(8)}"


def sweep(hierarchy: Hierarchy) -> None:
    """Remove the groups of servers that were killed."""
    for parent in set(hierarchy.parents.values()):
        for directory in parent.glob("box-*"):
            owner = directory.name.split("-")[1]
            if not Path("/proc", owner).exists():
                # one that still holds a process cannot be removed, and its launcher is about to end it
                with contextlib.suppress(OSError):
                    directory.rmdir()


def _settings(controller: str, version: int, limits: ResourceLimits) -> dict[str, str]:
    if controller == "pids":
        # bwrap itself is two processes a start
        return {"pids.max": str(limits.processes + 64)}
    if controller == "memory" and limits.memory_bytes is not None:
        size = str(limits.memory_bytes)
        if version == 2:
            return {"memory.max": size, "memory.swap.max": "0", "memory.oom.group": "0"}
        return {"memory.limit_in_bytes": size, "memory.memsw.limit_in_bytes": size}
    if controller == "cpu" and limits.cpus is not None:
        quota = int(limits.cpus * PERIOD)
        if version == 2:
            return {"cpu.max": f"{quota} {PERIOD}"}
        return {"cpu.cfs_period_us": str(PERIOD), "cpu.cfs_quota_us": str(quota)}
    return {}
