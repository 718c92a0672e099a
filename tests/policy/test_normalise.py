"""The permission requests of each agent, as their transcripts show them (field notes on agents, section 3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.policy import Action, Request
from handrail.policy.decide import decide_all
from handrail.policy.normalise import normalise
from tests.policy.conftest import WORKSPACE, policy


def told(kind: str | None, given_: dict[str, object] | None, *paths: str, title: str = "T") -> list[tuple[str, str]]:
    found = normalise(kind, title, given_, workspace=WORKSPACE, paths=paths)
    return [(request.action.value, request.target) for request in found]


@pytest.mark.parametrize(
    ("kind", "given_", "expected"),
    [
        # Claude Code
        ("execute", {"command": "npm test", "description": "Run tests", "timeout": 5}, [("shell", "npm test")]),
        ("edit", {"file_path": "/work/project/a.py", "content": "x"}, [("write", "/work/project/a.py")]),
        ("edit", {"file_path": "a.py", "old_string": "x", "new_string": "y"}, [("write", "a.py")]),
        ("read", {"file_path": "a.py"}, [("read", "a.py")]),
        ("search", {"pattern": "x", "path": "src"}, [("read", "src")]),
        ("search", {"pattern": "/etc/*"}, [("read", "/etc")]),
        ("fetch", {"url": "https://example.com/x?y", "prompt": "z"}, [("network", "example.com:443")]),
        ("think", {"description": "x"}, [("read", ".")]),
        ("edit", {"notebook_path": "a.ipynb", "new_source": "x"}, [("write", "a.ipynb")]),
        # Codex
        ("execute", {"command": ["bash", "-lc", "git push"], "cwd": "/work/project"}, [("shell", "bash -lc git push")]),
        ("execute", {"cmd": "ls", "workdir": "/w"}, [("shell", "ls")]),
        (
            "edit",
            {"changes": {"a.py": {"type": "add"}, "b.py": {"type": "delete"}}},
            [("write", "a.py"), ("write", "b.py")],
        ),
        # Gemini CLI, Qwen
        ("execute", {"command": "ls", "directory": "src"}, [("shell", "ls")]),
        ("edit", {"file_path": "a", "content": "b"}, [("write", "a")]),
        (
            "fetch",
            {"urls": ["http://a.com", "https://b.com:8443/"]},
            [("network", "a.com:80"), ("network", "b.com:8443")],
        ),
        # opencode
        ("edit", {"filePath": "a.py", "oldString": "x", "newString": "y"}, [("write", "a.py")]),
        ("execute", {"command": "make", "description": "x"}, [("shell", "make")]),
        # goose, OpenHands: editors that name what they do
        ("edit", {"command": "str_replace", "path": "a.py", "old_str": "x"}, [("write", "a.py")]),
        ("other", {"command": "view", "path": "a.py"}, [("read", "a.py")]),
        (None, {"command": "create", "path": "a.py", "file_text": "x"}, [("write", "a.py")]),
        (None, {"command": "rm -rf /", "path": "a.py"}, [("shell", "rm -rf /")]),
        # words and arguments apart
        ("execute", {"command": "git", "args": ["push", "origin"]}, [("shell", "git push origin")]),
        ("execute", {"commands": ["a", "b; c"]}, [("shell", "a"), ("shell", "b; c")]),
        ("move", {"source": "a", "destination": "../b"}, [("write", "a"), ("write", "../b")]),
        ("delete", {"path": "a"}, [("write", "a")]),
        # what a kind says is not believed where the input says more
        ("read", {"command": "git push"}, [("shell", "git push")]),
        ("think", {"url": "https://a.com"}, [("network", "a.com:443")]),
        ("read", {"path": "a", "content": "x"}, [("write", "a")]),
        # what is not known
        ("execute", {"code": "1+1"}, [("other", "T")]),
        ("execute", None, [("other", "T")]),
        (None, None, [("other", "T")]),
        ("other", {"x": 1}, [("other", "T")]),
        ("edit", {}, [("other", "T")]),
        ("execute", {"command": [1, 2]}, [("other", "a command of an unknown shape"), ("other", "T")]),
        (None, {"path": "a"}, [("write", "a")]),
        ("fetch", {"url": "https://user@evil.com"}, [("network", "https://user@evil.com")]),
        ("fetch", {"url": "https://[::1]/"}, [("network", "[::1]:443")]),
        ("fetch", {"url": "https://a.com:x/"}, [("network", "https://a.com:x/")]),
    ],
)
def test_requests_of_agents(
    kind: str | None, given_: dict[str, object] | None, expected: list[tuple[str, str]]
) -> None:
    assert told(kind, given_) == expected


def test_words_and_folder_are_kept() -> None:
    (found,) = normalise("execute", "x", {"command": ["bash", "-lc", "a b"], "cwd": "/w/src"}, workspace=WORKSPACE)
    assert found == Request(Action.SHELL, "bash -lc a b", ("bash", "-lc", "a b"), WORKSPACE, "/w/src")


def test_diffs_are_writes() -> None:
    assert told("edit", None, "a.py", ".github/x") == [("write", "a.py"), ("write", ".github/x")]
    assert told("execute", {"command": "patch"}, "a.py") == [("shell", "patch"), ("write", "a.py")]


def test_a_command_in_a_directory_writes_there() -> None:
    given_ = policy('shell: {allow: ["make *"]}\nfiles: {allow: ["src/**"], deny: [".github/**"]}')
    asked = normalise("execute", "x", {"command": "make > x", "cwd": ".github"}, workspace=WORKSPACE)
    assert decide_all(given_, asked).verdict.value == "deny"
    asked = normalise("execute", "x", {"command": "make > x", "cwd": f"{WORKSPACE}/src"}, workspace=WORKSPACE)
    assert decide_all(given_, asked).verdict.value == "allow"


_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=30)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    ["command", "cmd", "path", "file_path", "url", "urls", "changes", "args", "cwd", "content", "x"]
)


@given(st.sampled_from(["read", "edit", "execute", "fetch", None, "?"]), st.dictionaries(_KEYS, _VALUES, max_size=5))
def test_no_input_breaks_it_and_none_is_answered_by_silence(kind: str | None, given_: dict[str, object]) -> None:
    found = normalise(kind, "T", given_, workspace=WORKSPACE)
    assert found
    decide_all(policy('shell: {deny: ["git push *"]}'), found)
