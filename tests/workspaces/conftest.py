"""Real git everywhere; `RunInside` is a plain subprocess here, so an agent's tree is as free as it can be."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from handrail.types import Completed, SessionId
from handrail.workspaces import Repository, Workspace
from handrail.workspaces.find import find
from handrail.workspaces.prepare import prepare

SESSION = SessionId("s1")


def sh(*argv: str, cwd: Path, check: bool = True) -> str:
    """Run a command as a user would, and give its output."""
    done = subprocess.run(argv, cwd=cwd, capture_output=True, check=False)
    assert not check or done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout.decode("utf-8", "surrogateescape")


async def run_plainly(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    limit: int = 1 << 20,
    timeout: float = 60.0,
) -> Completed:
    """A `RunInside` without walls."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(timeout):
        out, err = await process.communicate(stdin)
    return Completed(process.returncode or 0, out[:limit], err[:limit], truncated=len(out) > limit)


def print_of(place: Path) -> str:
    """A fingerprint of every byte, name and mode under a directory."""
    digest = hashlib.sha256()
    for directory, names, files in os.walk(place):
        names.sort()
        for name in sorted([*files, *names]):
            path = Path(directory) / name
            digest.update(f"{path} {path.lstat().st_mode:o} ".encode("utf-8", "surrogateescape"))
            if path.is_symlink():
                digest.update(os.fsencode(path.readlink()))
            elif path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()


def tree_of(place: Path) -> dict[str, bytes]:
    """The files of a work tree by name, without `.git`."""
    return {
        os.fsdecode(os.fsencode(path.relative_to(place))): os.fsencode(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in place.rglob("*")
        if (path.is_symlink() or path.is_file()) and ".git" not in path.relative_to(place).parts
    }


@pytest.fixture(autouse=True)
def private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A HOME of the test's own, with the identity a user has."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = Alice\nemail = alice@example.org\n[init]\ndefaultBranch = main\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    place = tmp_path / "data"
    place.mkdir()
    return place


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A user's repository: two commits, a tag, a branch, a stash, ignored names."""
    place = tmp_path / "project"
    place.mkdir()
    sh("git", "init", "-q", cwd=place)
    (place / ".gitignore").write_text("*.log\nbuild/\n")
    (place / "a.txt").write_text("one\ntwo\nthree\n")
    (place / "src").mkdir()
    (place / "src" / "main.py").write_text("print('hello')\n")
    sh("git", "add", "-A", cwd=place)
    sh("git", "commit", "-qm", "first", cwd=place)
    sh("git", "tag", "v1", cwd=place)
    sh("git", "branch", "other", cwd=place)
    (place / "a.txt").write_text("secret of the stash\n")
    sh("git", "stash", "-q", cwd=place)
    (place / "b.txt").write_text("b\n")
    sh("git", "add", "-A", cwd=place)
    sh("git", "commit", "-qm", "second", cwd=place)
    return place


def make_dirty(checkout: Path) -> None:
    (checkout / "a.txt").write_text("one\nTWO at home\nthree\n")
    (checkout / "staged.txt").write_text("staged\n")
    sh("git", "add", "staged.txt", cwd=checkout)
    (checkout / "untracked.txt").write_text("untracked\n")
    (checkout / "noise.log").write_text("ignored\n")
    (checkout / "b.txt").unlink()


@pytest.fixture
async def repository(checkout: Path) -> Repository:
    return await find(checkout)


@pytest.fixture
async def workspace(data: Path, repository: Repository) -> Workspace:
    return await prepare(data, repository, SESSION)
