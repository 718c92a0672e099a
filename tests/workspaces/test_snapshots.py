from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from handrail.errors import HandrailError, InvalidInput, NotFound
from handrail.types import SessionId
from handrail.workspaces import Repository, Workspace, snapshots
from handrail.workspaces.find import find
from handrail.workspaces.prepare import prepare
from handrail.workspaces.protect import verify
from handrail.workspaces.snapshots import restore, snapshot
from tests.workspaces.conftest import SESSION, make_dirty, print_of, run_plainly, sh, tree_of


async def take(workspace: Workspace, label: str = "turn-1") -> str:
    taken = await snapshot(workspace, SESSION, run_plainly, label)
    assert taken.notice is None
    return taken.commit


async def back(workspace: Workspace, commit: str) -> None:
    await restore(workspace, SESSION, run_plainly, commit)


def write_some(place: Path) -> None:
    (place / "a.txt").write_text("changed\n")
    (place / "new").mkdir()
    (place / "new" / "file.txt").write_text("new\n")
    (place / "b.txt").unlink()
    (place / "link").symlink_to("a.txt")
    (place / "run.sh").write_text("#!/bin/sh\n")
    (place / "run.sh").chmod(0o755)
    (place / "noise.log").write_text("ignored\n")


async def test_nothing_changed_is_the_base_and_costs_no_commit(workspace: Workspace) -> None:
    assert await take(workspace) == workspace.base
    write_some(workspace.path)
    first = await take(workspace, "turn-2")
    assert first != workspace.base
    assert await take(workspace, "turn-3") == first


async def test_everything_but_ignored_files_is_captured_and_the_agents_git_is_not_disturbed(
    workspace: Workspace,
) -> None:
    place = workspace.path
    write_some(place)
    sh("git", "add", "a.txt", cwd=place)
    before = sh("git", "status", "--porcelain=v2", "--branch", cwd=place)
    index = (place / ".git" / "index").read_bytes()
    commit = await take(workspace)
    assert (place / ".git" / "index").read_bytes() == index
    assert sh("git", "status", "--porcelain=v2", "--branch", cwd=place) == before
    names = sh("git", "ls-tree", "-r", "--name-only", commit, cwd=workspace.results).split()
    assert set(names) == {".gitignore", "a.txt", "link", "new/file.txt", "run.sh", "src/main.py"}
    sh("git", "fsck", "--strict", cwd=workspace.results)


@pytest.mark.parametrize(
    "disaster",
    [
        "git reset -q --hard && git clean -qfdx",
        "rm -rf ./* .gitignore",
        "rm -rf .git",
        "rm -rf .git && git init -q && git add -A && git commit -qm mine",
        "rm -rf .git && ln -s /etc .git",
        "rm -rf .git && echo 'gitdir: /nowhere' > .git",
        "find . -delete",
        "rm -rf .git/objects/* .git/refs .git/HEAD",
        "echo garbage > .git/handrail-index; echo garbage > .git/index; touch .git/index.lock .git/handrail-index.lock",
        "git checkout -q -b mine && git commit -qam mine && git branch -D handrail/s1",
        "git checkout -q v1 -f && echo more > more.txt && git add -A && git commit -qm x && git gc -q --prune=now",
        "chmod 000 new src; chmod 000 a.txt",
        "rm -rf a.txt && mkdir a.txt && touch a.txt/x && rm -rf new && touch new",
        "echo /nowhere > .git/objects/info/alternates",
        "mv .git .git2; mkdir .git",
        "echo 'ref: refs/heads/../../x' > .git/HEAD; echo x > .git/commondir",
        "git config core.bare true; git config core.worktree /tmp",
    ],
)
async def test_whatever_an_agent_does_the_snapshot_comes_back(workspace: Workspace, disaster: str) -> None:
    write_some(workspace.path)
    commit = await take(workspace)
    expected = tree_of(workspace.path)
    sh("sh", "-c", disaster, cwd=workspace.path, check=False)
    await back(workspace, commit)
    found = tree_of(workspace.path)
    expected.pop("noise.log")
    found.pop("noise.log", None)
    found = {name: content for name, content in found.items() if not name.startswith(".git2/")}
    assert found == expected
    assert (workspace.path / "run.sh").stat().st_mode & 0o111
    assert sh("git", "branch", "--show-current", cwd=workspace.path).strip() == workspace.branch
    assert sh("git", "rev-parse", "HEAD", cwd=workspace.path).strip() == workspace.base
    await verify(workspace)
    assert await take(workspace, "again") == commit


async def test_files_added_since_go_and_ignored_ones_stay(workspace: Workspace) -> None:
    write_some(workspace.path)
    await take(workspace)
    (workspace.path / "later" / "deep").mkdir(parents=True)
    (workspace.path / "later" / "deep" / "x").write_text("x")
    await back(workspace, workspace.base)
    assert not (workspace.path / "later").exists()
    assert (workspace.path / "noise.log").read_text() == "ignored\n"
    assert sh("git", "status", "--porcelain", cwd=workspace.path) == ""


async def test_the_agents_own_commits_return_with_the_snapshot(workspace: Workspace) -> None:
    place = workspace.path
    write_some(place)
    sh("git", "add", "-A", cwd=place)
    sh("git", "commit", "-qm", "by the agent", cwd=place)
    mine = sh("git", "rev-parse", "HEAD", cwd=place).strip()
    commit = await take(workspace)
    shutil.rmtree(place / ".git")
    await back(workspace, workspace.base)
    assert (place / "b.txt").exists()
    await back(workspace, commit)
    assert sh("git", "rev-parse", "HEAD", cwd=place).strip() == mine
    assert sh("git", "status", "--porcelain", cwd=place) == ""


async def test_a_repository_inside_the_repository_is_captured_as_files(workspace: Workspace) -> None:
    place = workspace.path
    for name in ("inner", "inner/deeper", "no-commit"):
        (place / name).mkdir(parents=True)
        sh("git", "init", "-q", cwd=place / name)
        (place / name / "file.txt").write_text(f"{name}\n")
    sh("git", "add", "file.txt", cwd=place / "inner")
    sh("git", "commit", "-qm", "x", cwd=place / "inner")
    commit = await take(workspace)
    names = sh("git", "ls-tree", "-r", "--name-only", commit, cwd=workspace.results).split()
    assert {"inner/file.txt", "inner/deeper/file.txt", "no-commit/file.txt"} < set(names)
    (place / "inner" / "second.txt").write_text("2\n")
    second = await take(workspace, "turn-2")
    assert "inner/second.txt" in sh("git", "ls-tree", "-r", "--name-only", second, cwd=workspace.results)
    await back(workspace, workspace.base)
    assert not (place / "inner").exists()
    assert not (place / "no-commit").exists()
    await back(workspace, second)
    assert (place / "inner" / "deeper" / "file.txt").read_text() == "inner/deeper\n"


async def test_unusual_names(workspace: Workspace) -> None:
    for name in (
        "line\nbreak",
        "tab\t",
        '"quoted"',
        "-dash",
        ":colon",
        "*",
        "ünï",
        "\udcff",
        " ",
        "a\\b",
        "$(touch x)",
    ):
        (workspace.path / name).write_text("x")
    expected = tree_of(workspace.path)
    commit = await take(workspace)
    sh("git", "clean", "-qfdx", cwd=workspace.path)
    await back(workspace, commit)
    assert tree_of(workspace.path) == expected


async def test_very_big_files_are_left_out_and_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "BIG_FILE", 1 << 20)
    (workspace.path / "model.bin").write_bytes(b"\0" * ((1 << 20) + 2048))
    (workspace.path / "big.log").write_bytes(b"\0" * (2 << 20))
    (workspace.path / "small.txt").write_text("x")
    taken = await snapshot(workspace, SESSION, run_plainly, "turn-1")
    assert taken.notice == "left out of the snapshot, over 1 MB: model.bin"
    assert "small.txt" in sh("git", "ls-tree", "--name-only", taken.commit, cwd=workspace.results)
    await back(workspace, workspace.base)
    assert (workspace.path / "model.bin").exists()


async def test_a_change_over_the_limit_is_said_and_the_next_one_works(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "PACK_LIMIT", 1 << 16)
    (workspace.path / "noise.bin").write_bytes(os.urandom(1 << 17))
    with pytest.raises(HandrailError, match="larger than"):
        await take(workspace)
    (workspace.path / "noise.bin").unlink()
    (workspace.path / "x.txt").write_text("x")
    assert await take(workspace) != workspace.base


@pytest.mark.parametrize("breakage", ["rm -rf .git", "rm -rf .git/objects", "rm -rf .git; ln -s /nowhere .git"])
async def test_a_broken_git_is_said_and_mended_by_restore(workspace: Workspace, breakage: str) -> None:
    sh("sh", "-c", breakage, cwd=workspace.path)
    (workspace.path / "x.txt").write_text("x")
    with pytest.raises(HandrailError):
        await take(workspace)
    await back(workspace, workspace.base)
    (workspace.path / "y.txt").write_text("y")
    assert await take(workspace) != workspace.base


async def test_another_sessions_snapshot_cannot_be_restored_or_claimed(
    data: Path, repository: Repository, workspace: Workspace
) -> None:
    other = await prepare(data, repository, SessionId("s2"))
    (other.path / "secret.txt").write_text("of the other session\n")
    theirs = (await snapshot(other, SessionId("s2"), run_plainly, "turn-1")).commit
    with pytest.raises(NotFound):
        await back(workspace, theirs)
    with pytest.raises(InvalidInput):
        await back(workspace, "HEAD; true")


async def test_labels_are_plain_names(workspace: Workspace) -> None:
    for label in ("", "a b", "../x", "last", "base", "x\ny"):
        with pytest.raises(InvalidInput):
            await take(workspace, label)


async def test_work_brought_along_survives_the_loss_of_git(data: Path, checkout: Path) -> None:
    make_dirty(checkout)
    before = print_of(checkout)
    made = await prepare(data, await find(checkout), SESSION, include_uncommitted=True)
    expected = tree_of(made.path)
    sh("sh", "-c", "rm -rf .git *", cwd=made.path)
    await back(made, made.base)
    assert tree_of(made.path) == expected
    assert print_of(checkout) == before


async def test_many_sessions_at_once(data: Path, repository: Repository) -> None:
    async def one(number: int) -> str:
        session = SessionId(f"s{number}")
        made = await prepare(data, repository, session)
        (made.path / "n.txt").write_text(f"{number}\n")
        commit = (await snapshot(made, session, run_plainly, "turn-1")).commit
        return sh("git", "show", f"{commit}:n.txt", cwd=made.results).strip()

    assert await asyncio.gather(*(one(number) for number in range(10))) == [str(number) for number in range(10)]


async def test_more_than_a_hundred_new_files(workspace: Workspace) -> None:
    for number in range(150):
        (workspace.path / f"f{number}").write_text(f"{number}")
    commit = await take(workspace)
    assert sh("git", "ls-tree", "-r", "--name-only", commit, cwd=workspace.results).count("f") >= 150
    sh("git", "fsck", "--strict", cwd=workspace.results)


async def test_what_tools_leave_behind_is_no_change_unless_it_is_tracked(workspace: Workspace) -> None:
    cache = workspace.path / "pkg" / "__pycache__"
    cache.mkdir(parents=True)
    (cache / "mod.cpython-311.pyc").write_bytes(b"\0")
    (workspace.path / "node_modules").mkdir()
    (workspace.path / "node_modules" / "x.js").write_text("x")
    assert await take(workspace) == workspace.base
