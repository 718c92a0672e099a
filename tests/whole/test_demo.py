"""Which model `make demo` takes: that of a key in the environment, at the address that stands there."""

from __future__ import annotations

from pathlib import Path

import pytest
from demo.__main__ import choose_model

from tests.fake_provider import prompt
from tests.real_agents.fetch import CACHE
from tests.whole.conftest import Build
from tests.whole.house import Model

LOGIN = """{"claudeAiOauth": {"accessToken": "sk-ant-oat01-a", "refreshToken": "sk-ant-ort01-r",
"expiresAt": 4000000000000, "scopes": ["user:inference"], "subscriptionType": "max"}}"""
STEPS = [{"shell": "sed -i s/Hallo/Hello/ greet.py"}, {"text": "done"}]


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("key", "url"), [("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"), ("GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL")]
)
def test_a_model_key_is_used_instead_of_the_script(build: Build, model: Model, key: str, url: str) -> None:
    house = build(env={"ANTHROPIC_API_KEY": "", key: "good", url: model.fake.url})
    with choose_model([], house.environment) as (said, options):
        assert key in said
        house.run("do", prompt(STEPS), "--check", "sh check.sh", *options)
    assert len(model.fake.model_calls) == len(STEPS)
    assert all("good" in call.headers.values() for call in model.fake.model_calls)


@pytest.mark.agents
def test_a_login_is_used_where_there_is_no_key(build: Build, tmp_path: Path) -> None:
    kept = tmp_path / "home" / ".claude" / ".credentials.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(LOGIN)
    kept.chmod(0o600)
    env = {"ANTHROPIC_API_KEY": "", "HOME": str(tmp_path / "home"), "HANDRAIL_AGENTS_DIR": str(CACHE)}
    house = build(env=env)
    with choose_model([house.python, "-m", "handrail.cli"], house.environment) as (said, options):
        assert str(kept.parent) in said
        assert options == ["--agent", "claude", "--login"]
