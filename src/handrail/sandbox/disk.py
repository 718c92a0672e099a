"""A limit on what a session takes on disk: measured while it runs, and its processes ended at the limit.

The kernel would hold such a limit only on a file system of the session's own, or by project quotas, which a data
directory rarely has. So this is late by nature: what is written between two looks goes over. Each single file is held
by RLIMIT_FSIZE at once. Not seen: files without a name that are kept by a mapping or a message alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from handrail.errors import SandboxError
from handrail.sandbox.linux import kindred
from handrail.sandbox.process import BoxProcess

LOOK_SECONDS = 0.2
LONGEST_SECONDS = 5.0
"""between two measurements, however little changes on the disk"""
SHARE = 20
"""that many times as long as a measurement took, nothing is measured, unless the disk fills"""
DEEPEST = 200
"""directories below one another; what is deeper counts as over any limit, for it is there to hide"""
LEAST = 1024
"""bytes that a file counts for at the least, so that the number of files has a limit too"""

READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Watch:
    """Follows the processes of one box, and ends them when its trees have grown over the limit.

    Commands that Handrail itself runs (checks, snapshots) may take a quarter more than there is or may be, so that a
    session that is full can still be kept, looked at and undone.

    Args:
        trees: what the box can write, except for scratch.
        limit: bytes on disk.
    """

    def __init__(self, trees: Sequence[Path], limit: int) -> None:
        self._trees = tuple(trees)
        self._limit = limit
        self._ceilings: dict[BoxProcess, int | None] = {}
        self._task: asyncio.Task[None] | None = None
        self.used = 0
        """bytes, when it was last measured"""

    async def admit(self) -> None:
        """Return if there is room for an agent to start.

        Raises:
            SandboxError: there is none.
        """
        self.used = await asyncio.to_thread(measure, self._trees)
        if self.used > self._limit:
            raise SandboxError(
                f"sandbox: the workspace and its home take {_size(self.used)} of disk, the limit is"
                f" {_size(self._limit)}: undo the last turn, or raise limits.disk"
            )

    def follow(self, process: BoxProcess, *, own: bool) -> None:
        """Watch until the process ends; `own` is one that Handrail itself runs."""
        self._ceilings[process] = None if own else self._limit
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), name="sandbox-disk")

    async def stop(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while live := [process for process in self._ceilings if not process.done]:
            began, free = time.monotonic(), _free(self._trees)
            self.used = await asyncio.to_thread(measure, self._trees, [pid for process in live for pid in process.pids])
            for process in live:
                ceiling = self._ceilings[process]
                if ceiling is None:
                    ceiling = self._ceilings[process] = max(self._limit, self.used) + self._limit // 4
                if self.used > ceiling and not process.done:
                    await process.kill("out_of_disk")
            await self._rest(began, free)
            self._ceilings = {process: most for process, most in self._ceilings.items() if not process.done}

    async def _rest(self, began: float, free: int) -> None:
        """Wait until the trees may have grown by much of what is left, which the disk's free space tells at no cost."""
        took = time.monotonic() - began
        until = time.monotonic() + max(LONGEST_SECONDS, SHARE * took)
        room = max(self._limit - self.used, 0)
        while time.monotonic() < until and any(not process.done for process in self._ceilings):
            await asyncio.sleep(max(LOOK_SECONDS, took))
            if free - _free(self._trees) > room // 2:
                return


def measure(trees: Sequence[Path], pids: Sequence[int] = ()) -> int:
    """Bytes that trees take on disk, and files without a name that descendants of `pids` hold open.

    No link is followed. Directories that their owner closed are opened for the moment.
    """
    total = 0
    seen: set[tuple[int, int]] = set()
    devices = set()
    for tree in trees:
        with contextlib.suppress(OSError):
            devices.add(tree.lstat().st_dev)
            for status in _walk(tree):
                if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                    if (status.st_dev, status.st_ino) in seen:
                        continue
                    seen.add((status.st_dev, status.st_ino))
                total += max(status.st_blocks * 512, LEAST)
    for status in _nameless(pids):
        if status.st_dev in devices and (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
    return total


def _walk(tree: Path) -> Iterator[os.stat_result]:
    """Everything below a directory, with one descriptor a level: no name is ever resolved over two of them."""
    levels: list[tuple[int, list[str]]] = []
    try:
        top = os.open(tree, READ_DIRECTORY)
        levels.append((top, []))
        yield from _look(top, levels[-1][1])
        while levels:
            directory, names = levels[-1]
            if not names:
                os.close(levels.pop()[0])
            elif len(levels) > DEEPEST:
                yield os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, 0, 0, 0, 0), {"st_blocks": 1 << 60})
                return
            else:
                below = _open(names.pop(), directory)
                if below >= 0:
                    levels.append((below, []))
                    yield from _look(below, levels[-1][1])
    finally:
        for directory, _ in levels:
            os.close(directory)


def _look(directory: int, names: list[str]) -> Iterator[os.stat_result]:
    """What stands in one directory; the names of those inside are put into `names`."""
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    names.append(entry.name)


def _open(name: str, within: int) -> int:
    """Open a directory for reading, if its owner is ours even where it is closed; -1 where it is gone."""
    try:
        return os.open(name, READ_DIRECTORY, dir_fd=within)
    except PermissionError:
        with contextlib.suppress(OSError):
            handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
            try:
                mode = stat.S_IMODE(os.fstat(handle).st_mode)
                os.chmod(f"/proc/self/fd/{handle}", mode | stat.S_IRWXU)  # noqa: PTH101  # what it names, and no link
                try:
                    return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                finally:
                    os.chmod(f"/proc/self/fd/{handle}", mode)  # noqa: PTH101
            finally:
                os.close(handle)
        return -1
    except OSError:
        return -1


def _nameless(pids: Sequence[int]) -> Iterator[os.stat_result]:
    inside = {pid for root in pids for pid in (root, *kindred(root, None))}
    for pid in inside:
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                        yield status


def _free(trees: Sequence[Path]) -> int:
    """Bytes that are free where the trees stand, with `LEAST` for each file that can still be made."""
    total = 0
    devices = set()
    for tree in trees:
        with contextlib.suppress(OSError):
            device = tree.stat().st_dev
            if device not in devices:
                devices.add(device)
                told = os.statvfs(tree)
                total += told.f_bfree * told.f_frsize + told.f_ffree * LEAST
    return total


def _size(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB" if count < 1 << 50 else "more than can be measured"
