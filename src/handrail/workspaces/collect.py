"""What a session made, as one commit of its own that can be delivered: made in the results, brought to a branch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from handrail.errors import Conflict
from handrail.workspaces.git import Home, attempt, first_line, git

TIMEOUT = 120.0


class Branched(Struct, frozen=True):
    """A branch that holds a commit; `found` says that it did before."""

    branch: str
    commit: str
    found: bool


async def collect(results: Path, *, base: str, head: str, message: str, when: datetime, ref: str) -> str:
    """One commit on `base` with the files of `head`; the same call gives the same commit.

    Args:
        results: the results repository.
        base: what the change is measured from.
        head: a snapshot.
        message: of the commit.
        when: its time; part of its identity, so it must be the same at every try.
        ref: keeps it in the results.

    Raises:
        HandrailError: the results hold no such commits.
    """
    moment = f"{int(when.timestamp())} +0000"
    dates = {"GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment}
    text = message.encode("utf-8", "replace")
    made = await git("commit-tree", f"{head}^{{tree}}", "-p", base, cwd=results, stdin=text, env=dates)
    commit = made.decode().strip()
    await git("update-ref", ref, commit, cwd=results)
    return commit


async def branch(
    results: Path, checkout: Path, *, commit: str, ref: str, name: str, expected: Sequence[str | None] = (None,)
) -> Branched:
    """Bring a branch of the user's own repository to a commit of the results; nothing is checked out.

    Args:
        results: the results repository.
        checkout: the user's repository.
        commit: what the branch shall be at.
        ref: the ref of the results that keeps `commit`.
        name: of the branch.
        expected: the commits that it may be at, as we left it for example; None where there may be none yet.

    Raises:
        Conflict: there is such a branch, at another commit; or it is checked out.
    """
    there = await _at(checkout, name)
    if there == commit:
        return Branched(name, commit, found=True)
    if there not in expected:
        stood = "is not there any more" if there is None else f"is at {there[:12]} already: rename or delete it"
        raise Conflict(f"branch {name} of {checkout} {stood}")
    if there is not None and await _head(checkout) == f"refs/heads/{name}":
        raise Conflict(f"branch {name} is checked out in {checkout}: check another one out first")
    await git(
        "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", results, ref,
        cwd=checkout, home=Home.THEIRS, timeout=TIMEOUT,
    )  # fmt: skip
    order = f"update refs/heads/{name} {commit} {there or '0' * len(commit)}\n".encode()
    made = await attempt(["update-ref", "--stdin"], cwd=checkout, home=Home.THEIRS, stdin=order)
    if made.code != 0:
        if await _at(checkout, name) == commit:
            return Branched(name, commit, found=True)
        raise Conflict(f"branch {name} could not be made in {checkout}: {first_line(made.err)}")
    return Branched(name, commit, found=False)


async def begun_from(checkout: Path, commit: str) -> str | None:
    """The branch of a repository that is at `commit`: main or master where several are; None where none is."""
    asked = ["for-each-ref", "--points-at", commit, "--format=%(refname)", "refs/remotes/origin", "refs/heads"]
    listed = await attempt(asked, cwd=checkout, home=Home.THEIRS)
    prefixes = ("refs/remotes/origin/", "refs/heads/")
    names = [name.removeprefix(prefixes[0]).removeprefix(prefixes[1]) for name in listed.out.decode().split()]
    return next((name for name in ("main", "master") if name in names), names[0] if names else None)


async def _head(checkout: Path) -> str:
    found = await attempt(["symbolic-ref", "--quiet", "HEAD"], cwd=checkout, home=Home.THEIRS)
    return found.out.decode().strip()


async def _at(checkout: Path, name: str) -> str | None:
    found = await attempt(["rev-parse", "--verify", "--quiet", f"refs/heads/{name}"], cwd=checkout, home=Home.THEIRS)
    return found.out.decode().strip() if found.code == 0 else None
