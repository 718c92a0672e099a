"""Making a session's workspace: mirror, private clone, files."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from pathlib import Path

from handrail.errors import Conflict, StorageFull
from handrail.types import SessionId
from handrail.workspaces import Repository, Workspace
from handrail.workspaces.clone import branch_of, keep_config_copy, make_git_directory
from handrail.workspaces.git import Home, git
from handrail.workspaces.layout import session_directory, session_ref
from handrail.workspaces.mirror import resolve, update
from handrail.workspaces.protect import protected_paths
from handrail.workspaces.remove import remove_tree
from handrail.workspaces.uncommitted import capture

CHECKOUT_TIMEOUT = 600.0
PACK_LIMIT = 1 << 30
BROUGHT_ALONG = "Work in progress brought along\n\nUncommitted and untracked files of the user's checkout.\n"
SNAPSHOT_INDEX = "handrail-index"


async def prepare(
    data: Path,
    repository: Repository,
    session: SessionId,
    *,
    ref: str | None = None,
    include_uncommitted: bool = False,
    owner: int | None = None,
) -> Workspace:
    """Make the workspace of a new session. When it fails or is cancelled, nothing of the session is left.

    Submodules are not fetched, filters such as Git LFS do not run (their files are pointers), hooks do not exist.

    Args:
        data: the data directory.
        repository: from `find.find`.
        session: names the directory and the branch.
        ref: branch, tag or commit to start from; HEAD when None.
        include_uncommitted: changed and untracked files of the user's checkout come along, as the base commit.
        owner: uid of the agent's processes when the server is root; they own the files then. It must be able to
            traverse `data`.

    Raises:
        InvalidInput: `ref` names no commit, or goes together with `include_uncommitted` and is not HEAD.
        Conflict: the session has a workspace already.
        StorageFull: the disk is full.
    """
    own = session_directory(data, session)
    path = own / "workspace" / _name(repository)
    commit = await resolve(repository, ref)
    mirror, results, refs = await update(data, repository, commit)
    try:
        (own / "workspace").mkdir(parents=True)
        path.mkdir()
    except FileExistsError as error:
        raise Conflict(f"session {session} has a workspace already: {own / 'workspace'}") from error
    except OSError as error:
        raise StorageFull(f"{own} could not be made: {error.strerror}") from error
    try:
        if owner is not None:
            os.chown(path, owner, owner)
        await make_git_directory(path, mirror=mirror, refs=refs, commit=commit, session=session, uid=owner)
        base = commit
        if include_uncommitted:
            base = await _bring_along(repository, path, commit, owner)
        await _fill(path, results, session, commit, base, owner)
        keep_config_copy(path / ".git", own)
    except BaseException:
        await asyncio.shield(remove_tree(own / "workspace"))
        raise
    return Workspace(
        path=path,
        repository=repository.path,
        mirror=mirror,
        results=results,
        base=base,
        branch=branch_of(session),
        protected=protected_paths(path),
        read_only=(mirror / "objects",),
    )


def _name(repository: Repository) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", repository.path.name).strip("-.")
    return name[:60] or "repository"


async def _fill(path: Path, results: Path, session: SessionId, commit: str, base: str, uid: int | None) -> None:
    """Check the files out and tell the results repository where the session begins."""
    if base != commit:
        pack = await _pack(path, f"{base}\n^{commit}\n", uid)
        await git("unpack-objects", "-q", cwd=results, stdin=pack)
    begin = "".join(
        f"create {session_ref(session, name)} {value}\n" for name, value in (("upstream", commit), ("base", base))
    )
    await asyncio.gather(
        git("read-tree", "--reset", "-u", base, cwd=path, uid=uid, timeout=CHECKOUT_TIMEOUT),
        git("update-ref", "--stdin", cwd=results, stdin=begin.encode()),
    )
    await asyncio.to_thread(_seed_index, path / ".git", uid)


def _seed_index(directory: Path, uid: int | None) -> None:
    """Snapshots have an index of their own; begun as a copy, the first one need not read every file."""
    shutil.copy2(directory / "index", directory / SNAPSHOT_INDEX)
    if uid is not None:
        os.chown(directory / SNAPSHOT_INDEX, uid, uid, follow_symlinks=False)


async def _bring_along(repository: Repository, path: Path, commit: str, uid: int | None) -> str:
    """The user's work in progress as a commit in the clone, HEAD's own when there is none."""
    with tempfile.TemporaryDirectory(prefix="handrail-", dir=path.parent.parent) as scratch:
        captured = await capture(repository.path, Path(scratch))
        head_tree = await git("rev-parse", f"{commit}^{{tree}}", cwd=path, uid=uid)
        if head_tree.decode().strip() == captured.tree:
            return commit
        made = await git(
            "commit-tree", captured.tree, "-p", commit,
            cwd=repository.path, home=Home.THEIRS, env=captured.env, stdin=BROUGHT_ALONG.encode(),
        )  # fmt: skip
        base = made.decode().strip()
        pack = await git(
            "pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset",
            cwd=repository.path, home=Home.THEIRS, env=captured.env, stdin=f"{base}\n^{commit}\n".encode(),
            limit=PACK_LIMIT, timeout=CHECKOUT_TIMEOUT,
        )  # fmt: skip
    await git("unpack-objects", "-q", cwd=path, stdin=pack, uid=uid, timeout=CHECKOUT_TIMEOUT)
    await git("update-ref", "HEAD", base, cwd=path, uid=uid)
    return base


async def _pack(path: Path, revisions: str, uid: int | None) -> bytes:
    return await git(
        "pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset",
        cwd=path, stdin=revisions.encode(), limit=PACK_LIMIT, uid=uid,
    )  # fmt: skip
