from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from handrail.errors import Conflict, InvalidInput
from handrail.types import SessionId
from handrail.workspaces import Repository, Workspace, refs, uncommitted
from handrail.workspaces.find import find
from handrail.workspaces.git import git
from handrail.workspaces.mirror import own_refs, upstream_refs
from handrail.workspaces.prepare import prepare
from handrail.workspaces.protect import verify
from tests.workspaces.conftest import SESSION, make_dirty, print_of, sh, tree_of


async def test_a_private_clone_on_its_own_branch(checkout: Path, workspace: Workspace) -> None:
    assert tree_of(workspace.path) == tree_of(checkout)
    assert sh("git", "branch", "--show-current", cwd=workspace.path).strip() == workspace.branch == "handrail/s1"
    assert sh("git", "status", "--porcelain", cwd=workspace.path) == ""
    assert sh("git", "rev-parse", "main", "v1", cwd=workspace.path) == sh(
        "git", "rev-parse", "main", "v1", cwd=checkout
    )
    assert sh("git", "log", "-1", "--format=%H", cwd=workspace.path).strip() == workspace.base
    sh("git", "fsck", "--strict", cwd=workspace.path)
    sh("git", "commit", "-q", "--allow-empty", "-m", "an agent can commit", cwd=workspace.path)
    assert all(path.exists() and not path.is_symlink() for path in workspace.protected)
    await verify(workspace)


async def test_only_upstream_refs_reach_the_mirror(checkout: Path, workspace: Workspace) -> None:
    stash = sh("git", "rev-parse", "stash:a.txt", cwd=checkout).strip()
    assert sh("git", "cat-file", "-t", stash, cwd=checkout).strip() == "blob"
    objects = sh("git", "cat-file", "--batch-all-objects", "--batch-check", cwd=workspace.path)
    assert stash not in objects


async def test_refs_are_read_as_git_lists_them(workspace: Workspace) -> None:
    mirror = workspace.mirror
    for name in ("heads/a/b", "heads/a-b", "tags/v1", "remotes/origin/main", "handrail/commits/x"):
        sh("git", "update-ref", f"refs/{name}", workspace.base, cwd=mirror)
    sh("git", "tag", "-a", "-m", "x", "v2", workspace.base, cwd=mirror)
    assert await own_refs(mirror) == await upstream_refs(mirror)
    sh("git", "pack-refs", "--all", cwd=mirror)
    sh("git", "update-ref", "refs/heads/a/b", f"{workspace.base}~1", cwd=mirror)
    sh("git", "update-ref", "refs/heads/late", workspace.base, cwd=mirror)
    assert b"refs/heads/late" in await own_refs(mirror)
    assert await own_refs(mirror) == await upstream_refs(mirror)
    sh("git", "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main", cwd=mirror)
    assert await own_refs(mirror) == await upstream_refs(mirror)
    assert refs.upstream(mirror) == await upstream_refs(mirror)  # no process was needed
    refs.keep(mirror, {"refs/sessions/s/last": workspace.base})
    assert sh("git", "rev-parse", "refs/sessions/s/last", cwd=mirror).strip() == workspace.base
    sh("git", "pack-refs", "--all", cwd=mirror)
    assert (refs.one(mirror, "refs/sessions/s/last"), refs.one(mirror, "refs/no")) == (workspace.base, None)
    sh("git", "symbolic-ref", "refs/heads/nowhere", "refs/heads/gone", cwd=mirror)
    assert refs.upstream(mirror) is None  # git is asked
    assert b"nowhere" not in await own_refs(mirror)


async def test_the_users_checkout_is_untouched(data: Path, checkout: Path) -> None:
    make_dirty(checkout)
    before = print_of(checkout)
    await prepare(data, await find(checkout), SESSION)
    await prepare(data, await find(checkout), SessionId("s2"), include_uncommitted=True)
    assert print_of(checkout) == before


async def test_files_that_vanish_while_they_are_brought_along_are_left_out(checkout: Path, tmp_path: Path) -> None:
    """Editors and builds go on while a session is made."""
    passing, tracked = checkout / "passing.tmp", checkout / "a.txt"
    asked: list[str] = []

    async def run(*words: str, stdin: bytes = b"") -> bytes:
        if words[0] == "ls-files":
            passing.write_text("x")
        answer = await git(*words, stdin=stdin, cwd=checkout, env={"GIT_INDEX_FILE": str(tmp_path / "index")})
        if words[0] == "ls-files":
            assert b"passing.tmp" in answer
            passing.unlink()
            tracked.unlink(missing_ok=True)
        asked.append(words[0])
        return answer

    await run("read-tree", "HEAD")
    tree = await uncommitted._tree(run)
    assert "update-index" in asked
    names = sh("git", "ls-tree", "-r", "--name-only", tree, cwd=checkout).split()
    assert "b.txt" in names
    assert not {"passing.tmp", "a.txt"} & set(names)


async def test_uncommitted_and_untracked_files_come_along_on_request(data: Path, checkout: Path) -> None:
    make_dirty(checkout)
    made = await prepare(data, await find(checkout), SESSION, include_uncommitted=True)
    expected = {name: content for name, content in tree_of(checkout).items() if name != "noise.log"}
    assert tree_of(made.path) == expected
    assert "staged.txt" in expected
    assert "b.txt" not in expected
    assert sh("git", "log", "-2", "--format=%s", cwd=made.path).split("\n")[0] == "Work in progress brought along"
    assert sh("git", "status", "--porcelain", cwd=made.path) == ""
    sh("git", "fsck", "--strict", cwd=made.path)
    mirrored = sh("git", "cat-file", "--batch-all-objects", "--batch-check", cwd=made.mirror)
    assert sh("git", "rev-parse", "HEAD:untracked.txt", cwd=made.path).strip() not in mirrored


async def test_a_clean_checkout_brings_nothing_along(data: Path, repository: Repository) -> None:
    made = await prepare(data, repository, SESSION, include_uncommitted=True)
    assert made.base == repository.head


async def test_what_is_cut_off_while_it_is_made_is_made_anew(
    data: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(file: Path, _: bytes) -> int:
        raise RuntimeError(file)  # as kill -9 does between `git init` and the list of what is borrowed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", cut_off)
        with pytest.raises(RuntimeError):
            await prepare(data, repository, SessionId("first"))
    made = await prepare(data, repository, SessionId("second"))
    assert (made.results / "objects" / "info" / "alternates").read_bytes() == bytes(made.mirror / "objects") + b"\n"


async def test_new_commits_reach_the_next_session(data: Path, checkout: Path, workspace: Workspace) -> None:
    (checkout / "new.txt").write_text("new\n")
    sh("git", "add", "-A", cwd=checkout)
    sh("git", "commit", "-qm", "third", cwd=checkout)
    sh("git", "branch", "-D", "other", cwd=checkout)
    made = await prepare(data, await find(checkout), SessionId("s2"))
    assert (made.path / "new.txt").read_text() == "new\n"
    assert not (workspace.path / "new.txt").exists()
    assert "other" not in sh("git", "branch", cwd=made.path)


@pytest.mark.parametrize("ref", ["v1", "other", "HEAD~1"])
async def test_another_start(data: Path, repository: Repository, ref: str) -> None:
    made = await prepare(data, repository, SESSION, ref=ref)
    assert made.base == sh("git", "rev-parse", f"{ref}^{{commit}}", cwd=repository.path).strip()
    assert not (made.path / "b.txt").exists()


@pytest.mark.parametrize("ref", ["nothing", "-x", "", "--help", "a\0b", "HEAD:a.txt"])
async def test_a_ref_that_names_no_commit(data: Path, repository: Repository, ref: str) -> None:
    with pytest.raises(InvalidInput, match="ref"):
        await prepare(data, repository, SESSION, ref=ref)
    assert not (data / "sessions").exists()


async def test_uncommitted_files_belong_to_head(data: Path, repository: Repository) -> None:
    with pytest.raises(InvalidInput, match="belong to HEAD"):
        await prepare(data, repository, SESSION, ref="v1", include_uncommitted=True)


async def test_a_commit_that_no_ref_holds(data: Path, checkout: Path) -> None:
    sh("git", "checkout", "-q", "--detach", cwd=checkout)
    sh("git", "commit", "-q", "--allow-empty", "-m", "adrift", cwd=checkout)
    found = await find(checkout)
    made = await prepare(data, found, SESSION)
    assert made.base == found.head


async def test_a_shallow_clone(data: Path, checkout: Path, tmp_path: Path) -> None:
    sh("git", "clone", "-q", "--depth", "1", f"file://{checkout}", str(tmp_path / "shallow"), cwd=tmp_path)
    made = await prepare(data, await find(tmp_path / "shallow"), SESSION)
    assert sh("git", "rev-list", "--count", "HEAD", cwd=made.path).strip() == "1"
    assert tree_of(made.path) == tree_of(checkout)
    sh("git", "fsck", cwd=made.path)


async def test_submodules_stay_empty_and_filters_do_not_run(data: Path, checkout: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    sub = tmp_path / "sub"
    sh("git", "clone", "-q", str(checkout), str(sub), cwd=tmp_path)
    sh("git", "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(sub), "lib", cwd=checkout)
    (checkout / ".gitattributes").write_text("*.bin filter=evil\n")
    (checkout / "x.bin").write_bytes(b"pointer")
    sh("git", "add", "-A", cwd=checkout)
    sh("git", "commit", "-qm", "submodule", cwd=checkout)
    found = await find(checkout)
    for kind in ("clean", "smudge"):
        sh("git", "config", f"filter.evil.{kind}", f"touch {canary}; cat", cwd=checkout)
    (checkout / "x.bin").write_bytes(b"changed at home")
    made = await prepare(data, found, SESSION, include_uncommitted=True)
    assert list((made.path / "lib").iterdir()) == []
    assert (made.path / "x.bin").read_bytes() == b"changed at home"
    assert not canary.exists()


async def test_a_repository_of_the_users_own_inside_theirs(data: Path, checkout: Path) -> None:
    sh("git", "init", "-q", str(checkout / "inner"), cwd=checkout)
    (checkout / "inner" / "file").write_text("x")
    (checkout / "more.txt").write_text("more\n")
    made = await prepare(data, await find(checkout), SESSION, include_uncommitted=True)
    assert (made.path / "more.txt").exists()
    assert not (made.path / "inner").exists()


async def test_a_second_workspace_for_a_session_is_refused(data: Path, repository: Repository) -> None:
    made = await prepare(data, repository, SESSION)
    with pytest.raises(Conflict, match="already"):
        await prepare(data, repository, SESSION)
    assert made.path.exists()


@pytest.mark.parametrize("session", ["", "..", "a/b", "a b", "-x"])
async def test_a_session_is_a_plain_name(data: Path, repository: Repository, session: str) -> None:
    with pytest.raises(InvalidInput, match="session"):
        await prepare(data, repository, SessionId(session))


async def test_many_at_once_and_a_cancelled_one_leave_no_trace(data: Path, repository: Repository) -> None:
    tasks = [asyncio.create_task(prepare(data, repository, SessionId(f"s{n}"))) for n in range(12)]
    late = asyncio.create_task(prepare(data, repository, SessionId("late")))
    await asyncio.sleep(0.05)
    late.cancel()
    made = await asyncio.gather(*tasks)
    with pytest.raises(asyncio.CancelledError):
        await late
    assert {tree_of(one.path)["b.txt"] for one in made} == {b"b\n"}
    assert not (data / "sessions" / "late" / "workspace").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs agents as another user")
@pytest.mark.parametrize("mode", [0o755, 0o700])
async def test_files_belong_to_the_agents_user(data: Path, repository: Repository, tmp_path: Path, mode: int) -> None:
    for place in (tmp_path, *list(tmp_path.parents)[:3]):  # the third is a worker's of pytest-xdist
        place.chmod(0o1777 if place == Path("/tmp") else 0o755)
    data.chmod(mode)
    made = await prepare(data, repository, SESSION, owner=4242)
    assert {path.stat().st_uid for path in made.path.rglob("*") if ".git" not in path.parts} == {4242}
    data.chmod(0o755)
    assert sh("setpriv", "--reuid=4242", "--clear-groups", "git", "status", "--porcelain", cwd=made.path) == ""


async def test_two_thousand_files_stay_quick(data: Path, tmp_path: Path) -> None:
    place = tmp_path / "large"
    for number in range(2000):
        path = place / f"d{number % 40}" / f"f{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n" * 20)
    sh("git", "init", "-q", cwd=place)
    sh("git", "add", "-A", cwd=place)
    sh("git", "commit", "-qm", "x", cwd=place)
    found = await find(place)
    await prepare(data, found, SessionId("cold"))
    begin = time.perf_counter()
    await prepare(data, found, SessionId("warm"))
    assert time.perf_counter() - begin < 2.0
