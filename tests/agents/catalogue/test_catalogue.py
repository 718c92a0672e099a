"""The catalogue itself, which is its package's `__init__`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from handrail.agents import Endpoint, PermissionOption
from handrail.agents.catalogue import ORDER, catalogue, get, launch
from handrail.agents.install import Installed
from handrail.agents.spec import AgentSpec, AskHow, Load
from handrail.errors import InvalidInput, NotFound

HOME = Path("/sessions/1/home")
PLACE = Installed(Path("/agents/x/1"), Path("/agents/node/bin/node"), Path("/usr/bin/python3"), (Path("/agents/x/1"),))
ENDPOINT = Endpoint("http://127.0.0.1:3129", "t0ken", "some/model-1")
OPTIONS = {
    "claude": [("allow-once", "allow_once"), ("allow-with-updates", "allow_always"), ("reject", "reject_once")],
    "codex": [("allow_once", "allow_once"), ("accept_execpolicy_amendment", "allow_always"), ("cancel", "reject_once")],
    "gemini": [("proceed_always", "allow_always"), ("proceed_once", "allow_once"), ("cancel", "reject_once")],
    "opencode": [("once", "allow_once"), ("always", "allow_always"), ("reject", "reject_once")],
    "qwen": [("proceed_always_user", "allow_always"), ("proceed_once", "allow_once"), ("cancel", "reject_once")],
    "goose": [("allow_always", "allow_always"), ("allow_once", "allow_once"), ("reject_once", "reject_once")],
    # `risk_based` calls itself allow_once and is a change of policy.
    "openhands": [("risk_based", "allow_once"), ("reject", "reject_once"), ("accept", "allow_once")],
}


@pytest.mark.parametrize("name", ORDER)
def test_every_built_in_agent_is_launched_quietly_with_everything_filled_in(name: str) -> None:
    spec = get(name)
    order = launch(spec, ENDPOINT, HOME, PLACE)
    everything = [*order.argv, *order.env.values(), *order.files.values()]
    for variable in ("{url}", "{token}", "{model}", "{home}", "{prefix}", "{node}", "{python}", "{arch}", "{wire}"):
        assert not [text for text in everything if variable in text]
    joined = " ".join(everything)
    assert "http://127.0.0.1:3129" in joined
    assert "t0ken" in joined
    assert "some/model-1" in joined
    assert order.read_only == PLACE.read_only
    for path, content in order.files.items():
        if path.endswith(".json"):
            json.loads(content)
        if path.endswith(".toml"):
            tomllib.loads(content)


@pytest.mark.parametrize("name", ORDER)
def test_without_a_model_the_settings_are_still_whole(name: str) -> None:
    order = launch(get(name), Endpoint("http://127.0.0.1:1", "t"), HOME, PLACE)
    for path, content in order.files.items():
        assert "{model}" not in content
        json.loads(content) if path.endswith(".json") else tomllib.loads(content)


@pytest.mark.parametrize(("name", "offered"), OPTIONS.items())
def test_choices_are_for_once_only(name: str, offered: list[tuple[str, str]]) -> None:
    options = tuple(PermissionOption(id=key, name=key, kind=kind) for key, kind in offered)
    kinds = dict(offered)
    allowed, rejected = get(name).choose(options, allow=True), get(name).choose(options, allow=False)
    assert allowed is not None
    assert rejected is not None
    assert (kinds[allowed], kinds[rejected]) == ("allow_once", "reject_once")
    assert allowed != "risk_based"


def test_an_agent_that_offers_no_single_yes_is_answered_cancelled() -> None:
    options = (PermissionOption("always", "Always", "allow_always"),)
    assert AgentSpec("x", "X", "MIT", "openai", ("x",)).choose(options, allow=True) is None


def test_every_third_party_agent_is_pinned_and_asks() -> None:
    for spec in catalogue().values():
        if spec.name == "handrail":
            continue
        assert spec.package is not None
        assert spec.ask.value is not None or spec.ask.how is AskHow.ENVIRONMENT
    assert get("gemini").resume.how is Load.NONE


@pytest.mark.parametrize("model", ["a b", 'x"y', "{token}", "", "-x", "a\nb", "x" * 300])
def test_a_model_name_cannot_break_out_of_the_settings(model: str) -> None:
    if model:
        with pytest.raises(InvalidInput, match="model"):
            launch(get("codex"), Endpoint("u", "t", model), HOME, PLACE)


def test_custom_agents_come_after_the_built_in_ones(tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "mine.toml").write_text('command = ["mine", "--acp"]\n[env]\nKEY = "{token}"\n')
    found = catalogue(tmp_path)
    assert list(found) == [*ORDER, "mine"]
    assert found["mine"].title == "mine"
    assert launch(found["mine"], ENDPOINT, HOME, PLACE).env == {"KEY": "t0ken"}
    assert catalogue(tmp_path / "nothing here").keys() == catalogue().keys()


@pytest.mark.parametrize("name", ["claude", "Mine", "a b", "-x"])
def test_names_of_custom_agents(tmp_path: Path, name: str) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / f"{name}.toml").write_text('command = ["x"]')
    with pytest.raises(InvalidInput, match=r"\.toml"):
        catalogue(tmp_path)


def test_unknown_agent_names_the_known_ones() -> None:
    with pytest.raises(NotFound, match="claude, codex"):
        get("clod")


@pytest.mark.parametrize("content", [b"not = [toml", b"\xff"])
def test_a_broken_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "mine.toml").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"mine\.toml.*valid TOML"):
        get("mine", tmp_path)
