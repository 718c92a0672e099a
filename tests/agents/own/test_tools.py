from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from handrail.agents.own.cancel import Cancel
from handrail.agents.own.messages import Call, arguments
from handrail.agents.own.tools import Act, Outcome, ToolFault, Workbench
from handrail.agents.own.tools import prepare as prepared


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path, {"PATH": os.environ["PATH"], "HANDRAIL_TOKEN": "secret", "HOME": "/home/x"}, 4000)


def prepare(bench: Workbench, name: str, **args: Any) -> Act:
    return prepared(bench.tools, Call(1, "1", name, args))


def do(bench: Workbench, name: str, **args: Any) -> Outcome:
    return prepare(bench, name, **args).run(Cancel(), lambda _: None)


def test_read_in_parts(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("".join(f"line {n}\n" for n in range(1, 1001)))
    assert do(bench, "read", path="f", first=3, last=4).text.startswith("     3\tline 3\n     4\tline 4\n")
    whole = do(bench, "read", path="f").text
    assert len(whole) < 4200
    assert "of 1000; read on with first=" in whole
    assert do(bench, "read", path="f", first=1000).text == "  1000\tline 1000\n"
    assert do(bench, "read", path="f", first=1001).text == "(nothing there)"
    assert do(bench, "read", path=".").text == "f"
    (tmp_path / "bin").write_bytes(b"\0\1")
    with pytest.raises(ToolFault, match="binary file of 2 bytes"):
        do(bench, "read", path="bin")


def test_edit_needs_text_that_occurs_once(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\n  b\na\n")
    with pytest.raises(ToolFault, match=r"occurs 2 times \(first at lines 1, 3\)"):
        prepare(bench, "edit", path="f", old="a", new="c")
    with pytest.raises(
        ToolFault, match="does not occur: read the file again; its first line, but for spaces, is line 2"
    ):
        prepare(bench, "edit", path="f", old="b\nc", new="d")
    for old, new, why in (("", "x", "empty"), ("b", "b", "the same")):
        with pytest.raises(ToolFault, match=why):
            prepare(bench, "edit", path="f", old=old, new=new)
    act = prepare(bench, "edit", path="f", old="b", new="x")
    assert (tmp_path / "f").read_text() == "a\n  b\na\n"
    assert act.run(Cancel(), lambda _: None).text == "edited f at line 2"
    assert (tmp_path / "f").read_text() == "a\n  x\na\n"


def test_edit_keeps_bytes_line_ends_mode_and_links(bench: Workbench, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"\xff\r\none\r\ntwo\r\n")
    file.chmod(0o755)
    (tmp_path / "link").symlink_to("f")
    act = prepare(bench, "edit", path="link", old="one\ntwo", new="1\n2")
    assert act.card(Call(1, "1", "edit", {}))["content"][0]["newText"] == "\ufffd\r\n1\r\n2\r\n"
    act.run(Cancel(), lambda _: None)
    assert file.read_bytes() == b"\xff\r\n1\r\n2\r\n"
    assert file.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "link"]


def test_a_large_file_shows_only_what_changes(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x" * 300_000 + "old")
    act = prepare(bench, "edit", path="f", old="old", new="new")
    assert act.diff == ("old", "new")


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
    assert do(bench, "search", pattern=r"find\sme", glob="*.py").text.splitlines() == [
        "a.py:2:find me 1",
        "a.py:3:\ufffd find me 2",
        "sub/c.py:2:find me 1",
        "sub/c.py:3:\ufffd find me 2",
    ]
    assert do(bench, "search", pattern="", glob="*.py").text.splitlines() == ["a.py", "re.py", "sub/c.py"]
    assert do(bench, "search", pattern="find", path="b.txt").text.startswith("b.txt:2:")
    assert do(bench, "search", pattern="find", path="sub").text.startswith("sub/c.py:2:")
    assert do(bench, "search", pattern="", glob="sub/*").text == "sub/c.py\n"
    assert do(bench, "search", pattern="nowhere").text == "nothing found"
    with pytest.raises(ToolFault, match=r"(?i)regular expression|regex"):
        do(bench, "search", pattern="(")
    (tmp_path / "many").write_text("find\n" * 5000)
    much = do(bench, "search", pattern="find").text
    assert much.endswith("[there is more: narrow the search]")
    assert len(much) < 5000


def test_tools_do_not_get_our_secrets(bench: Workbench) -> None:
    assert do(bench, "shell", command="env | grep -c HANDRAIL").text == "0\n[exit status 1]"
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
