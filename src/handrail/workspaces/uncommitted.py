"""The user's work in progress as a git tree, without a byte written to their repository.

Their index is copied, not used; new objects go to a store of ours. Filters (Git LFS and the like) stay off, so files
come along as they are on disk.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from msgspec import Struct

from handrail.errors import HandrailError
from handrail.workspaces.git import Home, attempt, git

INDEX_TIMEOUT = 300.0
_TRIES = 3


class Captured(Struct, frozen=True):
    """Work in progress: its tree, and how to run git so that it is seen."""

    tree: str
    env: dict[str, str]
    settings: dict[str, str]


async def capture(checkout: Path, scratch: Path, *, also: tuple[Path, ...] = ()) -> Captured:
    """Write tracked changes and untracked files of `checkout` (ignored ones and repositories inside it not) as a tree.

    Args:
        checkout: top of the user's working tree.
        scratch: an empty directory of ours for the index and the objects.
        also: more object directories to read from.
    """
    found, settings = await asyncio.gather(
        git(
            "rev-parse", "--path-format=absolute", "--git-path", "index", "--git-path", "objects",
            cwd=checkout, home=Home.THEIRS,
        ),
        _without_filters(checkout),
    )  # fmt: skip
    index, objects = (Path(os.fsdecode(line)) for line in found.splitlines())
    own_index, own_objects = scratch / "index", scratch / "objects"
    own_objects.mkdir(parents=True)
    if index.exists():
        await asyncio.to_thread(shutil.copy2, index, own_index)
    env = {
        "GIT_INDEX_FILE": str(own_index),
        "GIT_OBJECT_DIRECTORY": str(own_objects),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.pathsep.join(_quoted(path) for path in (objects, *also)),
    }
    run = partial(git, cwd=checkout, home=Home.THEIRS, env=env, settings=settings, timeout=INDEX_TIMEOUT)
    for left in reversed(range(_TRIES)):
        try:
            return Captured(await _tree(run), env, settings)
        except HandrailError as error:
            # git's own refusal: a file that was there is gone, or changes, since editors and builds go on meanwhile
            if type(error) is not HandrailError or not left:
                raise
    raise AssertionError


async def _tree(run: Callable[..., Awaitable[bytes]]) -> str:
    others = await run("ls-files", "-z", "--others", "--exclude-standard")
    # A name that ends in `/` is a repository inside theirs: a commit of it would be a pointer to nowhere.
    untracked = b"".join(name + b"\0" for name in others.split(b"\0") if name and not name.endswith(b"/"))
    await run("add", "--update", "--", ".")
    if untracked:
        await run("update-index", "--add", "--remove", "-z", "--stdin", stdin=untracked)
    return (await run("write-tree")).decode().strip()


def _quoted(path: Path) -> str:
    """https://git-scm.com/docs/git#Documentation/git.txt-GITALTERNATEOBJECTDIRECTORIES."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def _without_filters(checkout: Path) -> dict[str, str]:
    """Settings that empty every configured filter."""
    ran = await attempt(
        ["config", "--name-only", "-z", "--get-regexp", r"^filter\..*\.(clean|smudge|process|required)$"],
        cwd=checkout,
        home=Home.THEIRS,
    )
    names = [name for name in ran.out.decode("utf-8", "replace").split("\0") if name]
    return {name: "false" if name.endswith(".required") else "" for name in names}
