"""A user's login, found in real files of a home of its own, and what of it a session gets."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from handrail.agents import Endpoint, Login
from handrail.agents.catalogue import get, launch
from handrail.agents.install import Installed
from handrail.agents.login import LARGEST, find
from handrail.errors import MissingPart

CLAUDE: dict[str, Any] = {
    "claudeAiOauth": {"accessToken": "sk-ant-oat01-x", "refreshToken": "sk-ant-ort01-x", "scopes": ["user:inference"]},
    "mcpOAuth": {"other": {"accessToken": "of-another-service"}},
}


def put(home: Path, name: str, content: object) -> Path:
    file = home / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_nobody_is_logged_in(tmp_path: Path) -> None:
    for agent in ("claude", "codex", "gemini", "handrail", "goose"):
        assert find(get(agent), {"HOME": str(tmp_path)}) is None
    assert find(get("claude"), {}) is None


def test_a_session_gets_less_than_the_user_has(tmp_path: Path) -> None:
    file = put(tmp_path, ".claude/.credentials.json", CLAUDE)
    found = find(get("claude"), {"HOME": str(tmp_path)})
    assert found is not None
    assert found.source == str(file)
    copy = json.loads(found.files[".claude/.credentials.json"])
    assert copy == {"claudeAiOauth": CLAUDE["claudeAiOauth"] | {"refreshToken": ""}}
    assert json.loads(file.read_text()) == CLAUDE
    assert "sk-ant" not in repr(found)


def test_codex_where_its_folder_was_moved(tmp_path: Path) -> None:
    put(tmp_path / "moved", "auth.json", {"tokens": {"access_token": "a", "refresh_token": "r", "account_id": "i"}})
    found = find(get("codex"), {"HOME": str(tmp_path), "CODEX_HOME": str(tmp_path / "moved")})
    assert found is not None
    assert json.loads(found.files[".codex/auth.json"])["tokens"] == {
        "access_token": "a",
        "refresh_token": "",
        "account_id": "i",
    }


def test_gemini_keeps_what_renews_its_hour(tmp_path: Path) -> None:
    held = {"access_token": "a", "refresh_token": "r"}
    put(tmp_path, ".gemini/oauth_creds.json", held)
    found = find(get("gemini"), {"HOME": str(tmp_path)})
    assert found is not None
    assert json.loads(found.files[".gemini/oauth_creds.json"]) == held


def test_a_variable_wins(tmp_path: Path) -> None:
    put(tmp_path, ".claude/.credentials.json", CLAUDE)
    found = find(get("claude"), {"HOME": str(tmp_path), "CLAUDE_CODE_OAUTH_TOKEN": "from-the-environment"})
    assert found == Login("CLAUDE_CODE_OAUTH_TOKEN", env={"CLAUDE_CODE_OAUTH_TOKEN": "from-the-environment"})


@pytest.mark.parametrize("content", [{}, {"mcpOAuth": {}}, {"claudeAiOauth": None}, [], "17"])
def test_a_file_without_a_login_is_none(tmp_path: Path, content: object) -> None:
    put(tmp_path, ".claude/.credentials.json", content)
    assert find(get("claude"), {"HOME": str(tmp_path)}) is None


def test_one_that_ended_says_what_to_do(tmp_path: Path) -> None:
    ended = {"claudeAiOauth": CLAUDE["claudeAiOauth"] | {"expiresAt": 1_700_000_000_000}}
    put(tmp_path, ".claude/.credentials.json", ended)
    with pytest.raises(MissingPart, match=re.escape("ended at 2023-11-14 22:13 UTC: run `claude` once")):
        find(get("claude"), {"HOME": str(tmp_path)})
    ended["claudeAiOauth"]["expiresAt"] = int((time.time() + 3600) * 1000)
    put(tmp_path, ".claude/.credentials.json", ended)
    assert find(get("claude"), {"HOME": str(tmp_path)}) is not None


@pytest.mark.parametrize(
    ("content", "word"), [("{", "damaged"), ("[" * 3, "damaged"), (" " * (LARGEST + 1), "above 1 MiB")]
)
def test_one_that_cannot_be_read(tmp_path: Path, content: str, word: str) -> None:
    put(tmp_path, ".codex/auth.json", content)
    with pytest.raises(MissingPart, match=word):
        find(get("codex"), {"HOME": str(tmp_path)})


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    put(tmp_path, ".codex/auth.json", "").write_bytes(b"\xff\xfe")
    with pytest.raises(MissingPart, match="damaged"):
        find(get("codex"), {"HOME": str(tmp_path)})


@pytest.mark.parametrize("agent", ["claude", "codex", "gemini"])
def test_an_agent_with_a_login_knows_no_gateway(agent: str) -> None:
    installed = Installed(prefix=Path("/p"), node=Path("/node"), python=None, read_only=(), version="1")
    login = Login("here", files={"secret.json": "{}"}, env={"SECRET": "s"})
    order = launch(get(agent), login, Path("/home"), installed)
    whole = " ".join([*order.argv, *order.env.values(), *order.files.values()])
    assert "{" + "url}" not in whole
    assert "127.0.0.1" not in whole
    assert order.files["secret.json"] == "{}"
    assert order.env["SECRET"] == "s"
    for variable in ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "GEMINI_API_KEY", "HANDRAIL_TOKEN"):
        assert variable not in order.env
    for name, content in order.files.items():
        if name.endswith("settings.json"):
            json.loads(content)
    named = launch(get(agent), Login("here", model="some-model"), Path("/home"), installed)
    assert "some-model" in " ".join([*named.env.values(), *named.files.values()])
    gateway = launch(get(agent), Endpoint("http://127.0.0.1:9", "t"), Path("/home"), installed)
    assert "127.0.0.1:9" in " ".join([*gateway.env.values(), *gateway.files.values()])
