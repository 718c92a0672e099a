"""Real agents propose effects through the MCP server of their session."""

from __future__ import annotations

import pytest

from handrail.automation import EffectKind
from handrail.forges import mcp
from handrail.gateway.listener import Connection, Request
from handrail.kinds import Kind
from handrail.types import Json, Permissions, SessionId
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
DEFERRED: dict[str, dict[str, object]] = {
    "claude": {"tool": "ToolSearch", "args": {"query": "select:mcp__handrail__propose_issue"}},
    "qwen": {"tool": "tool_search", "args": {"query": "select:mcp__handrail__propose_issue"}},
}
"""how an agent is asked for tools that it keeps back"""


async def test_it_finds_the_tools_and_proposes(open_house: Open, agent: str) -> None:
    kept: list[tuple[SessionId, EffectKind, Json]] = []

    async def serve(session: SessionId, request: Request, out: Connection) -> None:
        async def propose(kind: EffectKind, given: Json) -> str:
            kept.append((session, kind, given))
            return "f-1"

        status, body = await mcp.answer(request.body, propose)
        await out.respond(status, body) if request.method == "POST" else await out.respond(405, b"{}")

    async with open_house(agent_start=90.0) as house:
        house.sessions._rooms.gateway.mounted[mcp.PATH] = serve
        house.model = "claude-sonnet-4-5" if agent == "handrail" else None
        call = {**NAMES[agent], "args": {"title": "Prices", "body": "Look at them."}}
        steps: list[dict[str, object]] = [*([DEFERRED[agent]] if agent in DEFERRED else []), call, {"text": "done"}]
        session = await house.new(agent=agent, permissions=Permissions.ALLOW)
        await house.say(session, steps, f"For {agent}: propose it.")
        await house.until(session, Kind.TURN_ENDED, seconds=120)
        log = [(event.kind, str(event.data)[:200]) for event in await house.events(session)]
        assert kept == [(session, EffectKind.ISSUE, {"title": "Prices", "body": "Look at them."})], log[-12:]
