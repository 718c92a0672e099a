"""Workspaces: a private clone for one session, made from a mirror, outside the user's own checkout.

Git runs on the host only in places that no agent wrote: the user's own checkout, the mirror, the results repository.
In the workspace it runs inside the walls, through the `RunInside` that the caller hands in; what comes out is a pack
of objects through a pipe, each of them checked.
Layout under the data directory: `mirrors/<key>.git` (bare, upstream refs only), `results/<key>.git` (bare, one
`refs/sessions/<id>/…` a session), `sessions/<id>/workspace/<name>` (the clone), with `<key>` from the
repository's path.

The course of a session, one module a step:

    find.find(path)                                  -> Repository   the user's checkout at or above a path
    prepare.prepare(data, repository, session, …)    -> Workspace    mirror brought up to date, private clone made
    protect.verify(workspace)                                        before every launch: nothing was swapped
    snapshots.snapshot(workspace, session, run, …)   -> Snapshot     before every turn; also kept in the results
    snapshots.restore(workspace, session, run, …)                    the work tree becomes that snapshot again
    changes.change(workspace.results, base, head)    -> Change       the diff, read from the results only
    apply.apply(workspace, repository, session, …)   -> Applied      to the user's checkout, all or nothing
    remove.remove(data, session), remove.disk(…)                     delete or measure a session's tree
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from msgspec import Struct


class Repository(Struct, frozen=True):
    """A user's git repository, as found: never written to before `apply`."""

    path: Path
    """top of the working tree"""
    key: str
    """name of its mirror and results repositories"""
    head: str
    """commit of HEAD"""
    branch: str | None
    """branch of HEAD, None when detached"""
    common: Path
    """the directory of its refs and objects, which linked worktrees share"""


class Snapshot(Struct, frozen=True):
    """The whole work tree at one moment, ignored files left out."""

    commit: str
    """its commit, kept in the results repository as `refs/sessions/<id>/<label>`"""
    notice: str | None = None
    """one sentence for the user where something could not be captured"""


class Workspace(Struct, frozen=True):
    """One session's clone."""

    path: Path
    repository: Path
    mirror: Path
    results: Path
    base: str
    """commit that the session's change is measured from (uncommitted files that came along are in it)"""
    branch: str
    """branch checked out inside: `handrail/<session>`"""
    protected: tuple[Path, ...]
    """paths inside `path` to mount read-only over it (`.git/config`, `.git/hooks`, `.git/info`, …)"""
    read_only: tuple[Path, ...]
    """paths outside to mount read-only (the mirror's objects)"""
    untrusted: bool = False
    """files of the base that steer agents are not in the work tree"""
    set_aside: tuple[str, ...] = ()
    """which these are; told by `prepare` alone"""


class ApplyMode(StrEnum):
    """How a change reaches the user's checkout."""

    BRANCH = "branch"  # a new branch, nothing checked out
    UNCOMMITTED = "uncommitted"  # changed files in the working tree


class FileChange(Struct, frozen=True):
    """One file of a change. `flag` says why a reviewer must look (it configures agents or tools), else None."""

    path: str
    status: str
    """added, modified, deleted, renamed"""
    added: int
    removed: int
    binary: bool = False
    flag: str | None = None


class Change(Struct, frozen=True):
    """What a session changed between two snapshots: a unified diff (cut at the limit) and its files."""

    base: str
    head: str
    files: tuple[FileChange, ...]
    patch: str
    truncated: bool = False


class Applied(Struct, frozen=True):
    """Where a change went."""

    mode: ApplyMode
    branch: str | None
    commit: str
    files: int
    notice: str | None = None
    """one sentence where the change could not be put exactly where it was asked for"""
