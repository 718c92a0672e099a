"""Real agents in a session that may reach a host: model calls find the gateway all the same, tools the host."""

from __future__ import annotations

import pytest

from handrail.kinds import Kind
from handrail.types import Permissions
from tests.egress.conftest import lab
from tests.egress.lab import Lab
from tests.fake_provider import prompt
from tests.real_agents.door import mount
from tests.sessions.conftest import Open, fake, open_house, repository

__all__ = ["fake", "lab", "open_house", "repository"]

pytestmark = [pytest.mark.agents, pytest.mark.timeout(180)]


async def test_a_real_agent_reaches_its_model_and_the_host(lab: Lab, open_house: Open, agent: str) -> None:
    upstream = await lab.upstream()
    async with open_house(egress=lab.egress, agent_start=90.0) as house:
        house.model = "claude-sonnet-4-5" if agent == "handrail" else None
        mount(house)
        network = (f"api.example.com:{upstream.port}",)
        session = await house.new(agent=agent, network=network, permissions=Permissions.ALLOW)
        steps = [{"shell": f"curl -sS http://api.example.com:{upstream.port}/ > got.txt"}, {"text": "done"}]
        await house.sessions.prompt(session, prompt(steps, f"For {agent}: fetch it."), "test")
        end = await house.until(session, Kind.TURN_ENDED, seconds=120)
        lines = [event.data for event in await house.events(session, Kind.NETWORK_DECIDED)]
        assert end.data["stop_reason"] == "end_turn", (end.data, lines)
        assert await house.events(session, Kind.MODEL_CALLED)
        assert len(upstream.received) == 1, lines
        patch = (await house.sessions.diff(session, None, None)).patch
        assert "+hello" in patch
        assert {line["host"] for line in lines if line["verdict"] == "allowed"} == {"api.example.com"}
