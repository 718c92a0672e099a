"""A copy of the user's login inside the real walls: what the agent gets, whom it reaches, and that the copy goes."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from handrail.commands.forge_shelf import ForgeShelf
from handrail.commands.proposing import Proposing
from handrail.egress.addresses import Guard
from handrail.egress.proxy import Egress
from handrail.errors import InvalidInput, MissingPart
from handrail.forges import mcp
from handrail.kinds import Kind
from handrail.sessions.create import A_SECRET
from handrail.store import effects
from handrail.store.calls import spend
from handrail.types import Check, Goal, Limits, NanoUSD, SessionId
from tests.egress.lab import LOOPBACK
from tests.fake_provider import FakeProvider
from tests.sessions import pet
from tests.sessions.conftest import House, Open, git

PET = """
title = "Pet"
command = ["{{python}}", "pet.py"]
[env]
PET_GATEWAY = "{{url}}"
[login]
files = [".pet/login.json"]
variables = ["PET_TOKEN"]
hosts = ["vendor.test:{port}"]
how = "run `pet login`"
proof = ["token"]
[login.env]
PET_VENDOR = "http://vendor.test:{port}"
"""
TOKEN = '{"token": "a-token-of-the-user"}'


@dataclass
class Home:
    """The user's home, a house whose server has it, and what a session's agent tells of it."""

    path: Path
    data: Path
    house: House

    @property
    def file(self) -> Path:
        return self.path / ".pet/login.json"

    def log_in(self, text: str = TOKEN) -> None:
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(text)

    def inside(self, session: SessionId) -> Path:
        return self.data / "sessions" / session / "home"

    async def tells(self, session: SessionId) -> dict[str, Any]:
        await self.house.sessions.prompt(session, "Tell me.", "test")
        await self.house.until(session, Kind.TURN_ENDED)
        await self.house.rest(session)
        said = await self.house.events(session, Kind.AGENT_TEXT)
        assert said, await self.house.events(session)
        told: dict[str, Any] = json.loads("".join(str(event.data["text"]) for event in said))
        return told


async def resolver(name: str, port: int) -> list[str]:  # noqa: ARG001  # `egress.Resolver`
    """Every name is this machine; what may be reached, the rules say."""
    return ["127.0.0.1"]


@pytest.fixture
async def home(
    tmp_path: Path, repository: Path, fake: FakeProvider, open_house: Open, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Home]:
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("PET_TOKEN", raising=False)
    shutil.copy(pet.__file__, repository / "pet.py")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "an agent")
    (tmp_path / "data/agents").mkdir(parents=True)
    (tmp_path / "data/agents/pet.toml").write_text(PET.format(port=fake.port))
    async with open_house(egress=Egress(Guard((LOOPBACK,)), resolver)) as house:
        house.model = None
        shelf = ForgeShelf(house.store, b"0" * 32)
        house.gateway.mounted[mcp.PATH] = Proposing(house.store, shelf, lambda _notice, _key: ()).serve
        yield Home(tmp_path / "user", tmp_path / "data", house)


async def test_the_agent_gets_a_private_copy_and_reaches_its_vendor_alone(home: Home, fake: FakeProvider) -> None:
    home.log_in()
    session = await home.house.new(agent="pet", login=True)
    told = await home.tells(session)
    assert (told["file"], told["mode"]) == (TOKEN, "0o600")
    assert (told["variable"], told["gateway"]) == (None, None)
    assert told["vendor"] == "200"
    assert fake.calls[-1].headers["x-api-key"] == "a-token-of-the-user"
    assert "403" in told["other"]
    (effect,) = await effects.of_sessions(home.house.store, [session])
    assert (effect.kind, effect.id in told["proposed"]) == ("report", True), "it proposes as any other agent does"
    assert (told["model"][0] >= 400, "has a login of its own" in told["model"][1]) == (True, True), told["model"]
    row = await home.house.row(session)
    assert row.login
    assert row.network == [f"vendor.test:{fake.port}"]
    assert A_SECRET in row.holds
    (created,) = await home.house.events(session, Kind.SESSION_CREATED)
    assert created.data["login"] is True
    assert created.data["network"] == row.network
    assert home.file.read_text() == TOKEN  # what the agent wrote stays inside
    everything = "".join(str(event.data) for event in await home.house.events(session) if event.kind != Kind.AGENT_TEXT)
    assert "a-token-of-the-user" not in everything


async def test_each_start_of_the_agent_has_a_fresh_copy_and_none_stays(home: Home) -> None:
    home.log_in()
    session = await home.house.new(agent="pet", login=True)
    await home.tells(session)
    copy = home.inside(session) / ".pet/login.json"
    assert copy.read_text() == '{"token": "renewed or planted"}'
    actor = home.house.sessions.actors.living[session]
    await actor.workplace.stop_agent()
    assert not copy.exists()
    home.log_in('{"token": "renewed by the user"}')
    await home.house.sessions.prompt(session, "Again.", "test")
    await home.house.until(session, Kind.TURN_ENDED, count=2)
    said = await home.house.events(session, Kind.AGENT_TEXT)
    assert "renewed by the user" in str(said[-1].data["text"])
    await home.house.sessions.end(session, "test")
    assert not home.inside(session).exists()  # the agent had made a copy of its own, too


async def test_what_a_killed_server_left_is_removed_when_the_next_one_starts(home: Home) -> None:
    home.log_in()
    session = await home.house.new(agent="pet", login=True)
    await home.tells(session)
    await home.house.sessions.stop()
    left = home.inside(session) / ".pet/login.json"
    left.write_text(TOKEN)
    await home.house.sessions.start()
    assert not left.exists()


async def test_a_copy_behind_a_link_that_the_agent_planted_is_not_followed(home: Home) -> None:
    home.log_in()
    session = await home.house.new(agent="pet", login=True)
    await home.tells(session)
    folder = home.inside(session) / ".pet"
    shutil.rmtree(folder)
    folder.symlink_to(home.file.parent)
    await home.house.sessions.actors.living[session].workplace.stop_agent()
    assert home.file.read_text() == TOKEN
    await home.house.sessions.prompt(session, "Again.", "test")
    await home.house.until(session, Kind.TURN_ENDED, count=2)
    (_, ended) = await home.house.events(session, Kind.TURN_ENDED)
    assert "settings could not be written" in str(ended.data["error"])
    assert home.file.read_text() == TOKEN


@pytest.mark.parametrize(
    ("limits", "cause"), [(Limits(turns=2), "turns_spent"), (Limits(turns=None, seconds=0.2), "time_spent")]
)
async def test_turns_and_time_bind_what_nobody_meters_and_its_cost_is_never_told_as_nothing(
    home: Home, limits: Limits, cause: str
) -> None:
    home.log_in()
    goal = Goal("Reach it.", (Check("sleep 0.3; false"),), limits)
    session = await home.house.new(agent="pet", login=True, goal=goal)
    reached = await home.house.outcome(session)
    assert reached.data["cause"] == cause
    ended = await home.house.events(session, Kind.TURN_ENDED)
    for event in (*ended, reached):
        assert event.data["metered"] is False
        assert "cost_nano" not in event.data
    assert (await spend(home.house.store)).not_metered == 1


async def test_a_login_in_the_environment(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PET_TOKEN", "from-the-environment")
    home.house.sessions._rooms.roster._environ = {"PET_TOKEN": "from-the-environment"}
    told = await home.tells(await home.house.new(agent="pet", login=True))
    assert (told["file"], told["variable"], told["vendor"]) == (None, "from-the-environment", "200")


async def test_what_cannot_be_had(home: Home) -> None:
    with pytest.raises(
        InvalidInput,
        match=r"login: 'handrail' cannot be used: name an agent that has logins \(claude, codex, gemini, pet\)",
    ):
        await home.house.new(login=True)
    with pytest.raises(
        MissingPart, match=r"no login of Pet was found in ~/.pet/login.json: run `pet login`, or set PET"
    ):
        await home.house.new(agent="pet", login=True)
    home.log_in()
    with pytest.raises(InvalidInput, match="provider"):
        await home.house.new(agent="pet", login=True, provider="openai")
    budget = Goal("x", (Check("true"),), Limits(budget=NanoUSD(2_000_000_000)))
    with pytest.raises(InvalidInput, match=r"budget: '\$2.00' cannot be used: give turns or a time"):
        await home.house.new(agent="pet", login=True, goal=budget)
    session = await home.house.new(agent="pet", login=True)
    with pytest.raises(InvalidInput, match="not metered"):
        await home.house.sessions.handoff(session, budget, "test")


async def test_logged_out_meanwhile_is_an_error_that_says_what_to_do(home: Home) -> None:
    home.log_in()
    session = await home.house.new(agent="pet", login=True)
    home.file.unlink()
    await home.house.sessions.prompt(session, "Tell me.", "test")
    ended = await home.house.until(session, Kind.TURN_ENDED)
    assert "the login of Pet is not there any more: run `pet login`" in str(ended.data["error"])
