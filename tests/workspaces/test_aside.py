"""Settings for agents in a ref that nobody vouches for: absent from the work tree, present in every diff."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from handrail.errors import SandboxError
from handrail.sandbox import Walls
from handrail.sandbox.backends import open_backend
from handrail.types import SandboxKind
from handrail.workspaces import Workspace
from handrail.workspaces.aside import MOST_NAMED, steers
from handrail.workspaces.changes import change
from handrail.workspaces.find import find
from handrail.workspaces.flags import STEERING, flag
from handrail.workspaces.prepare import prepare
from handrail.workspaces.protect import verify
from handrail.workspaces.snapshots import repair, restore, snapshot
from tests.workspaces.conftest import SESSION, run_plainly, sh, tree_of

BROUGHT = (
    ".claude/settings.json", ".env", ".github/copilot-instructions.md", ".mcp.json", "AGENTS.md", "Claude.MD",
    "src/.codex/config.toml", "src/AGENTS.md",
)  # fmt: skip
"""what somebody else's branch brings; `.cursor` is a link beside them"""


@pytest.fixture
async def foreign(data: Path, checkout: Path) -> Workspace:
    """A workspace of a ref that brings settings for agents, at its tip and before it."""
    for name in (*BROUGHT, "opencode.json"):
        file = checkout / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("theirs\n")
    (checkout / ".cursor").symlink_to("src")
    sh("git", "add", "-f", "-A", cwd=checkout)
    sh("git", "commit", "-qm", "brings settings", cwd=checkout)
    sh("git", "rm", "-q", "opencode.json", cwd=checkout)
    sh("git", "commit", "-qm", "one less", cwd=checkout)
    return await prepare(data, await find(checkout), SESSION, untrusted=True)


def test_every_name_that_steers_is_flagged_as_well() -> None:
    for pattern in STEERING:
        path = f"deep/er/{pattern.replace('*', 'x').upper()}"
        assert steers(path), path
        assert flag(path, "100644"), path
    assert not any(map(steers, ("src/agents.py", "docs/AGENTS.md.txt", "env", ".environment", "my.claude/x", ".npmrc")))


async def test_they_are_absent_and_named(foreign: Workspace) -> None:
    assert foreign.untrusted
    assert sorted(foreign.set_aside) == sorted((*BROUGHT, ".cursor"))
    assert set(tree_of(foreign.path)) == {".gitignore", "a.txt", "b.txt", "src/main.py"}
    assert sh("git", "status", "--porcelain", cwd=foreign.path) == ""
    sh("git", "checkout", "-q", "HEAD~1", cwd=foreign.path)
    assert not (foreign.path / "opencode.json").exists()
    sh("git", "checkout", "-q", "-", cwd=foreign.path)
    await verify(foreign)


async def test_a_session_that_trusts_its_ref_has_them(data: Path, foreign: Workspace) -> None:
    from_same = await prepare(data, await find(foreign.repository), type(SESSION)("s2"))
    assert (from_same.path / ".claude" / "settings.json").read_text() == "theirs\n"
    assert not from_same.set_aside


async def test_no_diff_says_that_they_went(foreign: Workspace) -> None:
    assert (await snapshot(foreign, SESSION, run_plainly, "turn-0")).commit == foreign.base
    (foreign.path / "a.txt").write_text("changed\n")
    sh("git", "commit", "-qam", "mine", cwd=foreign.path)
    taken = await snapshot(foreign, SESSION, run_plainly, "turn-1")
    found = await change(foreign.results, foreign.base, taken.commit)
    assert [item.path for item in found.files] == ["a.txt"]


async def test_what_the_agent_writes_in_their_place_is_its_change_and_flagged(foreign: Workspace) -> None:
    (foreign.path / "AGENTS.md").write_text("mine\n")
    (foreign.path / ".claude").mkdir()
    (foreign.path / ".claude" / "new.json").write_text("{}\n")
    taken = await snapshot(foreign, SESSION, run_plainly, "turn-1")
    assert taken.notice is None
    found = await change(foreign.results, foreign.base, taken.commit)
    assert {(item.path, item.status) for item in found.files} == {
        ("AGENTS.md", "modified"),
        (".claude/new.json", "added"),
    }
    assert all(item.flag for item in found.files)
    await restore(foreign, SESSION, run_plainly, foreign.base)
    assert set(tree_of(foreign.path)) == {".gitignore", "a.txt", "b.txt", "src/main.py"}
    assert (await snapshot(foreign, SESSION, run_plainly, "turn-2")).commit != taken.commit


async def test_they_stay_away_when_git_is_made_afresh(foreign: Workspace) -> None:
    shutil.rmtree(foreign.path / ".git")
    await repair(foreign, SESSION)
    await restore(foreign, SESSION, run_plainly, foreign.base)
    await verify(foreign)
    assert not (foreign.path / ".mcp.json").exists()
    assert sh("git", "status", "--porcelain", cwd=foreign.path) == ""


async def test_nothing_is_started_once_the_list_was_changed(foreign: Workspace) -> None:
    (foreign.path / ".git" / "info" / "sparse-checkout").write_text("/*\n")
    with pytest.raises(SandboxError, match="sparse-checkout"):
        await verify(foreign)


async def test_a_trusted_workspace_has_no_such_list(workspace: Workspace) -> None:
    (workspace.path / ".git" / "info" / "sparse-checkout").write_text("/*\n")
    with pytest.raises(SandboxError, match="sparse-checkout"):
        await verify(workspace)


async def test_of_very_many_the_first_are_named(data: Path, checkout: Path) -> None:
    (checkout / ".claude").mkdir()
    for number in range(MOST_NAMED + 5):
        (checkout / ".claude" / f"{number:03}.md").touch()
    sh("git", "add", "-A", cwd=checkout)
    sh("git", "commit", "-qm", "many", cwd=checkout)
    made = await prepare(data, await find(checkout), SESSION, untrusted=True)
    assert len(made.set_aside) == MOST_NAMED
    assert not (made.path / ".claude").exists()


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
async def test_inside_the_walls_only_an_explicit_act_brings_them_back(data: Path, foreign: Workspace) -> None:
    home = data / "sessions" / SESSION / "home"
    home.mkdir()
    backend = open_backend(SandboxKind.BUBBLEWRAP)
    box = await backend.open(
        Walls(workspace=foreign.path, home=home, read_only=foreign.read_only, protected=foreign.protected)
    )
    try:
        for command in ("git config core.sparseCheckout false", "git reset -q --hard", "git stash -q"):
            await box.run(["/bin/sh", "-c", command], cwd=foreign.path)
            assert not (foreign.path / ".mcp.json").exists(), command
        await verify(foreign)
        assert (await snapshot(foreign, SESSION, box.run, "turn-1")).commit == foreign.base
        # it is the agent that asks for them: brought back, they are no change, and the agent's next start reads them
        await box.run(["/bin/sh", "-c", "git sparse-checkout disable"], cwd=foreign.path)
        assert (foreign.path / ".mcp.json").exists()
        assert (await snapshot(foreign, SESSION, box.run, "turn-2")).commit == foreign.base
        await restore(foreign, SESSION, box.run, foreign.base)
        assert not (foreign.path / ".mcp.json").exists()
    finally:
        await box.close()
        await backend.close()
