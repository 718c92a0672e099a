from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from handrail.workspaces import Workspace, still
from handrail.workspaces.snapshots import again, snapshot
from tests.workspaces.conftest import SESSION, run_plainly, sh


def rest(place: Path) -> bytes:
    """What it looks like once the clock has gone on."""
    time.sleep(2 * still.TICK)
    seen = still.look(place)
    assert seen is not None
    return seen


def same_size_same_time(place: Path) -> None:
    """The same length, and the time of its content set back: only the change time tells."""
    file = place / "a.txt"
    told = file.stat()
    file.write_bytes(bytes(reversed(file.read_bytes())))
    os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (told.st_size, told.st_mtime_ns)


def moved_over(place: Path) -> None:
    (place / "other").write_bytes((place / "a.txt").read_bytes())
    (place / "other").rename(place / "a.txt")


def new_below(place: Path) -> None:
    (place / "deep" / "er").mkdir(parents=True)
    (place / "deep" / "er" / "x").write_text("")


def gone(place: Path) -> None:
    (place / "a.txt").unlink()


def linked(place: Path) -> None:
    (place / "b.txt").unlink()
    (place / "b.txt").symlink_to("a.txt")


def committed(place: Path) -> None:
    """On the session's own branch, and nothing else of git's."""
    made = sh("git", "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "nothing", cwd=place).strip()
    sh("git", "update-ref", "HEAD", made, cwd=place)


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": same_size_same_time,
    "another file of the same name": moved_over,
    "mode": lambda place: (place / "a.txt").chmod(0o755),
    "new": lambda place: (place / "new").write_text(""),
    "new below": new_below,
    "gone": gone,
    "link": linked,
    "a commit": committed,
    "a branch": lambda place: sh("git", "checkout", "-q", "-b", "elsewhere", cwd=place),
    "what is ignored": lambda place: (place / ".git" / "info" / "exclude").write_text("*.txt\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_each_change_that_a_snapshot_would_hold_is_seen(workspace: Workspace, change: Callable[[Path], object]) -> None:
    before = rest(workspace.path)
    assert still.look(workspace.path) == before
    change(workspace.path)
    assert rest(workspace.path) != before


async def test_what_git_writes_for_itself_is_no_change(workspace: Workspace) -> None:
    before = rest(workspace.path)
    sh("git", "status", cwd=workspace.path)
    sh("git", "update-index", "--force-write-index", cwd=workspace.path)
    await snapshot(workspace, SESSION, run_plainly, "turn-1")
    assert rest(workspace.path) == before


def test_what_cannot_be_told_is_not_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    place = workspace.path
    rest(place)
    (place / "a.txt").write_text("now")
    assert still.look(place) is None, "it changed within the clock's tick"
    rest(place)
    monkeypatch.setattr(still, "LARGEST", 3)
    assert still.look(place) is None
    monkeypatch.undo()
    deep = place
    for _ in range(still.DEEPEST + 1):
        deep /= "d"
        deep.mkdir()
    assert still.look(place) is None
    assert still.look(place / "nowhere") is None


def test_no_link_is_followed(workspace: Workspace, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (workspace.path / "away").symlink_to(outside)
    before = rest(workspace.path)
    (outside / "file").touch()
    assert rest(workspace.path) == before
    (tmp_path / "link").symlink_to(workspace.path)
    assert still.look(tmp_path / "link") is None


async def test_the_snapshot_before_is_named_once_more(workspace: Workspace) -> None:
    first = await again(workspace, SESSION, "turn-1", workspace.base)
    assert first is not None
    assert first.commit == workspace.base
    (workspace.path / "a.txt").write_text("changed")
    second = await snapshot(workspace, SESSION, run_plainly, "turn-2")
    assert await again(workspace, SESSION, "turn-3", first.commit) is None, "it is not the latest"
    third = await again(workspace, SESSION, "turn-3", second.commit)
    assert third is not None
    assert sh("git", "rev-parse", f"refs/sessions/{SESSION}/turn-3", cwd=workspace.results).strip() == second.commit
