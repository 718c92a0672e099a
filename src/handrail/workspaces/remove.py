"""Deleting and measuring a tree that an agent wrote."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from pathlib import Path

from handrail.types import SessionId
from handrail.workspaces.layout import session_directory

TRASH = "trash"


async def remove(data: Path, session: SessionId) -> None:
    """Delete everything under the session's directory; its commits in the results repository stay.

    No link is followed, closed directories are opened, and depth does not matter. Nothing may run in it any more.
    Removing what is not there does nothing.
    """
    await asyncio.to_thread(_remove, session_directory(data, session))


async def remove_tree(directory: Path) -> None:
    """Delete one directory that an agent wrote, in the same safe way."""
    await asyncio.to_thread(_remove, directory)


async def disk(data: Path, session: SessionId) -> int:
    """Bytes that the session's directory takes on disk; a hard-linked file counts once."""
    return await asyncio.to_thread(_disk, session_directory(data, session))


def _remove(directory: Path) -> None:
    """Empty one directory at a time; a directory found inside is first moved up, so that no path grows long."""
    if not directory.is_dir() or directory.is_symlink():
        return
    top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(TRASH, dir_fd=top)
        trash = os.open(TRASH, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
        try:
            _empty(trash, top, spare=TRASH)
        finally:
            os.close(trash)
        os.rmdir(TRASH, dir_fd=top)
    finally:
        os.close(top)
    directory.rmdir()


def _empty(trash: int, top: int, *, spare: str) -> None:
    waiting = [name for name in _names(trash) if not _take(trash, name, trash, name)]
    number = max((int(name) for name in waiting if name.isdigit()), default=0)
    for name in _names(top):
        if name != spare:
            number += 1
            if not _take(top, name, trash, str(number)):
                waiting.append(str(number))
    while waiting:
        name = waiting.pop()
        inside = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=trash)
        try:
            for entry in _names(inside):
                number += 1
                if not _take(inside, entry, trash, str(number)):
                    waiting.append(str(number))
        finally:
            os.close(inside)
        os.rmdir(name, dir_fd=trash)


def _take(source: int, name: str, trash: int, new_name: str) -> bool:
    """Delete a file or link; open a directory up and move it into the trash. True when nothing is left of it."""
    if not stat.S_ISDIR(os.lstat(name, dir_fd=source).st_mode):
        os.unlink(name, dir_fd=source)
        return True
    os.chmod(name, stat.S_IRWXU, dir_fd=source)
    if source != trash:
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=trash)
    return False


def _disk(directory: Path) -> int:
    total = 0
    linked: set[tuple[int, int]] = set()
    waiting = [directory]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif status.st_nlink > 1:
                    if (status.st_dev, status.st_ino) in linked:
                        continue
                    linked.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


def _names(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]
