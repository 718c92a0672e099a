"""The MCP server at a session's door, as the server mounts it: OpenHands fails without what it was told of."""

from __future__ import annotations

from handrail.automation import EffectKind
from handrail.forges import mcp
from handrail.gateway.listener import Connection, Request
from handrail.types import Json, SessionId
from tests.sessions.conftest import House


def mount(house: House) -> list[tuple[SessionId, EffectKind, Json]]:
    """Mount it; what agents propose comes into the list that this gives."""
    kept: list[tuple[SessionId, EffectKind, Json]] = []

    async def serve(session: SessionId, request: Request, out: Connection) -> None:
        async def propose(kind: EffectKind, given: Json) -> str:
            kept.append((session, kind, given))
            return "f-1"

        status, body = await mcp.answer(request.body, propose)
        await out.respond(status, body) if request.method == "POST" else await out.respond(405, b"{}")

    house.sessions._rooms.gateway.mounted[mcp.PATH] = serve
    return kept
