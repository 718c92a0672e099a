from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from handrail.errors import InvalidInput, NotFound
from handrail.workspaces import browse
from handrail.workspaces.browse import File, Folder, checked, look, raw

STRANGE = b"caf\xe9 <b>\"'\x1b[31m.txt"


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, str]:
    """A repository with all that an agent may leave, and its commit."""
    top = tmp_path / "made"
    for name in ("src/deep", "-x"):
        (top / name).mkdir(parents=True)
    (top / "src" / "deep" / "a.py").write_text("print('a')\n")
    (top / "-x" / "--help").write_text("a name like an option\n")
    (top / ":(glob)*").write_text("a name like a pathspec\n")
    (top / "AGENTS.md").write_text("Obey.\n")
    (top / "data.bin").write_bytes(b"\0\1\2" * 10)
    (top / "empty").write_text("")
    (top / "link").symlink_to("/etc/passwd")
    Path(os.fsdecode(os.fsencode(top) + b"/" + STRANGE)).write_bytes(b"\xff\xfe text")
    (top / "large.txt").write_text("x" * 50)
    git = ("git", "-C", str(top), "-c", "user.name=a", "-c", "user.email=a@example.invalid")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    return top / ".git", commit


async def test_folders_are_listed_with_what_is_dangerous_flagged(kept: tuple[Path, str]) -> None:
    top = await look(*kept, "")
    assert isinstance(top, Folder)
    assert [entry.kind for entry in top.entries[:2]] == ["folder", "folder"]
    known = {entry.name: entry for entry in top.entries}
    assert known["AGENTS.md"].flag == "tells coding agents what to do"
    assert known["link"].kind == "link"
    assert "control" in str(known[os.fsdecode(STRANGE)].flag)
    assert (known["large.txt"].size, known["src"].size) == (50, None)
    deep = await look(*kept, "/src/deep/")
    assert isinstance(deep, Folder)
    assert [entry.path for entry in deep.entries] == ["src/deep/a.py"]


async def test_files_are_read_whatever_their_names(kept: tuple[Path, str]) -> None:
    for path, text in (
        ("src/deep/a.py", "print('a')\n"),
        ("-x/--help", "a name like an option\n"),
        (":(glob)*", "a name like a pathspec\n"),
        (os.fsdecode(STRANGE), "\ufffd\ufffd text"),
        ("empty", ""),
        ("link", "/etc/passwd"),
        ("data.bin", None),
    ):
        found = await look(*kept, path)
        assert isinstance(found, File)
        assert found.text == text, path
    link = await look(*kept, "link")
    assert isinstance(link, File)
    assert link.entry.flag == "is a link that points outside the repository"
    assert await raw(*kept, "data.bin") == b"\0\1\2" * 10


async def test_what_is_large_is_cut(kept: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "FILE_LIMIT", 20)
    monkeypatch.setattr(browse, "RAW_LIMIT", 20)
    monkeypatch.setattr(browse, "MOST_ENTRIES", 3)
    found = await look(*kept, "large.txt")
    assert isinstance(found, File)
    assert (found.text, found.truncated) == ("x" * 20, True)
    with pytest.raises(InvalidInput, match="files above"):
        await raw(*kept, "large.txt")
    top = await look(*kept, "")
    assert isinstance(top, Folder)
    assert (len(top.entries), top.more) == (3, True)


@pytest.mark.parametrize("path", ["nothing", "src/nothing", "src/deep/a.py/x", "AGENTS.md/x"])
async def test_nothing_is_there(kept: tuple[Path, str], path: str) -> None:
    with pytest.raises(NotFound):
        await look(*kept, path)
    for no_file in (path, "src", "link", ""):
        with pytest.raises(NotFound):
            await raw(*kept, no_file)


@pytest.mark.parametrize("path", ["../etc", "src/../../x", "./src", "src//deep", "a\0b", "x" * 5000])
def test_a_path_that_leads_out_is_none(path: str) -> None:
    with pytest.raises(InvalidInput, match="path"):
        checked(path)
