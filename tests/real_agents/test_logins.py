"""Real agents with a copy of a login: they take it as it is, send it to their vendor alone, and the copy goes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from handrail.agents import catalogue
from handrail.egress.addresses import Guard
from handrail.egress.proxy import Egress
from handrail.kinds import Kind
from handrail.types import Check, Goal, Outcome
from tests.egress.lab import LOOPBACK
from tests.fake_provider import FakeProvider, prompt
from tests.real_agents.test_sessions import told
from tests.sessions.conftest import Open, fake, open_house, repository

__all__ = ["fake", "open_house", "repository"]

pytestmark = [pytest.mark.agents, pytest.mark.timeout(300)]


def token(**claims: object) -> str:
    """A JSON Web Token that nobody signed."""
    head = {"alg": "none", "typ": "JWT"}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, claims)]
    return ".".join([*parts, "c2ln"])


ACCESS = {"claude": "sk-ant-oat01-" + "a" * 80, "codex": token(exp=4_000_000_000, sub="alice")}
PLAN = {"https://api.openai.com/auth": {"chatgpt_plan_type": "plus", "chatgpt_account_id": "acc-1"}}
FILES: dict[str, dict[str, Any]] = {
    "claude": {
        "claudeAiOauth": {
            "accessToken": ACCESS["claude"],
            "refreshToken": "sk-ant-ort01-" + "r" * 80,
            "expiresAt": 4_000_000_000_000,
            "scopes": ["user:inference", "user:profile"],
            "subscriptionType": "max",
        }
    },
    "codex": {
        "OPENAI_API_KEY": None,
        "tokens": {
            "id_token": token(email="alice@example.invalid", exp=4_000_000_000, **PLAN),
            "access_token": ACCESS["codex"],
            "refresh_token": "r" * 80,
            "account_id": "acc-1",
        },
        "last_refresh": "2026-11-26T00:00:00Z",
    },
}


def vendor_at(agent: str, port: int) -> dict[str, Any]:
    """The agent's login, with the scripted provider in its vendor's place."""
    spec = catalogue.get(agent)
    assert spec.login is not None
    url = f"http://vendor.test:{port}"
    login = replace(spec.login, hosts=(f"vendor.test:{port}",))
    if agent == "claude":
        login = replace(login, env={"ANTHROPIC_BASE_URL": url, "ANTHROPIC_MODEL": "claude-sonnet-4-5"})
    else:
        provider = (
            'model_provider = "vendor"\n[model_providers.vendor]\nname = "Vendor"\nwire_api = "responses"\n'
            f'base_url = "{url}/v1"\nrequires_openai_auth = true\n[analytics]'
        )
        settings = {name: text.replace("[analytics]", provider, 1) for name, text in login.settings.items()}
        login = replace(login, settings={name: f'model = "gpt-fake"\n{text}' for name, text in settings.items()})
    return {name: catalogue.get(name) for name in catalogue.ORDER} | {agent: replace(spec, login=login)}


async def resolver(name: str, port: int) -> list[str]:  # noqa: ARG001  # `egress.Resolver`
    """Every name is this machine; what may be reached, the rules say."""
    return ["127.0.0.1"]


async def test_a_goal_is_reached_with_a_login(
    open_house: Open, fake: FakeProvider, agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if agent not in FILES:
        pytest.skip("no login that a scripted provider could take the vendor's part for")
    spec = catalogue.get(agent)
    assert spec.login is not None
    (name,) = spec.login.files
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(json.dumps(FILES[agent]))
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in (*spec.login.variables, *spec.login.folders):
        monkeypatch.delenv(variable, raising=False)
    known = vendor_at(agent, fake.port)
    monkeypatch.setattr(catalogue, "_built_in", lambda: known)
    async with open_house(agent_start=90.0, egress=Egress(Guard((LOOPBACK,)), resolver)) as house:
        house.model = None
        steps: list[dict[str, object]] = [{"read": "greet.py"}, {"shell": "sed -i s/Hallo/Hello/ greet.py"}]
        goal = Goal(prompt([*steps, {"text": "done"}], f"For {agent}: make it say Hello."), (Check("sh check.sh"),))
        session = await house.new(agent=agent, login=True, goal=goal)
        reached = await house.outcome(session, seconds=120)
        assert reached.data["outcome"] == Outcome.DONE, await told(house, session)
        assert not await house.events(session, Kind.MODEL_CALLED)
        assert f"Bearer {ACCESS[agent]}" in {call.headers.get("authorization") for call in fake.model_calls}
        renewing = FILES[agent].get("claudeAiOauth") or FILES[agent]["tokens"]
        secret = str(renewing.get("refreshToken") or renewing.get("refresh_token")).encode()
        home = tmp_path / "data/sessions" / session / "home"
        assert not [file for file in home.rglob("*") if file.is_file() and secret in file.read_bytes()]
        assert (home / name).is_file()
        await house.sessions.end(session, "test")
        assert not home.exists()
    assert json.loads((tmp_path / name).read_text()) == FILES[agent]
