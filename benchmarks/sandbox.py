"""What walls cost at the start of a process, beside bubblewrap with nothing to do but unshare."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec.structs import replace

from benchmarks.figures import Figure
from handrail.gateway.server import Gateway
from handrail.sandbox import Box, ResourceLimits, Walls
from handrail.sandbox.bubblewrap import BubblewrapBackend
from handrail.sandbox.paths import python_paths

ROUNDS = 40
BARE = ("bwrap", "--unshare-all", "--ro-bind", "/", "/", "true")
TARGET = "<= 3x"


def run(folder: Path) -> list[Figure]:
    """A start to the end of `true`: bare, in a session's walls, with the door an agent has, with a memory limit."""
    return asyncio.run(_run(folder))


async def _run(folder: Path) -> list[Figure]:
    folder.chmod(0o755)
    for name in ("workspace", "home"):
        (folder / name).mkdir()
    backend, gateway = BubblewrapBackend(), Gateway()
    walls = Walls(folder / "workspace", folder / "home", read_only=python_paths())
    try:
        box = await backend.open(walls)
        ways: dict[str, Callable[[], Awaitable[None]]] = {
            "bare": _bare,
            "walled_start": lambda: _start(box),
            "walled_start_door": lambda: _start(box, gateway),
        }
        if backend.hierarchy is not None and "memory" in backend.hierarchy.parents:
            capped = await backend.open(replace(walls, limits=ResourceLimits(memory_bytes=1 << 30)))
            ways["walled_start_memory_limit"] = lambda: _start(capped)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        # in turns, so that a busy moment of the machine is shared by all of them
        for number in range(ROUNDS + 3):
            for name, way in ways.items():
                began = time.perf_counter()
                await way()
                if number >= 3:
                    taken[name].append((time.perf_counter() - began) * 1000)
    finally:
        await gateway.close()
        await backend.close()
    bare = statistics.median(taken.pop("bare"))
    return [Figure(name, statistics.median(times), "ms", bare, TARGET) for name, times in taken.items()]


async def _bare() -> None:
    process = await asyncio.create_subprocess_exec(*BARE, stdout=subprocess.PIPE, user=_user())
    await process.communicate()
    assert process.returncode == 0


def _user() -> int | None:
    """As an ordinary user, as the walls are raised."""
    return 65534 if os.geteuid() == 0 else None


async def _start(box: Box, gateway: Gateway | None = None) -> None:
    process = await box.start(["true"], env={}, door=gateway.serve if gateway else None)
    ended = await process.wait()
    assert ended.code == 0
