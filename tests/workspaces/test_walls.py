"""The same inside real walls: bubblewrap, another user when root, `.git/config` and its like mounted read-only."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.sandbox import Box, Walls
from handrail.sandbox.backends import open_backend
from handrail.types import SandboxKind
from handrail.workspaces import ApplyMode, Repository, Workspace
from handrail.workspaces.apply import apply
from handrail.workspaces.changes import change
from handrail.workspaces.find import find
from handrail.workspaces.prepare import prepare
from handrail.workspaces.protect import verify
from handrail.workspaces.snapshots import restore, snapshot
from tests.workspaces.conftest import SESSION, tree_of

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


@pytest.fixture
async def walled(data: Path, repository: Repository) -> AsyncIterator[tuple[Workspace, Box]]:
    made = await prepare(data, repository, SESSION)
    home = data / "sessions" / SESSION / "home"
    home.mkdir()
    backend = open_backend(SandboxKind.BUBBLEWRAP)
    box = await backend.open(Walls(workspace=made.path, home=home, read_only=made.read_only, protected=made.protected))
    yield made, box
    await box.close()
    await backend.close()


async def agent(box: Box, command: str) -> str:
    done = await box.run(["/bin/sh", "-c", command], cwd=box.walls.workspace)
    return (done.stdout + done.stderr).decode()


async def test_the_whole_course(walled: tuple[Workspace, Box], checkout: Path) -> None:
    made, box = walled
    assert (await snapshot(made, SESSION, box.run, "turn-0")).commit == made.base
    said = await agent(
        box, "echo agent > a.txt; echo new > new.txt; git add -A && git commit -qm mine && git log --oneline"
    )
    assert "mine" in said
    taken = await snapshot(made, SESSION, box.run, "turn-1")
    assert taken.notice is None
    await verify(made)
    found = await change(made.results, made.base, taken.commit)
    assert {item.path for item in found.files} == {"a.txt", "new.txt"}
    await apply(made, await find(checkout), SESSION, head=taken.commit, mode=ApplyMode.UNCOMMITTED)
    assert (checkout / "new.txt").read_text() == "new\n"


@pytest.mark.parametrize(
    "disaster",
    [
        "git reset -q --hard v1; git clean -qfdx",
        "rm -rf . ./* .git",
        "mv .git .git2; mkdir .git; git init -q",
        "echo x > .git/commondir",
        "echo '[core]' >> .git/config; git config core.fsmonitor x; ln -sf /etc .git/hooks/x",
    ],
)
async def test_what_the_agent_destroys_comes_back(walled: tuple[Workspace, Box], disaster: str) -> None:
    made, box = walled
    await agent(box, "echo agent > a.txt; echo new > new.txt; mkdir -p d; echo d > d/d")
    taken = await snapshot(made, SESSION, box.run, "turn-1")
    expected = tree_of(made.path)
    await agent(box, disaster)
    await restore(made, SESSION, box.run, taken.commit)
    assert {name: text for name, text in tree_of(made.path).items() if not name.startswith(".git2/")} == expected
    await verify(made)
    assert "nothing" not in await agent(box, "git status --porcelain; echo more > more.txt; git add more.txt")
    assert (await snapshot(made, SESSION, box.run, "turn-2")).commit != taken.commit


async def test_the_protected_parts_cannot_be_written_and_other_sessions_are_not_seen(
    walled: tuple[Workspace, Box],
) -> None:
    made, box = walled
    said = await agent(
        box,
        "for f in config config.worktree hooks/x info/x objects/info/alternates; do echo x >> .git/$f; done;"
        f" ls {made.results} {made.repository} {made.mirror}; echo x > {made.mirror}/objects/x",
    )
    assert said.count("Read-only") >= 5 or said.count("ermission") >= 5, said
    await verify(made)
    assert not (made.mirror / "objects" / "x").exists()
    assert said.count("No such file") >= 2, said
