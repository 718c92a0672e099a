from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from handrail.errors import InvalidInput, MissingPart
from handrail.workspaces import Repository
from handrail.workspaces import find as module
from handrail.workspaces.find import find
from tests.workspaces.conftest import make_dirty, print_of, sh


async def test_finds_the_top_from_below_and_says_what_is_there(checkout: Path) -> None:
    found = await find(checkout / "src")
    assert found.path == checkout
    assert found.head == sh("git", "rev-parse", "HEAD", cwd=checkout).strip()
    assert found.branch == "main"
    assert found.key.startswith("project-")


async def test_looks_without_a_write(checkout: Path) -> None:
    make_dirty(checkout)
    before = print_of(checkout)
    await find(checkout)
    assert print_of(checkout) == before


async def test_detached_head_has_no_branch(checkout: Path) -> None:
    sh("git", "checkout", "-q", "--detach", "HEAD~1", cwd=checkout)
    assert (await find(checkout)).branch is None


async def test_linked_worktrees_share_a_key_but_not_a_path(checkout: Path, tmp_path: Path) -> None:
    sh("git", "worktree", "add", "-q", str(tmp_path / "linked"), "other", cwd=checkout)
    one, two = await find(checkout), await find(tmp_path / "linked")
    assert one.key == two.key
    assert (two.path, two.branch) == (tmp_path / "linked", "other")


@pytest.mark.parametrize("name", ["leer zeichen", "quote'\"$(touch x)", "ünïcödé", "-dash", "..dots"])
async def test_unusual_directory_names(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    sh("git", "init", "-q", cwd=place)
    sh("git", "commit", "-q", "--allow-empty", "-m", "x", cwd=place)
    assert (await find(place)).path == place


async def test_each_wrong_place_gets_one_clear_sentence(tmp_path: Path, checkout: Path) -> None:
    bare, empty, none = tmp_path / "bare.git", tmp_path / "empty", tmp_path / "none"
    sh("git", "init", "-q", "--bare", str(bare), cwd=tmp_path)
    sh("git", "init", "-q", str(empty), cwd=tmp_path)
    none.mkdir()
    for place, mend in {
        bare: "bare repository",
        empty: "make a first one",
        none: "no git repository",
        tmp_path / "missing": "no such directory",
        checkout / "a.txt": "it is a file",
        checkout / ".git": "inside a .git directory",
        tmp_path / "new\nline": "line breaks",
    }.items():
        with pytest.raises(InvalidInput, match=mend) as raised:
            await find(place)
        assert raised.value.field == "repository"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
async def test_a_directory_of_another_user_names_the_mend(checkout: Path) -> None:
    os.chown(checkout, 4242, 4242)
    os.chown(checkout / ".git", 4242, 4242)
    with pytest.raises(InvalidInput, match=r"safe\.directory"):
        await find(checkout)
    sh("git", "config", "--global", "--add", "safe.directory", str(checkout), cwd=checkout)
    assert (await find(checkout)).path == checkout


async def test_without_git_the_package_is_named(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingPart, match="package `git`"):
        await find(checkout)


async def test_a_monitor_and_hooks_in_the_users_repository_do_not_run(checkout: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    sh("git", "config", "core.fsmonitor", f"touch {canary}; false", cwd=checkout)
    await find(checkout)
    assert not canary.exists()


async def told_by_git(place: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    with monkeypatch.context() as patch:
        patch.setattr(module, "_usual", lambda _: None)
        return await find(place)


@pytest.mark.parametrize("prepared", ["", "git pack-refs --all", "git checkout -q -b a/b", "git branch -m ümlaut+x"])
async def test_a_usual_repository_is_read_as_git_tells_it(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: str
) -> None:
    sh("sh", "-c", prepared, cwd=checkout)
    (tmp_path / "way").symlink_to(checkout)
    for place in (checkout, tmp_path / "way"):
        assert module._usual(place) == await told_by_git(place, monkeypatch)


@pytest.mark.parametrize(
    "prepared",
    [
        "git checkout -q --detach",
        "git symbolic-ref refs/heads/link refs/heads/main; git symbolic-ref HEAD refs/heads/link",
        "git symbolic-ref HEAD refs/heads/none",
        "mkdir ../far && git config core.worktree $PWD/../far",
        "git config CORE.Bare TRUE",
        "git config include.path ../more",
        "git config extensions.worktreeConfig true",
        "git config core.repositoryFormatVersion 1",
        "mv .git ../kept && echo gitdir: ../kept > .git",
        "mv .git ../kept && ln -s ../kept .git",
        "chown -R 4242 .",
        "rm -rf .git/refs",
        "rm .git/config",
        "rm .git/config; mkfifo .git/config",
        "echo ref: refs/heads/../heads/main > .git/HEAD",
    ],
)
async def test_what_is_unusual_is_git_s_to_tell(checkout: Path, prepared: str) -> None:
    assert module._usual(checkout) is not None
    sh("sh", "-c", prepared, cwd=checkout)
    assert module._usual(checkout) is None


async def test_surroundings_do_not_leak_in(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nowhere"))
    assert (await asyncio.wait_for(find(checkout), 10)).path == checkout
