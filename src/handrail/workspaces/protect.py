"""The parts of a workspace's `.git` that decide what git runs: made before the first launch, checked before each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from pathlib import Path

from handrail.errors import SandboxError
from handrail.workspaces import Workspace, aside
from handrail.workspaces.layout import GIT_CONFIG_COPY, own_directory

DIRECTORIES = (".git/hooks", ".git/info", ".git/objects/info")
FILES = (".git/config", ".git/config.worktree")
SPARSE = "info/sparse-checkout"
"""under `.git`; there only where the ref is not trusted"""
ABSENT = ".git/commondir"
# would lend the workspace another repository's configuration
CONFIG_LIMIT = 1 << 16
EXCLUDE = b"""\
# what tools leave behind and nobody means to change; tracked files are not touched by this
__pycache__/
*.py[cod]
.pytest_cache/
.mypy_cache/
.ruff_cache/
.venv/
node_modules/
.DS_Store
"""
"""`.git/info/exclude` of every workspace, so that a change holds what was written, not what was run"""


def protected_paths(path: Path) -> tuple[Path, ...]:
    """Paths in the workspace at `path` to mount read-only over it."""
    return tuple(path / name for name in (*FILES, *DIRECTORIES))


async def verify(workspace: Workspace) -> None:
    """Check that the protected parts are what Handrail made: no links, no other configuration, no hooks.

    Raises:
        SandboxError: one was swapped or changed; `snapshots.restore` (or `repair`) makes a fresh `.git`.
    """
    await asyncio.to_thread(_verify, workspace)


def _verify(workspace: Workspace) -> None:
    try:
        tree = _open(workspace.path, os.O_DIRECTORY, None)
        try:
            _check(tree, workspace, (own_directory(workspace) / GIT_CONFIG_COPY).read_bytes())
        finally:
            os.close(tree)
    except OSError as error:
        name = error.filename or workspace.path
        raise SandboxError(f"{workspace.path}: {name} was removed or swapped ({error.strerror})") from error


def _check(tree: int, workspace: Workspace, config: bytes) -> None:
    info = {"exclude": EXCLUDE} | ({"sparse-checkout": aside.PATTERNS} if workspace.untrusted else {})
    of_info = ((f"{DIRECTORIES[1]}/{name}", content) for name, content in info.items())
    for name, expected in ((FILES[0], config), (FILES[1], b""), *of_info):
        if _content(tree, name) != expected:
            raise SandboxError(f"{workspace.path}: {name} is not as Handrail wrote it, so nothing was started")
    with contextlib.suppress(FileNotFoundError):
        os.close(_walk(tree, ABSENT, os.O_PATH))
        raise SandboxError(f"{workspace.path}: {ABSENT} was made, so nothing was started")
    alternates = os.fsencode(workspace.mirror / "objects") + b"\n"
    for name, expected_names in zip(DIRECTORIES, (set(), set(info), {"alternates"}), strict=True):
        directory = _walk(tree, name, os.O_DIRECTORY)
        try:
            if strange := set(_names(directory)) - expected_names:
                raise SandboxError(
                    f"{workspace.path}: {name} holds {sorted(strange)[:3]}, which Handrail did not write"
                )
        finally:
            os.close(directory)
    if _content(tree, ".git/objects/info/alternates") != alternates:
        raise SandboxError(f"{workspace.path}: .git/objects/info/alternates is not as Handrail wrote it")


def _content(tree: int, name: str) -> bytes:
    descriptor = _walk(tree, name, os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b"\0"
        return os.read(descriptor, CONFIG_LIMIT)
    finally:
        os.close(descriptor)


def _walk(tree: int, name: str, flags: int) -> int:
    """Open `name` below `tree` one part at a time, through no link."""
    *parents, last = name.split("/")
    at = os.dup(tree)
    try:
        for part in parents:
            below = _open(part, os.O_DIRECTORY, at)
            os.close(at)
            at = below
        return _open(last, flags, at)
    finally:
        os.close(at)


def _open(name: str | Path, flags: int, at: int | None) -> int:
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=at)


def _names(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]
