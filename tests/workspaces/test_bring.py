from __future__ import annotations

from pathlib import Path

import pytest

from handrail.workspaces.bring import bring
from handrail.workspaces.push import Refused
from tests.workspaces.conftest import sh


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """A repository of a forge, with two commits."""
    place = tmp_path / "far"
    place.mkdir()
    sh("git", "init", "-q", "-b", "main", cwd=place)
    for name in ("first", "second"):
        sh("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", name, cwd=place)
    return place


async def test_a_branch_a_past_commit_and_what_is_not_there(far: Path, tmp_path: Path) -> None:
    first, second = sh("git", "rev-parse", "main^", "main", cwd=far).split()
    place = tmp_path / "checkout"
    assert await bring(place, str(far), {}, (first,)) == first
    assert await bring(place, str(far), {}, ("main",)) == second
    assert await bring(place, str(far), {}, ()) == second
    assert sh("git", "rev-parse", "HEAD", cwd=place).strip() == second
    assert isinstance(await bring(place, str(far), {}, ("0" * 40,)), Refused)
    assert isinstance(await bring(place, str(far), {}, ("nowhere",)), Refused)
    far.rename(tmp_path / "gone")
    assert await bring(place, str(far), {}, (first,)) == first, "a commit is fetched once"
