"""Real agents propose effects through the MCP server of their session."""

from __future__ import annotations

import pytest

from handrail.automation import EffectKind
from handrail.kinds import Kind
from handrail.types import Permissions
from tests.real_agents.door import mount
from tests.sessions.conftest import Open, fake, open_house, repository

__all__ = ["fake", "open_house", "repository"]

pytestmark = [pytest.mark.agents, pytest.mark.timeout(180)]

NAMES: dict[str, dict[str, object]] = {
    "claude": {"tool": "mcp__handrail__propose_issue"},
    "codex": {"tool": "propose_issue", "namespace": "mcp__handrail"},
    "gemini": {"tool": "mcp_handrail_propose_issue"},
    "goose": {"tool": "handrail__propose_issue"},
    "opencode": {"tool": "handrail_propose_issue"},
    "qwen": {"tool": "mcp__handrail__propose_issue"},
    "openhands": {"tool": "propose_issue"},
    "handrail": {"tool": "propose_issue"},
}
"""what each agent calls the tool before its model"""
MORE: dict[str, dict[str, object]] = {"openhands": {"security_risk": "LOW"}}
"""what an agent wants with each call, for itself"""
DEFERRED: dict[str, dict[str, object]] = {
    "claude": {"tool": "ToolSearch", "args": {"query": "select:mcp__handrail__propose_issue"}},
    "qwen": {"tool": "tool_search", "args": {"query": "select:mcp__handrail__propose_issue"}},
}
"""how an agent is asked for tools that it keeps back"""


async def test_it_finds_the_tools_and_proposes(open_house: Open, agent: str) -> None:
    async with open_house(agent_start=90.0) as house:
        kept = mount(house)
        house.model = "claude-sonnet-4-5" if agent == "handrail" else None
        args = {"title": "Prices", "body": "Look at them."}
        call = {**NAMES[agent], "args": args | MORE.get(agent, {})}
        steps: list[dict[str, object]] = [*([DEFERRED[agent]] if agent in DEFERRED else []), call, {"text": "done"}]
        session = await house.new(agent=agent, permissions=Permissions.ALLOW)
        await house.say(session, steps, f"For {agent}: propose it.")
        await house.until(session, Kind.TURN_ENDED, seconds=120)
        log = [(event.kind, str(event.data)[:200]) for event in await house.events(session)]
        assert kept == [(session, EffectKind.ISSUE, args)], log[-12:]
