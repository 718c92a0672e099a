"""Finding the user's checkout."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from pathlib import Path

from handrail.errors import InvalidInput
from handrail.workspaces import Repository, refs
from handrail.workspaces.git import Home, Ran, attempt, failure, program

FIELD = "repository"
_ON_A_BRANCH = re.compile(rb"ref: (refs/heads/(?!.*\.\.)[^\n]+)\n")
_UNUSUAL = re.compile(
    rb"worktree|include|extensions|repositoryformatversion\s*=(?!\s*0\s)|bare(?!\s*=\s*false\s)", re.IGNORECASE
)
"""in a repository's configuration: what may move its parts elsewhere, or keep them in another way"""


async def find(path: Path) -> Repository:
    """The git repository at or above `path`; reads only, and takes no lock.

    Raises:
        InvalidInput: there is none, it has no commit or no working tree, or git refuses its owner.
        MissingPart: git is not installed.
    """
    program()
    path = _directory(path)
    if (usual := await asyncio.to_thread(_usual, path)) is not None:
        return usual
    ran = await attempt(
        [
            "rev-parse",
            "--path-format=absolute",
            "--is-bare-repository",
            "--is-inside-work-tree",
            "--git-common-dir",
            "--show-toplevel",
            "HEAD",
            "--symbolic-full-name",
            "HEAD",
        ],
        cwd=path,
        home=Home.THEIRS,
    )
    lines = ran.out.decode("utf-8", "surrogateescape").splitlines()
    if lines[4:] == ["HEAD"] and ran.code != 0:  # it is said back where it names no commit
        raise InvalidInput(FIELD, lines[3], "it has no commit yet: make a first one (`git commit`)")
    if ran.code != 0 or len(lines) != 6:
        raise _refusal(path, ran, lines)
    common, top, head, named = Path(lines[2]), Path(lines[3]), lines[4], lines[5]
    branch = named.removeprefix("refs/heads/") if named.startswith("refs/heads/") else None
    return Repository(path=top, key=_key(top, common), head=head, branch=branch, common=common)


def _usual(path: Path) -> Repository | None:
    """A repository that lies as `git init` lays it, on a branch, at its top; None where git is to be asked.

    Runs of many repositories look at each once more; a process for it took 5 ms of CPU.
    Sources: https://git-scm.com/docs/gitrepository-layout, and `ensure_valid_ownership` of git's `setup.c`.
    """
    top = Path(os.path.realpath(path))
    common = top / ".git"
    try:
        mine = all(place.lstat().st_uid == os.geteuid() for place in (top, common))
        if not mine or common.is_symlink() or (common / "commondir").exists():
            return None
        whole = all((common / name).is_dir() for name in ("objects", "refs"))
        if not whole or not all((common / name).is_file() for name in ("HEAD", "config")):  # a pipe would never end
            return None
        named = _ON_A_BRANCH.fullmatch((common / "HEAD").read_bytes())
        if named is None or _UNUSUAL.search((common / "config").read_bytes()) is not None:
            return None
        ref = os.fsdecode(named[1])
        head = refs.one(common, ref)
    except OSError:  # no directory, or not to be read
        return None
    if head is None:
        return None
    branch = ref.removeprefix("refs/heads/")
    return Repository(path=top, key=_key(top, common), head=head, branch=branch, common=common)


def _directory(path: Path) -> Path:
    """`path` as an absolute directory that is there."""
    if any(character in str(path) for character in "\0\n\r"):
        raise InvalidInput(FIELD, str(path), "a path with line breaks in it is not supported: rename the directory")
    path = path.expanduser().absolute()
    try:
        directory = path.is_dir()
    except OSError as error:
        raise InvalidInput(FIELD, str(path), f"it cannot be read ({error.strerror})") from error
    if not directory:
        mend = "it is a file: give its directory" if path.exists() else "there is no such directory"
        raise InvalidInput(FIELD, str(path), mend)
    return path


def _refusal(path: Path, ran: Ran, lines: list[str]) -> Exception:
    if "dubious ownership" in ran.err:
        named = re.search(r"repository at '(.+?)'", ran.err)
        place = named[1] if named else str(path)
        mend = f"another user owns it: if you trust it, run `git config --global --add safe.directory {place}`"
        return InvalidInput(FIELD, str(path), mend)
    if "not a git repository" in ran.err:
        mend = "there is no git repository at it or above it: run `git init` and make a first commit"
        return InvalidInput(FIELD, str(path), mend)
    if lines[:1] == ["true"]:
        return InvalidInput(FIELD, str(path), "it is a bare repository without files: give a checkout of it")
    if lines[:2] == ["false", "false"]:
        return InvalidInput(FIELD, str(path), "it is inside a .git directory: give the directory with the files")
    return failure(f"git rev-parse in {path}", ran.err)


def _key(top: Path, common: Path) -> str:
    """A readable name, and a hash that keeps apart what the name does not; linked worktrees share one."""
    digest = hashlib.sha256(str(common).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    origin = common.parent if common.name == ".git" else top
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", origin.name).strip("-")[:40]
    return f"{name or 'repository'}-{digest}"
