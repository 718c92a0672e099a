from __future__ import annotations

from pathlib import Path

import pytest

from handrail.errors import Conflict, InvalidInput
from handrail.types import SessionId
from handrail.workspaces import Applied, ApplyMode, Workspace
from handrail.workspaces.apply import apply
from handrail.workspaces.find import find
from handrail.workspaces.prepare import prepare
from handrail.workspaces.snapshots import snapshot
from tests.workspaces.conftest import SESSION, make_dirty, print_of, run_plainly, sh, tree_of


async def bring(
    workspace: Workspace, mode: ApplyMode = ApplyMode.BRANCH, session: SessionId = SESSION, branch: str | None = None
) -> Applied:
    head = (await snapshot(workspace, session, run_plainly, "turn-1")).commit
    repository = await find(workspace.repository)
    return await apply(
        workspace, repository, session, head=head, mode=mode, branch=branch, title="Mend it\nnow", agent="handrail"
    )


def work(place: Path) -> None:
    (place / "a.txt").write_text("one\ntwo\nTHREE by the agent\n")
    (place / "new").mkdir()
    (place / "new" / "ünï.txt").write_text("new\n")
    (place / "data.bin").write_bytes(bytes(range(256)))
    (place / "src" / "main.py").rename(place / "src" / "moved.py")
    (place / "src" / "moved.py").chmod(0o755)


async def test_as_a_branch_it_is_one_commit_and_nothing_is_checked_out(workspace: Workspace, checkout: Path) -> None:
    work(workspace.path)
    files, status = tree_of(checkout), sh("git", "status", "--porcelain=v2", "--branch", cwd=checkout)
    done = await bring(workspace)
    assert (done.mode, done.branch, done.files, done.notice) == (ApplyMode.BRANCH, "handrail/s1", 5, None)
    assert tree_of(checkout) == files
    assert sh("git", "status", "--porcelain=v2", "--branch", cwd=checkout) == status
    shown = sh("git", "log", "--format=%H|%P|%an|%B", "main..handrail/s1", cwd=checkout)
    commit, parent, author, message = shown.strip().split("|")
    assert (commit, parent, author) == (done.commit, workspace.base, "Handrail")
    assert message == "Mend it now\n\nSession: s1\nAgent: handrail"
    sh("git", "checkout", "-q", "handrail/s1", cwd=checkout)
    assert tree_of(checkout) == tree_of(workspace.path)
    sh("git", "fsck", "--strict", cwd=checkout)


async def test_as_uncommitted_changes_the_index_stays(workspace: Workspace, checkout: Path) -> None:
    work(workspace.path)
    index = (checkout / ".git" / "index").read_bytes()
    done = await bring(workspace, ApplyMode.UNCOMMITTED)
    assert (done.branch, done.files) == (None, 5)
    assert tree_of(checkout) == tree_of(workspace.path)
    assert (checkout / "src" / "moved.py").stat().st_mode & 0o111
    assert (checkout / ".git" / "index").read_bytes() == index
    again = await bring(workspace, ApplyMode.UNCOMMITTED)
    assert again.files == 5
    (workspace.path / "new" / "ünï.txt").write_text("second turn\n")
    (workspace.path / "data.bin").unlink()
    await bring(workspace, ApplyMode.UNCOMMITTED)
    assert tree_of(checkout) == tree_of(workspace.path)


async def test_it_is_merged_with_what_was_edited_meanwhile(workspace: Workspace, checkout: Path) -> None:
    (checkout / "a.txt").write_text("ONE at home\n" + "filler\n" * 5 + "two\nthree\n")
    sh("git", "commit", "-qam", "longer", cwd=checkout)
    work(workspace.path)
    (workspace.path / "a.txt").write_text("one\ntwo\nthree\n")
    (checkout / "untracked.txt").write_text("mine\n")
    await bring(workspace, ApplyMode.UNCOMMITTED)
    assert (checkout / "a.txt").read_text().startswith("ONE at home\n")
    assert (checkout / "untracked.txt").read_text() == "mine\n"
    assert (checkout / "data.bin").exists()


@pytest.mark.parametrize("where", ["edited", "untracked", "deleted", "ignored"])
async def test_a_conflict_names_the_file_and_writes_nothing(workspace: Workspace, checkout: Path, where: str) -> None:
    work(workspace.path)
    name = "a.txt"
    if where == "edited":
        (checkout / "a.txt").write_text("one\ntwo\nthree in my way\n")
    elif where == "deleted":
        (checkout / "a.txt").unlink()
    elif where == "untracked":
        name = "data.bin"
        (checkout / name).write_text("mine\n")
    else:
        name = "data.bin"
        (checkout / ".git" / "info" / "exclude").write_text("data.bin\n")
        (checkout / name).write_text("mine\n")
    before = print_of(checkout)
    with pytest.raises(Conflict, match=name):
        await bring(workspace, ApplyMode.UNCOMMITTED)
    assert print_of(checkout) == before


async def test_hooks_and_filters_of_the_checkout_do_not_run(
    workspace: Workspace, checkout: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    hooks = checkout / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "post-checkout", "post-index-change", "pre-auto-gc", "post-merge"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {canary}\n")
        (hooks / name).chmod(0o755)
    work(workspace.path)
    (workspace.path / ".gitattributes").write_text("* filter=evil\n")
    await bring(workspace)
    for kind in ("clean", "smudge"):
        sh("git", "config", f"filter.evil.{kind}", f"touch {canary}; cat", cwd=checkout)
    canary.unlink(missing_ok=True)
    await bring(workspace, ApplyMode.UNCOMMITTED)
    assert not canary.exists()


async def test_a_branch_name_must_be_new_and_sound(workspace: Workspace, checkout: Path) -> None:
    work(workspace.path)
    assert (await bring(workspace, branch="mine/fix")).branch == "mine/fix"
    with pytest.raises(Conflict, match="exists already"):
        await bring(workspace, branch="mine/fix")
    with pytest.raises(Conflict, match="could not be made"):
        await bring(workspace, branch="main/below")
    for name in ("", "a b", "-x", "a..b", "@{-1}", "x\ny", "a\0b", "HEAD"):
        with pytest.raises(InvalidInput, match="branch"):
            await bring(workspace, branch=name)
    with pytest.raises(InvalidInput, match="leave it out"):
        await bring(workspace, ApplyMode.UNCOMMITTED, branch="x")
    assert sh("git", "branch", "--format=%(refname:short)", cwd=checkout).split() == ["main", "mine/fix", "other"]


async def test_an_empty_change_is_no_success(workspace: Workspace) -> None:
    for mode in ApplyMode:
        with pytest.raises(Conflict, match="nothing to apply"):
            await bring(workspace, mode)


async def test_brought_along_work_stays_out_of_the_branch_where_it_can(data: Path, checkout: Path) -> None:
    make_dirty(checkout)
    made = await prepare(data, await find(checkout), SESSION, include_uncommitted=True)
    (made.path / "src" / "main.py").write_text("print('agent')\n")
    done = await bring(made)
    assert done.notice is None
    assert sh("git", "diff", "--name-only", "main", "handrail/s1", cwd=checkout).split() == ["src/main.py"]
    await bring(made, ApplyMode.UNCOMMITTED)
    assert (checkout / "src" / "main.py").read_text() == "print('agent')\n"
    assert (checkout / "a.txt").read_text() == "one\nTWO at home\nthree\n"


async def test_where_it_cannot_the_branch_says_so(data: Path, checkout: Path) -> None:
    make_dirty(checkout)
    made = await prepare(data, await find(checkout), SESSION, include_uncommitted=True)
    (made.path / "untracked.txt").write_text("edited by the agent\n")
    done = await bring(made)
    assert "uncommitted work" in str(done.notice)
    assert sh("git", "show", "handrail/s1:untracked.txt", cwd=checkout) == "edited by the agent\n"
    assert sh("git", "log", "--format=%s", "main..handrail/s1", cwd=checkout).count("\n") == 2


async def test_a_detached_head_and_a_shallow_clone_take_a_change(data: Path, checkout: Path, tmp_path: Path) -> None:
    place = tmp_path / "shallow"
    sh("git", "clone", "-q", "--depth", "1", f"file://{checkout}", str(place), cwd=tmp_path)
    sh("git", "checkout", "-q", "--detach", cwd=place)
    made = await prepare(data, await find(place), SESSION)
    work(made.path)
    assert (await bring(made)).branch == "handrail/s1"
    await bring(made, ApplyMode.UNCOMMITTED)
    assert tree_of(place) == tree_of(made.path)
    sh("git", "fsck", cwd=place)


async def test_line_endings_of_the_checkout_are_kept(data: Path, checkout: Path) -> None:
    (checkout / ".gitattributes").write_text("*.txt text eol=crlf\n")
    sh("git", "add", "-A", cwd=checkout)
    sh("git", "commit", "-qm", "crlf", cwd=checkout)
    sh("git", "rm", "-qr", "--cached", ".", cwd=checkout)
    sh("git", "reset", "-q", "--hard", cwd=checkout)
    assert b"\r\n" in (checkout / "a.txt").read_bytes()
    made = await prepare(data, await find(checkout), SESSION)
    (made.path / "a.txt").write_bytes(b"one\r\ntwo\r\nthree\r\nfour\r\n")
    await bring(made, ApplyMode.UNCOMMITTED)
    assert (checkout / "a.txt").read_bytes() == b"one\r\ntwo\r\nthree\r\nfour\r\n"
