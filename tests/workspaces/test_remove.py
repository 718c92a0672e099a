from __future__ import annotations

import os
from pathlib import Path

import pytest

from handrail.errors import InvalidInput
from handrail.types import SessionId
from handrail.workspaces import Workspace
from handrail.workspaces.remove import disk, remove
from tests.workspaces.conftest import SESSION, sh, tree_of


async def test_a_hostile_tree_goes_and_nothing_else_does(data: Path, workspace: Workspace, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("precious")
    place = workspace.path
    (place / "out").symlink_to(outside)
    (place / "up").symlink_to("../../..")
    os.link(outside / "precious.txt", place / "hard")
    (place / "closed" / "inner").mkdir(parents=True)
    (place / "closed" / "inner" / "x").write_text("x")
    for name in ("closed/inner", "closed"):
        (place / name).chmod(0)
    os.mkfifo(place / "fifo")
    (place / "trash").mkdir()
    at = os.open(place, os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("deep" * 20, dir_fd=at)
        below = os.open("deep" * 20, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    before = tree_of(outside)
    await remove(data, SESSION)
    assert not (data / "sessions" / SESSION).exists()
    assert tree_of(outside) == before
    assert workspace.mirror.exists()
    assert workspace.results.exists()
    await remove(data, SESSION)


async def test_a_removal_that_was_broken_off_is_finished(data: Path, workspace: Workspace) -> None:
    trash = data / "sessions" / SESSION / "trash"
    for name in ("7", "8/9", "other"):
        (trash / name).mkdir(parents=True)
        (trash / name / "file").write_text("x")
    workspace.path.chmod(0)
    await remove(data, SESSION)
    assert not trash.parent.exists()


async def test_a_link_in_place_of_a_session_is_not_followed(data: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (data / "sessions").mkdir()
    (data / "sessions" / "s9").symlink_to(precious)
    await remove(data, SessionId("s9"))
    assert precious.exists()
    with pytest.raises(InvalidInput):
        await remove(data, SessionId("../.."))


async def test_disk_counts_blocks_and_follows_no_link(data: Path, workspace: Workspace) -> None:
    before = await disk(data, SESSION)
    (workspace.path / "big").write_bytes(b"x" * (1 << 20))
    os.link(workspace.path / "big", workspace.path / "again")
    (workspace.path / "out").symlink_to("/usr")
    with (workspace.path / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)
    assert (1 << 20) <= await disk(data, SESSION) - before < (1 << 20) + (1 << 16)
    du = int(sh("du", "-s", "--block-size=1", str(data / "sessions" / SESSION), cwd=data).split()[0])
    assert abs(du - await disk(data, SESSION)) <= 8192
    assert await disk(data, SessionId("none")) == 0
