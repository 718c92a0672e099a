"""A private clone's `.git`, written by Handrail from trusted parts only.

It is what `git clone --shared` makes (https://git-scm.com/docs/gitrepository-layout), made by hand: no template, no
transport, no git process but for the first of all clones, the same for a shallow mirror.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from handrail.types import SessionId
from handrail.workspaces import aside
from handrail.workspaces.git import IDENTITY, git
from handrail.workspaces.layout import GIT_CONFIG_COPY, empty_beside
from handrail.workspaces.mirror import copy_shallow
from handrail.workspaces.owner import give
from handrail.workspaces.protect import DIRECTORIES, EXCLUDE, FILES, SPARSE
from handrail.workspaces.remove import remove_tree

CONFIG = f"""\
[core]
\thooksPath = /dev/null
\tfsmonitor = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[user]
\tname = {IDENTITY["GIT_AUTHOR_NAME"]}
\temail = {IDENTITY["GIT_AUTHOR_EMAIL"]}
[commit]
\tgpgSign = false
"""


def branch_of(session: SessionId) -> str:
    """The branch that a session works on."""
    return f"handrail/{session}"


async def make_git_directory(
    place: Path, *, mirror: Path, refs: bytes, commit: str, session: SessionId, uid: int | None, untrusted: bool
) -> None:
    """Make `place/.git`: no files checked out, HEAD on the session's branch at `commit`.

    Args:
        place: an existing directory that no agent can write now.
        mirror: whose objects are borrowed.
        refs: the mirror's refs, one `commit ref` a line.
        commit: where the session's branch starts.
        session: names the branch.
        uid: who shall own it, when the server is root.
        untrusted: a checkout leaves out what steers agents.
    """
    kind = "sha256" if len(commit) == 64 else "sha1"
    empty = empty_beside(mirror, kind)
    if not empty.exists():
        await _make_empty(empty)

    def made() -> None:
        _copy(empty / ".git", place / ".git", uid)
        _furnish(place / ".git", mirror, refs, commit, branch_of(session))
        if untrusted:
            _leave_out(place / ".git")
        if uid is not None:
            _give_away(place / ".git", branch_of(session), uid)

    await asyncio.to_thread(made)


async def _make_empty(place: Path) -> None:
    """Make it beside its place and move it in: two sessions may be the first at the same time."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=place.parent))
    try:
        await git("init", "--quiet", "--template=", f"--object-format={place.name}", draft, cwd=draft)
        with contextlib.suppress(OSError):  # another was faster
            draft.rename(place)
    finally:
        await remove_tree(draft)


def _copy(source: Path, target: Path, uid: int | None) -> None:
    shutil.copytree(source, target)
    if uid is not None:
        give(target, uid)


def _furnish(directory: Path, mirror: Path, refs: bytes, commit: str, branch_name: str) -> None:
    for name in DIRECTORIES:
        (directory.parent / name).mkdir(parents=True, exist_ok=True)
    (directory.parent / FILES[1]).touch()
    (directory / "info" / "exclude").write_bytes(EXCLUDE)
    (directory / "objects" / "info" / "alternates").write_bytes(os.fsencode(mirror / "objects") + b"\n")
    copy_shallow(mirror, directory)
    (directory / "packed-refs").write_bytes(_packed_refs(refs))
    (directory / "HEAD").write_text(f"ref: refs/heads/{branch_name}\n")
    branch = directory / "refs" / "heads" / branch_name
    branch.parent.mkdir(parents=True, exist_ok=True)
    branch.write_text(f"{commit}\n")
    with (directory / "config").open("a") as config:
        config.write(CONFIG)


def _leave_out(directory: Path) -> None:
    (directory / SPARSE).write_bytes(aside.PATTERNS)
    with (directory / "config").open("a") as config:
        config.write(aside.CONFIG)


def _give_away(directory: Path, name: str, uid: int) -> None:
    """What the agent's own git must be able to rewrite; the protected parts stay ours."""
    for written in ("packed-refs", "HEAD", "refs/heads", "refs/heads/handrail", f"refs/heads/{name}"):
        os.chown(directory / written, uid, uid, follow_symlinks=False)


def keep_config_copy(directory: Path, own: Path) -> None:
    """Note outside the workspace what its `.git/config` holds, for `protect.verify`."""
    (own / GIT_CONFIG_COPY).write_bytes((directory / "config").read_bytes())


def _packed_refs(refs: bytes) -> bytes:
    """The user's own branches, tags and remotes, but for a branch whose name the session's branch needs as a folder."""
    return b"".join(line + b"\n" for line in refs.splitlines() if not line.endswith(b" refs/heads/handrail"))
