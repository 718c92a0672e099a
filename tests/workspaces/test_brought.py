"""What an agent was talked into bringing back from a ref that is not trusted, and what it wrote itself."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from handrail.workspaces import Workspace
from handrail.workspaces.brought import take_out
from handrail.workspaces.changes import change
from handrail.workspaces.snapshots import snapshot
from tests.workspaces.conftest import SESSION, run_plainly, sh
from tests.workspaces.test_aside import foreign

__all__ = ["foreign"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "private-home"
    folder.mkdir()
    return folder


async def test_nothing_is_taken_where_nothing_came_back(foreign: Workspace, home: Path) -> None:
    (foreign.path / "AGENTS.md").write_text("mine\n")
    (home / ".claude").mkdir()
    (home / ".claude" / "settings.json").write_text("{}")
    assert await take_out(foreign, run_plainly, home) == ()
    assert (foreign.path / "AGENTS.md").read_text() == "mine\n"


async def test_what_the_repository_holds_goes_wherever_it_was_put(foreign: Workspace, home: Path) -> None:
    tree = foreign.path
    sh("sh", "-c", "git archive HEAD~1 | tar x", cwd=tree)
    sh("git", "update-index", "--no-skip-worktree", "AGENTS.md", ".mcp.json", cwd=tree)
    sh("git", "add", "-f", "--sparse", "opencode.json", cwd=tree)
    assert (tree / "AGENTS.md").exists()
    assert (tree / "opencode.json").exists(), "one that the tip does not have"
    assert await _changes(foreign, "turn-1") == ["opencode.json"]
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "er" / "claude.md").write_text("theirs\r\n")  # as a filter of line ends would have it
    (tree / "GEMINI.md").symlink_to("AGENTS.md")
    (tree / ".goosehints").symlink_to(home / "elsewhere")
    (tree / ".qwen").symlink_to("src")
    (home / ".claude").mkdir()
    (home / ".claude" / "CLAUDE.md").write_text("theirs\n")
    (tree / "deep").chmod(0o755)
    (tree / "deep" / "er").chmod(0o500)
    gone = await take_out(foreign, run_plainly, home)
    assert {".claude/CLAUDE.md", "AGENTS.md", "opencode.json", "deep/er/claude.md", "GEMINI.md", ".qwen"} <= set(gone)
    left = [str(path) for root in (tree, home) for path in root.rglob("*") if "theirs" in _text(path)]
    assert [path for path in left if "/.git/" not in path] == []
    assert not any((tree / name).is_symlink() for name in ("GEMINI.md", ".goosehints", ".qwen", ".cursor"))
    assert (tree / "src" / "main.py").exists(), "where a link led is left alone"
    assert await _changes(foreign, "turn-2") == []
    assert " D " not in sh("git", "status", "--porcelain", cwd=tree), "nor does the agent's git take it for deleted"


async def test_what_it_wrote_itself_stays(foreign: Workspace, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = foreign.path
    (tree / "AGENTS.md").write_text("theirs, and a line of mine\n")
    (tree / "CLAUDE.md").symlink_to("AGENTS.md")
    (tree / ".aider.empty").touch()
    os.mkfifo(tree / ".env")
    with socket.socket(socket.AF_UNIX) as listening:
        (tree / ".idea").mkdir()
        monkeypatch.chdir(tree / ".idea")  # a long path is no address
        listening.bind("s")
    assert await take_out(foreign, run_plainly, home) == ()
    assert {"AGENTS.md", "CLAUDE.md", ".aider.empty"} <= set(await _changes(foreign, "turn-1"))


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.is_file() else ""


async def _changes(workspace: Workspace, label: str) -> list[str]:
    taken = await snapshot(workspace, SESSION, run_plainly, label)
    return [item.path for item in (await change(workspace.results, workspace.base, taken.commit)).files]
