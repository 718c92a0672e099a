from __future__ import annotations

from pathlib import Path

import pytest

from handrail.errors import SandboxError
from handrail.workspaces import ApplyMode, Workspace
from handrail.workspaces.apply import apply
from handrail.workspaces.changes import change
from handrail.workspaces.find import find
from handrail.workspaces.protect import verify
from handrail.workspaces.remove import disk, remove
from handrail.workspaces.snapshots import repair, restore, snapshot
from tests.workspaces.conftest import SESSION, run_plainly, sh

SWAPS = [
    "echo '[core]\n\tfsmonitor = evil' >> .git/config",
    "rm .git/config && ln -s ../a.txt .git/config",
    "rm .git/config && mkfifo .git/config",
    "rm .git/config && mkdir .git/config",
    "rm .git/config",
    "cp .git/config c && mv .git .git2 && ln -s .git2 .git",
    "rm -rf .git && echo 'gitdir: /tmp' > .git",
    "mv .git/info i && ln -s ../i .git/info",
    "echo x > .git/hooks/pre-commit",
    "rmdir .git/hooks && ln -s /tmp .git/hooks",
    "echo '* filter=x' > .git/info/attributes",
    "echo /tmp >> .git/objects/info/alternates",
    "echo '[core]' > .git/config.worktree",
    "echo /tmp > .git/commondir",
    "rm -rf .git",
]


@pytest.mark.parametrize("swap", SWAPS)
async def test_a_swap_is_seen_and_repaired(workspace: Workspace, swap: str) -> None:
    await verify(workspace)
    sh("sh", "-c", swap, cwd=workspace.path)
    with pytest.raises(SandboxError, match=str(workspace.path)):
        await verify(workspace)
    await repair(workspace, SESSION)
    await verify(workspace)
    await restore(workspace, SESSION, run_plainly, workspace.base)
    assert sh("git", "status", "--porcelain", cwd=workspace.path) == ""


async def test_what_an_agent_may_do_with_git_is_no_swap(workspace: Workspace) -> None:
    (workspace.path / "x").write_text("x")
    sh("git", "add", "-A", cwd=workspace.path)
    sh("git", "commit", "-qm", "x", cwd=workspace.path)
    sh("git", "stash", "list", cwd=workspace.path)
    sh("git", "tag", "mine", cwd=workspace.path)
    await verify(workspace)


async def test_nothing_in_a_hostile_tree_runs_on_the_host(
    data: Path, checkout: Path, workspace: Workspace, tmp_path: Path
) -> None:
    """The trap springs anywhere but in `run_plainly`, which gives a HOME that no host command has here."""
    canary = tmp_path / "canary"
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\n[ "$HOME" = /nonexistent ] && [ -n "$BASE" ] || echo "$0 $*" >> {canary}\ncat\n')
    trap.chmod(0o755)
    place = workspace.path
    for key in ("core.fsmonitor", "core.sshCommand", "core.editor", "core.pager", "diff.external", "diff.x.textconv",
                "diff.x.command", "filter.x.clean", "filter.x.smudge", "filter.x.process", "merge.x.driver",
                "uploadpack.packObjectsHook", "gpg.program", "credential.helper", "core.gitProxy",
                "core.alternateRefsCommand"):  # fmt: skip
        sh("git", "config", key, str(trap), cwd=place)
    (place / ".gitattributes").write_text("* filter=x diff=x merge=x\n")
    (place / ".git" / "info" / "attributes").write_text("* filter=x diff=x merge=x\n")
    for hook in ("pre-commit", "post-checkout", "post-index-change", "reference-transaction", "fsmonitor-watchman"):
        (place / ".git" / "hooks" / hook).write_bytes(trap.read_bytes())
        (place / ".git" / "hooks" / hook).chmod(0o755)
    (place / "a.txt").write_text("changed\n")
    taken = await snapshot(workspace, SESSION, run_plainly, "turn-1")
    with pytest.raises(SandboxError):
        await verify(workspace)
    found = await change(workspace.results, workspace.base, taken.commit)
    assert len(found.files) == 2
    for mode in ApplyMode:
        await apply(workspace, await find(checkout), SESSION, head=taken.commit, mode=mode)
    await restore(workspace, SESSION, run_plainly, taken.commit)
    assert await disk(data, SESSION) > 0
    await remove(data, SESSION)
    assert not canary.exists(), canary.read_text()
