"""Snapshots of a workspace: taken inside the walls, kept outside.

A snapshot is a commit whose first parent is the snapshot before (the base at first) and whose second is the agent's
HEAD, so that the agent's own commits are kept with it. It leaves as a pack through a pipe and is checked object by
object on its way into the results repository; from then on the host never needs what the agent can reach.
"""

from __future__ import annotations

import asyncio
import os
import re
from importlib.resources import files
from pathlib import Path

from handrail.errors import HandrailError, InvalidInput, NotFound, SandboxError
from handrail.types import Completed, RunInside, SessionId
from handrail.workspaces import Snapshot, Workspace, refs
from handrail.workspaces.clone import keep_config_copy, make_git_directory
from handrail.workspaces.git import IDENTITY, SETTINGS, attempt, failure, first_line, git, settings_environment
from handrail.workspaces.layout import STAGING, own_directory, session_ref
from handrail.workspaces.mirror import own_refs
from handrail.workspaces.owner import can_reach, give
from handrail.workspaces.prepare import SNAPSHOT_INDEX
from handrail.workspaces.protect import verify
from handrail.workspaces.remove import remove_tree

PACK_LIMIT = 256 << 20
BIG_FILE = 64 << 20
TIMEOUT = 300.0
UNPACK_BELOW = 100
# objects; as git's own fetch.unpackLimit
SCRIPT = files("handrail.workspaces").joinpath("inside.sh").read_text("utf-8")
RESERVED = {"base", "upstream", "last", "applied", "in-checkout"}
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


async def snapshot(workspace: Workspace, session: SessionId, run: RunInside, label: str) -> Snapshot:
    """Capture the work tree and keep it in the results; when nothing changed, the snapshot before is given again.

    Untracked files are in it, ignored ones and those over 64 MB are not. The agent's own index, HEAD and branch stay
    as they are.

    Args:
        workspace: from `prepare`.
        session: its session.
        run: runs a command inside the session's walls; called once.
        label: a plain name (`turn-3`), for `refs/sessions/<session>/<label>` in the results.

    Raises:
        HandrailError: the workspace's `.git` is broken (`restore` mends it), or the change is over 256 MB.
        StorageFull: the disk is full.
    """
    _check(label)
    previous, lines = await asyncio.gather(_last(workspace, session), own_refs(workspace.mirror))
    known = b"".join(b"^" + line.split(b" ", 1)[0] + b"\n" for line in lines.splitlines())
    done = await run(
        ["/bin/sh", "-c", SCRIPT, "handrail", "snapshot"],
        cwd=workspace.path,
        env=environment(workspace, PREVIOUS=previous, LABEL=label),
        stdin=known,
        limit=PACK_LIMIT,
        timeout=TIMEOUT,
    )
    _must_have_worked("the snapshot", done)
    head, found, pack = done.stdout.partition(b"\n\n")
    told = head.decode("utf-8", "replace").splitlines()
    commit = told[-1].removeprefix("commit ") if told else ""
    if not found or not COMMIT.fullmatch(commit):
        raise HandrailError("the snapshot gave no commit: the workspace's .git may be broken")
    if commit != previous:
        await _take_in(workspace.results, pack)
        await _must_follow(workspace.results, commit, previous)
    await _name(workspace, session, label, commit)
    return Snapshot(commit, _notice(told[:-1], done))


async def again(workspace: Workspace, session: SessionId, label: str, commit: str) -> Snapshot | None:
    """Name the snapshot before once more, for a caller who knows (see `still`) that nothing was changed since.

    Args:
        workspace: from `prepare`.
        session: its session.
        label: as of `snapshot`.
        commit: what `snapshot` gave then, or the base where there was none.

    Returns:
        None where the results hold another one as the latest.

    Raises:
        StorageFull: the disk is full.
    """
    _check(label)
    if await _last(workspace, session) != commit:
        return None
    await _name(workspace, session, label, commit)
    return Snapshot(commit)


def _check(label: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", label) or label in RESERVED:
        raise InvalidInput("label", label, "give letters, digits, `-` and `_`, and no name that Handrail uses itself")


async def restore(workspace: Workspace, session: SessionId, run: RunInside, commit: str) -> None:
    """Make the work tree exactly the snapshot `commit`: files added since go, ignored ones stay.

    The agent's branch and index return to what HEAD was then. A `.git` that the agent broke or swapped is replaced by
    a fresh one from the results.

    Raises:
        NotFound: `commit` is no snapshot of this session.
        HandrailError: it did not work even with a fresh `.git`.
    """
    head = await _head_at(workspace, session, commit)
    env = environment(workspace, COMMIT=commit, HEAD_COMMIT=head, BRANCH=workspace.branch)
    argv = ["/bin/sh", "-c", SCRIPT, "handrail", "restore"]
    try:
        await verify(workspace)
        done = await run(argv, cwd=workspace.path, env=env, timeout=TIMEOUT)
        if done.code == 0:
            return
    except SandboxError:
        pass  # swapped or changed, so a fresh one is due
    await repair(workspace, session)
    _must_have_worked("restoring the snapshot", await run(argv, cwd=workspace.path, env=env, timeout=TIMEOUT))


async def repair(workspace: Workspace, session: SessionId) -> None:
    """Replace the workspace's `.git` by a fresh one with all that the results hold of this session.

    Made beside the workspace and moved in; nothing is read from the old one. The files are left as they are: call
    `restore` next. No process may run inside meanwhile.
    """
    own, path = own_directory(workspace), workspace.path
    staging, broken = own / STAGING, own / "git-broken"
    for left_over in (staging, broken):
        await remove_tree(left_over)
    owner = await asyncio.to_thread(_make_room, path, staging, broken)
    uid = owner if owner is not None and can_reach(staging, owner) else None
    if uid is not None:
        os.chown(staging, uid, uid)
    lines, last = await asyncio.gather(own_refs(workspace.mirror), _last(workspace, session))
    await make_git_directory(
        staging,
        mirror=workspace.mirror,
        refs=lines,
        commit=workspace.base,
        session=session,
        uid=uid,
        untrusted=workspace.untrusted,
    )
    upstream = (await git("rev-parse", session_ref(session, "upstream"), cwd=workspace.results)).decode().strip()
    pack = await git(
        "pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset",
        cwd=workspace.results, stdin=f"{last}\n{workspace.base}\n^{upstream}\n".encode(), limit=4 * PACK_LIMIT,
        timeout=TIMEOUT,
    )  # fmt: skip
    await git("unpack-objects", "-q", cwd=staging, stdin=pack, uid=uid, timeout=TIMEOUT)
    keep_config_copy(staging / ".git", own)
    if owner is not None and uid is None:
        await asyncio.to_thread(give, staging / ".git", owner)
    await asyncio.to_thread(os.rename, staging / ".git", path / ".git")
    await remove_tree(staging)
    await remove_tree(broken)


def _make_room(path: Path, staging: Path, broken: Path) -> int | None:
    """Move the old `.git`, whatever it is, out of the workspace. Returns the uid that shall own the new one."""
    if path.is_symlink() or not path.is_dir():
        raise HandrailError(f"{path} is no directory any more: this workspace cannot be mended")
    broken.mkdir()
    staging.mkdir()
    old = path / ".git"
    if old.is_dir() and not old.is_symlink():
        old.chmod(0o700)  # a directory moves only when it can be written
    if os.path.lexists(old):
        old.rename(broken / "git")
    return path.stat().st_uid if os.geteuid() == 0 else None


def environment(workspace: Workspace, **more: str) -> dict[str, str]:
    """What `SCRIPT` runs with; `more` is told to one of its acts."""
    directory = workspace.path / ".git"
    return {
        "LC_ALL": "C",
        "GIT_DIR": str(directory),
        "GIT_COMMON_DIR": str(directory),
        "GIT_WORK_TREE": str(workspace.path),
        "GIT_INDEX_FILE": str(directory / SNAPSHOT_INDEX),
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "BASE": workspace.base,
        "BIG_KB": str(BIG_FILE >> 10),
        **IDENTITY,
        **settings_environment(SETTINGS),
        **more,
    }


def _must_have_worked(what: str, done: Completed) -> None:
    if done.timed_out:
        raise HandrailError(f"{what} took longer than {TIMEOUT:.0f} s and was stopped")
    if done.truncated and len(done.stdout) >= PACK_LIMIT:
        mend = "put big generated files into .gitignore or delete them"
        raise HandrailError(f"{what} is larger than {PACK_LIMIT >> 20} MB since the one before: {mend}")
    if done.code != 0:
        raise failure(what, done.stderr.decode("utf-8", "replace"))


def _notice(lines: list[str], done: Completed) -> str | None:
    left = [line.removeprefix("left ") for line in lines if line.startswith("left ")]
    if left:
        shown = ", ".join("".join(c if c.isprintable() else "?" for c in name)[:80] for name in left[:3])
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        return f"left out of the snapshot, over {BIG_FILE >> 20} MB: {shown}{more}"
    if done.stderr.strip():
        return f"the snapshot may lack a file: {first_line(done.stderr.decode('utf-8', 'replace'))}"
    return None


async def _last(workspace: Workspace, session: SessionId) -> str:
    """The latest snapshot that the results hold, else the base."""
    return refs.one(workspace.results, session_ref(session, "last")) or workspace.base


async def _take_in(results: Path, pack: bytes) -> None:
    """Add a hostile pack: every object is checked, and so is that whatever it names is there."""
    if len(pack) < 12 or pack[:4] != b"PACK":
        raise HandrailError("the snapshot gave no pack: the workspace's .git may be broken")
    if int.from_bytes(pack[8:12], "big") < UNPACK_BELOW:
        command = ["unpack-objects", "-q", "--strict"]
    else:
        command = ["index-pack", "--strict", "--stdin", "--fix-thin"]
    ran = await attempt([*command, f"--max-input-size={PACK_LIMIT}"], cwd=results, stdin=pack, timeout=TIMEOUT)
    if ran.code != 0:
        raise failure("taking the snapshot in", ran.err)


async def _must_follow(results: Path, commit: str, previous: str) -> None:
    """A box could name any commit of the results; one of its own has the snapshot before as its first parent."""
    ran = await attempt(["rev-parse", "--verify", "--quiet", f"{commit}^1"], cwd=results)
    if ran.out.decode().strip() != previous:
        raise HandrailError(f"the snapshot gave commit {commit[:12]}, which does not follow {previous[:12]}")


async def _name(workspace: Workspace, session: SessionId, label: str, commit: str) -> None:
    names = {session_ref(session, name): commit for name in (label, "last")}
    await asyncio.to_thread(refs.keep, workspace.results, names)


async def _head_at(workspace: Workspace, session: SessionId, commit: str) -> str:
    """What the agent's HEAD was at a snapshot."""
    if commit == workspace.base:
        return commit
    if not COMMIT.fullmatch(commit):
        raise InvalidInput("commit", commit, "give the full id of a snapshot")
    last = await _last(workspace, session)
    followed = await attempt(["merge-base", "--is-ancestor", commit, last], cwd=workspace.results)
    if followed.code != 0:
        raise NotFound(f"session {session} has no snapshot {commit}")
    parents = await git("rev-list", "--parents", "-n", "1", commit, cwd=workspace.results)
    return parents.decode().split()[-1]
