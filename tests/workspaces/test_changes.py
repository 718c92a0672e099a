from __future__ import annotations

from pathlib import Path

import pytest

from handrail.errors import HandrailError
from handrail.workspaces import Change, FileChange, Workspace
from handrail.workspaces.changes import change
from handrail.workspaces.snapshots import snapshot
from tests.workspaces.conftest import SESSION, run_plainly, sh


async def read(workspace: Workspace, limit: int = 2 << 20) -> Change:
    taken = await snapshot(workspace, SESSION, run_plainly, "turn-1")
    return await change(workspace.results, workspace.base, taken.commit, limit=limit)


def by_path(found: Change) -> dict[str, FileChange]:
    return {item.path: item for item in found.files}


async def test_an_empty_change(workspace: Workspace) -> None:
    found = await read(workspace)
    assert (found.files, found.patch, found.truncated) == ((), "", False)


async def test_files_are_counted_by_kind(workspace: Workspace) -> None:
    place = workspace.path
    (place / "a.txt").write_text("one\n2\nthree\nfour\n")
    (place / "b.txt").unlink()
    (place / "src" / "main.py").rename(place / "src" / "renamed.py")
    (place / "new.bin").write_bytes(bytes(range(256)))
    (place / ".gitignore").chmod(0o755)
    found = await read(workspace)
    files = by_path(found)
    assert files["a.txt"] == FileChange("a.txt", "modified", 2, 1)
    assert files["b.txt"] == FileChange("b.txt", "deleted", 0, 1)
    assert files["src/renamed.py"] == FileChange("src/renamed.py", "renamed", 0, 0)
    assert files["new.bin"] == FileChange("new.bin", "added", 0, 0, binary=True)
    assert files[".gitignore"].status == "modified"
    assert "new mode 100755" in found.patch
    assert "+four" in found.patch


async def test_unusual_names_and_bytes(workspace: Workspace) -> None:
    for name in ("line\nbreak", "tab\there", "ünï", "\udcff", "-dash", "rtl\u202etxt"):
        (workspace.path / name).write_bytes(b"\xff\xfe latin\n")
    files = by_path(await read(workspace))
    assert len(files) == 6
    assert files["ünï"].flag is None
    assert files["-dash"].added == 1
    for name in ("line\nbreak", "tab\there", "rtl\u202etxt", "\ufffd"):
        assert "in its name" in str(files[name].flag)


async def test_files_that_configure_agents_and_tools_are_flagged(workspace: Workspace) -> None:
    place = workspace.path
    names = (
        "CLAUDE.md", "docs/AGENTS.md", "Agents.MD", ".mcp.json", ".claude/settings.json", "sub/.claude/hooks/x.sh",
        ".codex/config.toml", ".vscode/tasks.json", ".envrc", ".devcontainer/devcontainer.json", ".gitlab-ci.yml",
        ".github/workflows/ci.yml", ".husky/pre-commit", ".gitmodules", ".gitattributes", ".bashrc", ".npmrc",
    )  # fmt: skip
    plain = ("src/agents.py", "claude.py", "docs/workflows/ci.yml", "profile", "environment.md")
    for name in (*names, *plain):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("\n")
    files = by_path(await read(workspace))
    assert {name for name, item in files.items() if item.flag} == set(names)
    assert set(plain) < set(files)


async def test_links_that_lead_out_are_flagged(workspace: Workspace) -> None:
    place = workspace.path
    targets = {"abs": "/etc/passwd", "up": "../x", "src/up": "../../x", "git": ".git/config", "long": "a/" * 1500}
    for name, target in {**targets, "in": "a.txt", "src/in": "../a.txt", "same": "./src/../b.txt"}.items():
        (place / name).symlink_to(target)
    files = by_path(await read(workspace))
    assert {name for name, item in files.items() if item.flag} == {"abs", "up", "src/up", "git"}


async def test_a_pointer_to_another_repository_is_flagged(workspace: Workspace) -> None:
    sh("git", "update-index", "--add", "--cacheinfo", f"160000,{workspace.base},lib", cwd=workspace.path)
    tree = sh("git", "write-tree", cwd=workspace.path).strip()
    (workspace.path / "x").write_text("x")
    sh("git", "clone", "-q", "--bare", str(workspace.path), str(workspace.path.parent / "bare"), cwd=workspace.path)
    commit = sh("git", "commit-tree", tree, "-m", "x", cwd=workspace.path).strip()
    sh("git", "update-ref", "refs/heads/x", commit, cwd=workspace.path)
    sh("git", "fetch", "-q", str(workspace.path), "refs/heads/x", cwd=workspace.results)
    found = await change(workspace.results, workspace.base, commit)
    assert "inside the repository" in str(by_path(found)["lib"].flag)


async def test_no_program_runs_for_a_diff(workspace: Workspace, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (workspace.path / ".gitattributes").write_text("* diff=evil filter=evil\n")
    (workspace.path / "a.txt").write_text("x\n")
    for key in ("diff.evil.textconv", "diff.evil.command", "diff.external", "filter.evil.smudge"):
        sh("git", "config", "--global", key, f"touch {canary}; cat", cwd=tmp_path)
    found = await read(workspace)
    assert len(found.files) == 2
    assert not canary.exists()


async def test_a_long_patch_is_cut_at_a_line(workspace: Workspace) -> None:
    (workspace.path / "long.txt").write_text("0123456789\n" * 10_000)
    found = await read(workspace, limit=5000)
    assert found.truncated
    assert 4000 < len(found.patch) <= 5000
    assert found.patch.endswith("0123456789\n")
    assert by_path(found)["long.txt"].added == 10_000


async def test_an_unknown_commit_is_an_error(workspace: Workspace) -> None:
    with pytest.raises(HandrailError):
        await change(workspace.results, workspace.base, "0" * 40)
