"""Whether a work tree is as it was: told from outside, by what git itself goes by, and without running anything.

Most turns change no file, and to raise walls for git only to learn that costs more than the turn. The kernel sets a
file's change time (`ctime`) at every change of its content, name or mode, and nobody inside the walls can set it back.
What is too large to look at quickly, or changed within the clock's last tick, is not judged: git is asked then. The
same races as git's own index has: https://git-scm.com/docs/racy-git.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing, suppress
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Protocol

from handrail.types import RunInside, SessionId
from handrail.workspaces import Snapshot, Workspace
from handrail.workspaces.snapshots import again, snapshot

LARGEST = 4000
"""entries of a tree that is looked at: as long as git takes to start for it"""
DEEPEST = 64
"""directories in one another: each is held open meanwhile"""
TICK = 2 * max(time.clock_getres(getattr(time, "CLOCK_REALTIME_COARSE", time.CLOCK_REALTIME)), 0.004)
"""seconds within which two changes may carry the same time"""
_LEFT_OUT = frozenset(b"/.git/" + name for name in (b"objects", b"index", b"logs", b"refs/handrail", b"handrail-index"))
"""what in `.git` git writes without a change of the tree, HEAD or a branch, and where snapshots are named"""


class Inside(Protocol):
    """Walls that stand."""

    @property
    def run(self) -> RunInside:
        """Runs a command inside."""


class _UnknownError(Exception):
    """It cannot be told."""


def look(tree: Path) -> bytes | None:
    """What a work tree looks like; the same again when nothing that a snapshot holds was changed in between.

    Args:
        tree: the top of a clone. It may be hostile: no link in it is followed, no file in it is opened.

    Returns:
        None where it cannot be told: too many entries, one that may not be read, one that changed just now.
    """
    newest = time.time_ns() - int(TICK * 1e9)
    found = blake2b(digest_size=32)
    with suppress(OSError, _UnknownError):
        with closing(_entries(_open(str(tree), None), 0, b"")) as entries:
            for count, (line, changed) in enumerate(entries):
                if changed > newest or count == LARGEST:
                    return None
                found.update(line)
        return found.digest()
    return None


def _open(name: str, within: int | None) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)


def _entries(directory: int, depth: int, path: bytes) -> Generator[tuple[bytes, int], None, None]:
    """Each entry below a descriptor, which is closed, with the time of its last change; of directories none."""
    try:
        if depth > DEEPEST:
            raise _UnknownError
        with os.scandir(directory) as listed:
            entries = sorted(islice(listed, LARGEST + 1), key=lambda entry: entry.name)
        if len(entries) > LARGEST:
            raise _UnknownError
        for entry in entries:
            name = path + b"/" + os.fsencode(entry.name)
            if name in _LEFT_OUT:
                continue
            told = entry.stat(follow_symlinks=False)
            who = f"\0{told.st_mode} {told.st_uid} {told.st_ino}"
            if entry.is_dir(follow_symlinks=False):
                yield name + who.encode() + b"\0", 0
                below = _open(entry.name, directory)
                yield from _entries(below, depth + 1, name)
            else:
                times = f" {told.st_size} {told.st_mtime_ns} {told.st_ctime_ns}\0"
                yield name + who.encode() + times.encode(), max(told.st_ctime_ns, told.st_mtime_ns)
    finally:
        os.close(directory)


class Snapshots:
    """The snapshots that this process takes of one workspace."""

    def __init__(self) -> None:
        self._known: tuple[bytes, str] | None = None
        """what the work tree looked like before the latest of them, and its commit"""

    async def begin(self, workspace: Workspace) -> None:
        """Look at a workspace that was made just now, before anything runs in it: it is its base."""
        seen = await asyncio.to_thread(look, workspace.path)
        if seen is None:  # most likely it was made within the clock's last tick
            await asyncio.sleep(TICK)
            seen = await asyncio.to_thread(look, workspace.path)
        self._known = None if seen is None else (seen, workspace.base)

    async def take(
        self, workspace: Workspace, session: SessionId, walls: Callable[[], Awaitable[Inside]], label: str
    ) -> Snapshot:
        """As `snapshots.snapshot`, and with its errors; `walls` are raised only where something may have changed."""
        seen, known = await asyncio.to_thread(look, workspace.path), self._known
        if known is not None and known[0] == seen:
            same = await again(workspace, session, label, known[1])
            if same is not None:
                return same
        self._known = None
        taken = await snapshot(workspace, session, (await walls()).run, label)
        self._known = None if seen is None else (seen, taken.commit)
        return taken

    def forget(self) -> None:
        """The work tree is about to be changed from here: look at it anew."""
        self._known = None
