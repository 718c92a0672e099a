"""Bringing a session's change to the user's checkout: the only writing there, all or nothing, without hooks."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from handrail.errors import Conflict, HandrailError, InvalidInput
from handrail.types import SessionId
from handrail.workspaces import Applied, ApplyMode, Repository, Workspace
from handrail.workspaces.clone import branch_of
from handrail.workspaces.git import Home, Ran, attempt, failure, first_line, git
from handrail.workspaces.layout import session_ref
from handrail.workspaces.uncommitted import capture

PATCH_LIMIT = 256 << 20
TIMEOUT = 300.0
IN_CHECKOUT = "in-checkout"
# the snapshot whose files were last written to the checkout
NAMES_SHOWN = 5
EXACT = ("--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")
ON_BROUGHT_ALONG = (
    "the change does not apply to your last commit alone, so the branch also holds the uncommitted work you brought"
)


async def apply(
    workspace: Workspace,
    repository: Repository,
    session: SessionId,
    *,
    head: str,
    mode: ApplyMode,
    branch: str | None = None,
    title: str = "",
    agent: str = "",
) -> Applied:
    """Bring what changed between the workspace's base and `head` to the user's checkout.

    As a branch it is one commit by "Handrail" on the commit that the session began from, nothing is checked out. As
    uncommitted changes it is merged into the files as they are now, the index stays.

    Args:
        workspace: from `prepare`.
        repository: the user's checkout, found again just now.
        session: the session.
        head: a snapshot.
        mode: how.
        branch: name of the new branch; `handrail/<session>` when None.
        title: first line of the commit's message.
        agent: who made the change, for the message.

    Raises:
        Conflict: nothing to apply, the branch exists, or the files were changed otherwise meanwhile (names them).
        InvalidInput: no name for a branch.
    """
    listed = await git(
        "diff", "--name-only", "--no-renames", "-z", workspace.base, head, "--", cwd=workspace.results
    )  # fmt: skip
    count = listed.count(b"\0")
    if count == 0:
        raise Conflict(f"session {session} changed no file: there is nothing to apply")
    if mode is ApplyMode.UNCOMMITTED:
        if branch is not None:
            raise InvalidInput("branch", branch, "uncommitted changes go to no branch: leave it out")
        await _to_files(workspace, repository.path, session, head)
        return Applied(mode, None, head, count)
    name = branch if branch is not None else branch_of(session)
    await _must_be_new(repository.path, name)
    message = f"{_one_line(title) or 'Change made in a Handrail session'}\n\nSession: {session}\n"
    if agent:
        message += f"Agent: {_one_line(agent)}\n"
    commit, notice = await _commit(workspace, session, head, message)
    await _to_branch(workspace, repository.path, session, name, commit)
    return Applied(mode, name, commit, count, notice)


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


async def _must_be_new(checkout: Path, name: str) -> None:
    refusal = InvalidInput("branch", name, "git takes no branch of this name: give letters, digits, `-`, `_` and `/`")
    if "\0" in name:
        raise refusal
    checked = await attempt(["check-ref-format", "--branch", name], cwd=checkout, home=Home.THEIRS)
    if checked.code != 0 or checked.out.decode().strip() != name:
        raise refusal
    exists = await attempt(["show-ref", "--verify", "--quiet", f"refs/heads/{name}"], cwd=checkout, home=Home.THEIRS)
    if exists.code == 0:
        raise Conflict(f"branch {name} exists already in {checkout}: give another name or delete it first")


async def _commit(workspace: Workspace, session: SessionId, head: str, message: str) -> tuple[str, str | None]:
    """One commit with the whole change, in the results repository."""
    results = workspace.results
    upstream = (await git("rev-parse", session_ref(session, "upstream"), cwd=results)).decode().strip()
    tree, parent, notice = f"{head}^{{tree}}", workspace.base, None
    if upstream != workspace.base:
        moved = await _onto(results, workspace.base, head, upstream)
        if moved is None:
            notice = ON_BROUGHT_ALONG
        else:
            tree, parent = moved, upstream
    made = await git("commit-tree", tree, "-p", parent, cwd=results, stdin=message.encode("utf-8", "replace"))
    return made.decode().strip(), notice


async def _onto(results: Path, base: str, head: str, target: str) -> str | None:
    """The tree of `target` with the change from `base` to `head`, None when they do not fit together."""
    patch = await _patch(results, base, head)
    with tempfile.TemporaryDirectory(prefix="handrail-") as scratch:
        env = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        await git("read-tree", target, cwd=results, env=env)
        ran = await attempt(
            ["apply", "--cached", "--3way"], cwd=results, env=env, stdin=patch, timeout=TIMEOUT
        )  # fmt: skip
        if ran.code != 0:
            return None
        return (await git("write-tree", cwd=results, env=env)).decode().strip()


async def _to_branch(workspace: Workspace, checkout: Path, session: SessionId, name: str, commit: str) -> None:
    ref = session_ref(session, "applied")
    await git("update-ref", ref, commit, cwd=workspace.results)
    await git(
        "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", workspace.results, ref,
        cwd=checkout, home=Home.THEIRS, timeout=TIMEOUT,
    )  # fmt: skip
    created = await attempt(
        ["update-ref", "--stdin"],
        cwd=checkout,
        home=Home.THEIRS,
        stdin=f"create refs/heads/{name} {commit}\n".encode(),
    )
    if created.code != 0:
        raise Conflict(f"branch {name} could not be made in {checkout}: {first_line(created.err)}")


async def _to_files(workspace: Workspace, checkout: Path, session: SessionId, head: str) -> None:
    """Merge in scratch space first; the checkout sees only a patch that fits it exactly."""
    results = workspace.results
    with tempfile.TemporaryDirectory(prefix="handrail-") as scratch:
        now = await capture(checkout, Path(scratch), also=(results / "objects", workspace.mirror / "objects"))
        run = partial(attempt, cwd=checkout, home=Home.THEIRS, env=now.env, settings=now.settings, timeout=TIMEOUT)
        start = await _start(workspace, session, run)
        if start == head:
            return
        merged = await run(["apply", "--cached", "--3way"], stdin=await _patch(results, start, head))
        if merged.code != 0:
            raise await _conflict(checkout, run, merged.err)
        tree = (await run(["write-tree"])).out.decode().strip()
        exact = await run(["diff", *EXACT, now.tree, tree, "--"], limit=PATCH_LIMIT)
        if exact.code != 0:
            raise failure("merging the change", exact.err)
    if exact.out:
        await _write(checkout, exact.out, now.settings)
    await git("update-ref", session_ref(session, IN_CHECKOUT), head, cwd=results)


async def _start(workspace: Workspace, session: SessionId, run: Callable[..., Awaitable[Ran]]) -> str:
    """The commit that the checkout is at: what was applied before, if all of it is still there, else the base."""
    ref = session_ref(session, IN_CHECKOUT)
    found = await attempt(["rev-parse", "--verify", "--quiet", ref], cwd=workspace.results)
    if found.code != 0:
        return workspace.base
    before = found.out.decode().strip()
    patch = await _patch(workspace.results, workspace.base, before)
    there = await run(["apply", "--cached", "--check", "--reverse"], stdin=patch)
    return before if there.code == 0 else workspace.base


async def _write(checkout: Path, patch: bytes, settings: dict[str, str]) -> None:
    """`git apply` looks at every file before it writes the first."""
    ran = await attempt(["apply", "-"], cwd=checkout, home=Home.THEIRS, settings=settings, stdin=patch, timeout=TIMEOUT)
    if ran.code != 0:
        if "No space left" in ran.err:
            raise failure(f"writing to {checkout}", ran.err)
        raise Conflict(f"nothing was applied to {checkout}: {first_line(ran.err)}")


async def _conflict(checkout: Path, run: Callable[..., Awaitable[Ran]], err: str) -> HandrailError:
    listed = await run(["diff", "--name-only", "--diff-filter=U", "-z"])
    names = sorted({name for name in listed.out.decode("utf-8", "replace").split("\0") if name})
    if not names:
        return Conflict(f"nothing was applied to {checkout}: {first_line(err)}")
    shown = ", ".join(_one_line(name) for name in names[:NAMES_SHOWN])
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    mend = "commit or undo your edits there, or apply to a branch"
    return Conflict(f"nothing was applied: {shown}{more} changed in {checkout} too and in another way: {mend}")


async def _patch(results: Path, base: str, head: str) -> bytes:
    return await git("diff", *EXACT, base, head, "--", cwd=results, limit=PATCH_LIMIT, timeout=TIMEOUT)
