"""Settings for agents that were brought back from a ref that is not trusted: taken out before an agent starts.

They are left out of the work tree (`aside.py`), but an agent can be talked into fetching them from git. What it writes
itself stays: no object of the repository holds what that says.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from handrail.types import RunInside
from handrail.workspaces import Workspace
from handrail.workspaces.aside import LIST_LIMIT, MOST_NAMED, NAMES, TIMEOUT, steers
from handrail.workspaces.git import git
from handrail.workspaces.snapshots import SCRIPT, environment

_PATHSPECS = [f":(top,icase,glob)**/{name}{below}" for name in NAMES for below in ("", "/**")]
_CHUNK = 1 << 20


class _Found(Struct, frozen=True):
    """A file or link that may steer an agent."""

    path: Path
    shown: str
    ids: frozenset[str] | None
    """what git would call its content; None for a link that leads to no file of the same tree"""


async def take_out(workspace: Workspace, run: RunInside, home: Path) -> tuple[str, ...]:
    """Take files that steer agents out of the work tree and the home, where the repository holds what they say.

    No process may run inside meanwhile.

    Args:
        workspace: of a ref that is not trusted.
        run: runs a command inside the session's walls; called where something was taken out.
        home: of the agent, which may have put them there as well.

    Returns:
        their paths; the first `MOST_NAMED`.

    Raises:
        HandrailError: git failed.
        OSError: one could not be removed.
    """
    length = len(workspace.base)
    found = [item for root in (workspace.path, home) for item in await asyncio.to_thread(_found, root, length)]
    known = await _known(workspace, {name for item in found for name in item.ids or ()}) if found else set()
    gone = [item for item in found if item.ids is None or not known.isdisjoint(item.ids)]
    if gone:
        await asyncio.to_thread(_remove, gone)
        await run(
            ["/bin/sh", "-c", SCRIPT, "handrail", "leave_out", *_PATHSPECS],
            cwd=workspace.path,
            env=environment(workspace),
            timeout=TIMEOUT,
        )
    return tuple(item.shown for item in gone[:MOST_NAMED])


async def _known(workspace: Workspace, ids: set[str]) -> set[str]:
    """Those of the ids that the repository or the base has."""
    lines = "".join(f"{name}\n" for name in sorted(ids)).encode()
    told, listed = await asyncio.gather(
        git("cat-file", "--batch-check=%(objectname)", cwd=workspace.mirror, stdin=lines, limit=LIST_LIMIT),
        git("ls-tree", "-r", workspace.base, cwd=workspace.results, limit=LIST_LIMIT, timeout=TIMEOUT),
    )
    in_base = {line.split(b"\t", 1)[0].split(b" ")[-1].decode() for line in listed.splitlines()}
    return {line.decode() for line in told.splitlines() if not line.endswith(b" missing")} | (ids & in_base)


def _found(root: Path, length: int) -> list[_Found]:
    real = os.path.realpath(root)
    return [
        _Found(root / path, os.fsencode(path).decode("utf-8", "replace"), _ids(real, os.fspath(root / path), length))
        for path in _walk(root)
    ]


def _walk(root: Path) -> Iterator[str]:
    """Files and links below `root` that steer agents; no link is followed, and depth does not matter."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with suppress(OSError), os.scandir(root / folder) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if not entry.is_dir(follow_symlinks=False):
                    if steers(path):
                        yield path
                elif entry.name != ".git":
                    waiting.append(path)


def _ids(root: str, path: str, length: int) -> frozenset[str] | None:
    """What git calls the content of a file, or of the file that a link leads to; nothing for one that is no text."""
    nothing: frozenset[str] | None = frozenset()
    try:
        if stat.S_ISLNK(os.lstat(path).st_mode):
            path, nothing = os.path.realpath(path), None
            if os.path.commonpath([root, path]) != root:
                return None
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return nothing
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        os.close(file)
        return nothing
    with os.fdopen(file, "rb") as content:
        if status.st_size == 0:
            return frozenset()
        kind = hashlib.sha256 if length == 64 else hashlib.sha1
        plain = kind(b"blob %d\0" % status.st_size)
        first = content.read(_CHUNK)
        plain.update(first)
        while more := content.read(_CHUNK):
            plain.update(more)
    ids = {plain.hexdigest()}
    if status.st_size <= _CHUNK and b"\r\n" in first:  # as `.gitattributes` may have had it written
        unix = first.replace(b"\r\n", b"\n")
        ids.add(kind(b"blob %d\0%b" % (len(unix), unix)).hexdigest())
    return frozenset(ids)


def _remove(gone: Iterable[_Found]) -> None:
    for item in gone:
        try:
            item.path.unlink(missing_ok=True)
        except PermissionError:  # the agent closed the directory
            item.path.parent.chmod(0o700)
            item.path.unlink(missing_ok=True)
