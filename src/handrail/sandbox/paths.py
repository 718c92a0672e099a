"""Paths on the host: what Handrail's own Python needs inside, which uid owns a session's files, what may be mounted."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path, PurePath

from handrail.errors import SandboxError
from handrail.sandbox import Walls

FIRST_UID, LAST_UID = 200_000, 265_535


@cache
def python_paths() -> tuple[Path, ...]:
    """What must be visible inside for `sys.executable` to import Handrail and all it depends on.

    The interpreter, the virtual environment, the directories of installed packages, and the source of an editable
    install; without what stands under another of them, or under /usr, which is always there.
    """
    wanted = {Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[2]}
    wanted |= {Path(sys.executable).parent, Path(os.path.realpath(sys.executable)).parent}
    wanted |= {Path(entry) for entry in sys.path if Path(entry).name in {"site-packages", "dist-packages"}}
    kept: list[Path] = []
    for path in sorted(wanted, key=lambda path: len(path.parts)):
        known = [*kept, Path("/usr"), Path("/bin")]
        if path.is_dir() and not any(path == other or other in path.parents for other in known):
            kept.append(path)
    return tuple(kept)


def check_walls(walls: Walls) -> None:
    """Refuse walls whose paths are missing, links, or not what they must be.

    Raises:
        SandboxError: names the path and what is wrong with it.
    """
    for name, path in (("workspace", walls.workspace), ("home", walls.home)):
        _check(path, name)
        if not path.is_dir():
            raise SandboxError(f"sandbox: {name} {path} is no directory: create it first")
    for path in walls.read_only:
        if not path.exists():
            raise SandboxError(f"sandbox: read-only path {path} does not exist: install it or leave it out")
    seen: set[Path] = set()
    for path in walls.protected:
        top = next((top for top in (walls.workspace, walls.home) if path != top and inside(path, (top,))), None)
        if top is None:
            raise SandboxError(f"sandbox: protected path {path} is not in the workspace {walls.workspace}")
        current = top
        for part in path.relative_to(top).parts:
            current /= part
            if current not in seen:
                seen.add(current)
                _check(current, "protected path")


def _check(path: Path, name: str) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise SandboxError(f"sandbox: {name} {path} cannot be used: {error.strerror}") from error
    if stat.S_ISLNK(mode):
        raise SandboxError(f"sandbox: {name} {path} is a link: give the path that it points to")


def inside(path: PurePath, parents: Iterable[PurePath]) -> bool:
    """Whether a path is one of `parents` or below one: compared as text, which is many times as fast."""
    text = str(path)
    return any(text == (top := str(parent)) or text.startswith(top.rstrip("/") + "/") for parent in parents)


def missing_program(program: str, walls: Walls, search: str, cwd: Path) -> str | None:
    """Why `program` is surely not inside the walls, as a sentence; None if it may be.

    A courtesy: the walls themselves decide. Links are followed as they would be inside, where paths are the same.
    """
    visible = [Path("/usr"), Path("/bin"), Path("/sbin"), Path("/lib"), Path("/lib64"), walls.workspace, walls.home]
    visible += walls.read_only

    def seen(path: Path) -> bool:
        return inside(path, visible)

    entries = [Path(entry, program) for entry in search.split(":") if entry]
    candidates = [cwd / program] if "/" in program else entries
    outside: Path | None = None
    for candidate in candidates:
        if candidate.exists():
            real = Path(os.path.realpath(candidate))
            if seen(candidate) and seen(real):
                return None
            outside = real
    if outside is not None:
        return f"sandbox: {program} is not inside the walls: {outside} is not mounted: name its directory as read-only"
    return f"sandbox: {program} was not found inside the walls: install it, or give its full path"


def session_uid(number: int) -> int | None:
    """The uid of the processes of session `number` when the server is root, else None (they have the server's own)."""
    first, last = uid_range()
    return first + number % (last - first + 1) if os.geteuid() == 0 else None


def choose_uid(workspace: Path, taken: Collection[int]) -> int:
    """The uid for walls that name none when the server is root: the owner of the workspace, or a free one.

    Raises:
        SandboxError: none is left.
    """
    first, last = uid_range()
    owner = workspace.lstat().st_uid
    if first <= owner <= last:
        return owner
    for uid in range(first, last + 1):
        if uid not in taken:
            return uid
    raise SandboxError(f"sandbox: all uids from {first} to {last} are in use: close some sessions")


@cache
def uid_range() -> tuple[int, int]:
    """The first and last uid that sessions may get, within what this user namespace maps."""
    try:
        begin, _, count = (int(word) for word in Path("/proc/self/uid_map").read_text("ascii").splitlines()[0].split())
    except (OSError, ValueError, IndexError):
        return FIRST_UID, LAST_UID
    if begin + count > FIRST_UID:
        return FIRST_UID, min(LAST_UID, begin + count - 1)
    return max(begin + 1, begin + count - 4096), begin + count - 1


def hand_over(top: Path, uid: int) -> None:
    """Give a tree to `uid` without following any link, as root.

    Files with several names are left alone: another name may stand outside of the tree.

    Raises:
        SandboxError: something could not be given away.
    """
    try:
        for path in _tree(top):
            status = path.lstat()
            if status.st_uid == uid or (status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)):
                continue
            os.chown(path, uid, uid, follow_symlinks=False)
    except OSError as error:
        raise SandboxError(
            f"sandbox: {error.filename or top} cannot be given to uid {uid}: {error.strerror}"
        ) from error


def _tree(top: Path) -> Iterator[Path]:
    yield top
    for directory, names, files in os.walk(top, followlinks=False):
        for name in (*names, *files):
            yield Path(directory, name)
