from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handrail.agents.own.cancel import Cancel
from handrail.agents.own.tools import ToolFault, Workbench, perform
from handrail.agents.own.wires import Call, arguments


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path, {"PATH": os.environ["PATH"], "HANDRAIL_TOKEN": "secret", "HOME": "/home/x"}, 4000)


class Begun:
    """What a tool says that it is about to do; `meanwhile` happens then."""

    def __init__(self, meanwhile: Callable[[], object] = bool) -> None:
        self.cancel, self.ends, self.title, self.card, self._meanwhile = (
            Cancel(),
            False,
            "",
            dict[str, Any](),
            meanwhile,
        )

    def begin(self, title: str, kind: str, *, asks: bool = False, **card: Any) -> None:
        self.title, self.card = title, {"kind": kind, "asks": asks, **card}
        self._meanwhile()

    def progress(self, output: str) -> None:
        pass


def do(bench: Workbench, name: str, step: Begun | None = None, **args: Any) -> str:
    return perform(bench.tools, Call("1", name, args=args), step or Begun())


def test_read_in_parts(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("".join(f"line {n}\n" for n in range(1, 1001)))
    assert do(bench, "read", path="f", first=3, last=4).startswith("     3\tline 3\n     4\tline 4\n")
    whole = do(bench, "read", path="f")
    assert len(whole) < 4200
    assert "characters left out: read in parts" in whole
    assert do(bench, "read", path="f", first=1000) == "  1000\tline 1000\n"
    assert do(bench, "read", path="f", first=1001) == "(nothing there)"
    assert do(bench, "read", path=".") == "f"
    (tmp_path / "bin").write_bytes(b"\0\1")
    with pytest.raises(ToolFault, match="binary file of 2 bytes"):
        do(bench, "read", path="bin")


def test_edit_needs_text_that_occurs_once(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\n  b\na\n")
    with pytest.raises(ToolFault, match="occurs 2 times"):
        do(bench, "edit", path="f", old="a", new="c")
    with pytest.raises(
        ToolFault, match="does not occur: read the file again; its first line, but for spaces, is line 2"
    ):
        do(bench, "edit", path="f", old="b\nc", new="d")
    for old, new, why in (("", "x", "empty"), ("b", "b", "the same")):
        with pytest.raises(ToolFault, match=why):
            do(bench, "edit", path="f", old=old, new=new)

    step = Begun(lambda: seen.append((tmp_path / "f").read_text()))
    seen: list[str] = []
    assert do(bench, "edit", step, path="f", old="b", new="x") == "edited f at line 2"
    assert (step.title, step.card["asks"], seen) == ("Edit f", True, ["a\n  b\na\n"])
    assert (tmp_path / "f").read_text() == "a\n  x\na\n"


def test_edit_keeps_bytes_line_ends_mode_and_links(bench: Workbench, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"\xff\r\none\r\ntwo\r\n")
    file.chmod(0o755)
    (tmp_path / "link").symlink_to("f")
    step = Begun()
    do(bench, "edit", step, path="link", old="one\ntwo", new="1\n2")
    assert step.card["content"][0]["newText"] == "\ufffd\r\n1\r\n2\r\n"
    assert file.read_bytes() == b"\xff\r\n1\r\n2\r\n"
    assert file.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "link"]


@pytest.mark.parametrize("repository", [False, True])
def test_search(bench: Workbench, tmp_path: Path, repository: bool) -> None:
    if repository:
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
        (tmp_path / ".gitignore").write_text("ignored\n")
        (tmp_path / "ignored").write_text("find me")
    for name in ("a.py", "b.txt", "sub/c.py", ".git/d.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"one\nfind me 1\n\xff find me 2\n")
    (tmp_path / "bin").write_bytes(b"\0find me")
    (tmp_path / "re.py").write_text("raise SystemExit('the workspace must not run in our own programs')")
    assert do(bench, "search", pattern=r"find\sme", glob="*.py").splitlines() == [
        "a.py:2:find me 1",
        "a.py:3:\ufffd find me 2",
        "sub/c.py:2:find me 1",
        "sub/c.py:3:\ufffd find me 2",
    ]
    assert do(bench, "search", pattern="", glob="*.py").splitlines() == ["a.py", "re.py", "sub/c.py"]
    assert do(bench, "search", pattern="find", path="b.txt").startswith("b.txt:2:")
    assert do(bench, "search", pattern="find", path="sub").startswith("sub/c.py:2:")
    assert do(bench, "search", pattern="", glob="sub/*") == "sub/c.py\n"
    assert do(bench, "search", pattern="nowhere") == "nothing found"
    with pytest.raises(ToolFault, match=r"(?i)regular expression|regex"):
        do(bench, "search", pattern="(")
    (tmp_path / "many").write_text("find\n" * 5000)
    much = do(bench, "search", pattern="find")
    assert much.endswith("[there is more: narrow the search]")
    assert len(much) < 5000


def test_tools_do_not_get_our_secrets(bench: Workbench) -> None:
    with pytest.raises(ToolFault, match=r"^0\n\[exit status 1]$"):
        do(bench, "shell", command="env | grep -c HANDRAIL")
    bench.bash.close()


def test_bad_arguments_are_explained() -> None:
    assert arguments('{"a": 1}') == ({"a": 1}, None)
    assert arguments("") == ({}, None)
    assert arguments('{"a": "\\ud800"}') == ({"a": "\ufffd"}, None)
    assert arguments('{"a": "\\ud83d\\ude00"}') == ({"a": "\U0001f600"}, None)
    assert arguments('{"a": "\ud83d\ude00\ud800"}') == ({"a": "\U0001f600\ufffd"}, None)
    for raw, why in (('{"a": ', "not JSON"), ("[1]", "no JSON object")):
        args, fault = arguments(raw)
        assert args == {}
        assert fault is not None
        assert why in fault
