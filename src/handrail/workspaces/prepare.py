"""Making a session's workspace: mirror, private clone, files."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from pathlib import Path

from handrail.errors import Conflict, InvalidInput, StorageFull
from handrail.types import SessionId
from handrail.workspaces import Repository, Workspace, aside, refs
from handrail.workspaces.clone import branch_of, keep_config_copy, make_git_directory
from handrail.workspaces.git import Home, git
from handrail.workspaces.layout import session_directory, session_ref
from handrail.workspaces.mirror import resolve, update
from handrail.workspaces.owner import can_reach, give
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
    after: str | None = None,
    owner: int | None = None,
    untrusted: bool = False,
) -> Workspace:
    """Make the workspace of a new session. When it fails or is cancelled, nothing of the session is left.

    Submodules are not fetched, filters such as Git LFS do not run (their files are pointers), hooks do not exist.

    Args:
        data: the data directory.
        repository: from `find.find`.
        session: names the directory and the branch.
        ref: branch, tag or commit to start from; HEAD when None.
        include_uncommitted: changed and untracked files of the user's checkout come along, as the base commit.
        after: a snapshot of another session of this repository: its files are the base, `ref` is where that began.
        owner: uid of the agent's processes when the server is root; they own the files then.
        untrusted: leave files out of the work tree that steer agents.

    Raises:
        InvalidInput: `ref` names no commit, or goes together with `include_uncommitted` and is not HEAD.
        Conflict: the session has a workspace already.
        StorageFull: the disk is full.
    """
    own = session_directory(data, session)
    path = own / "workspace" / _name(repository)
    commit = await resolve(repository, ref)
    if include_uncommitted and commit != repository.head:
        raise InvalidInput("ref", ref, "uncommitted files belong to HEAD: leave the ref out, or the files at home")
    mirror, results, lines = await update(data, repository, commit)
    _make_folder(path, session)
    try:
        # Made by their owner where it can, since giving files away afterwards makes git read them all again.
        uid = owner if owner is not None and can_reach(path, owner) else None
        if uid is not None:
            os.chown(path, uid, uid)
        await make_git_directory(
            path, mirror=mirror, refs=lines, commit=commit, session=session, uid=uid, untrusted=untrusted
        )
        base = await _base(repository, path, results, (commit, after), uid, along=include_uncommitted)
        await asyncio.gather(_check_out(path, base, uid), _note_begin(results, session, commit, base))
        left_out = await aside.set_aside(path, base, uid) if untrusted else ()
        if owner is not None and uid is None:
            await asyncio.to_thread(give, path, owner)
        keep_config_copy(path / ".git", own)
    except BaseException:
        await asyncio.shield(remove_tree(own / "workspace"))
        raise
    return Workspace(
        path=path, repository=repository.path, mirror=mirror, results=results, base=base, branch=branch_of(session),
        protected=protected_paths(path), read_only=(mirror / "objects",), untrusted=untrusted, set_aside=left_out,
    )  # fmt: skip


async def _with_uncommitted(repository: Repository, path: Path, results: Path, commit: str, uid: int | None) -> str:
    """Bring the user's uncommitted files along as one commit on top; returns it."""
    base, pack = await _bring_along(repository, path.parent, commit)
    if pack:
        await git("unpack-objects", "-q", cwd=results, stdin=pack, timeout=CHECKOUT_TIMEOUT)
        await git("unpack-objects", "-q", cwd=path, stdin=pack, uid=uid, timeout=CHECKOUT_TIMEOUT)
        await git("update-ref", "HEAD", base, cwd=path, uid=uid)
    return base


async def _base(
    repository: Repository, path: Path, results: Path, begin: tuple[str, str | None], uid: int | None, *, along: bool
) -> str:
    """The commit that the session's change is measured from, brought into its clone."""
    commit, after = begin
    if after is not None:
        return await _after(results, path, commit, after, uid)
    return await _with_uncommitted(repository, path, results, commit, uid) if along else commit


async def _after(results: Path, path: Path, commit: str, after: str, uid: int | None) -> str:
    """Go on from what another session made; returns that."""
    pack = await git(
        "pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset",
        cwd=results, stdin=f"{after}\n^{commit}\n".encode(), limit=PACK_LIMIT, timeout=CHECKOUT_TIMEOUT,
    )  # fmt: skip
    await git("unpack-objects", "-q", cwd=path, stdin=pack, uid=uid, timeout=CHECKOUT_TIMEOUT)
    await git("update-ref", "HEAD", after, cwd=path, uid=uid)
    return after


def _make_folder(path: Path, session: SessionId) -> None:
    try:
        path.parent.mkdir(parents=True)
        path.mkdir()
    except FileExistsError as error:
        raise Conflict(f"session {session} has a workspace already: {path.parent}") from error
    except OSError as error:
        raise StorageFull(f"{path.parent} could not be made: {error.strerror}") from error


def _name(repository: Repository) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", repository.path.name).strip("-.")
    return name[:60] or "repository"


async def _check_out(path: Path, base: str, uid: int | None) -> None:
    await git("read-tree", "--reset", "-u", base, cwd=path, uid=uid, timeout=CHECKOUT_TIMEOUT)
    await asyncio.to_thread(_seed_index, path / ".git", uid)


async def _note_begin(results: Path, session: SessionId, commit: str, base: str) -> None:
    """Tell the results repository where the session begins: its base, and the user's own commit below that."""
    begin = {session_ref(session, "upstream"): commit, session_ref(session, "base"): base}
    await asyncio.to_thread(refs.keep, results, begin)


def _seed_index(directory: Path, uid: int | None) -> None:
    """Snapshots have an index of their own; begun as a copy, the first one need not read every file."""
    shutil.copy2(directory / "index", directory / SNAPSHOT_INDEX)
    if uid is not None:
        os.chown(directory / SNAPSHOT_INDEX, uid, uid, follow_symlinks=False)


async def _bring_along(repository: Repository, scratch_in: Path, commit: str) -> tuple[str, bytes]:
    """The user's work in progress as a commit on `commit` and its pack; `commit` and nothing when there is none."""
    with tempfile.TemporaryDirectory(prefix="handrail-", dir=scratch_in) as scratch:
        captured = await capture(repository.path, Path(scratch))
        tree = await git("rev-parse", f"{commit}^{{tree}}", cwd=repository.path, home=Home.THEIRS)
        if tree.decode().strip() == captured.tree:
            return commit, b""
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
    return base, pack
