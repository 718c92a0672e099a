"""How an agent is told of its session's MCP server: over HTTP where it speaks that, else over a bridge on stdio."""

from __future__ import annotations

import sys

from handrail.agents import Capabilities, Endpoint
from handrail.types import Json

PATH = "/mcp"
NAME = "handrail"
NO_HTTP = frozenset({"openhands"})
"""agents that say they speak MCP over HTTP, and fail every prompt once they are told of such a server"""


def servers(agent: str, endpoint: Endpoint, capabilities: Capabilities) -> list[Json]:
    """`mcpServers` of ACP's `session/new` (https://agentclientprotocol.com/protocol/session-setup#mcp-servers)."""
    url = f"{endpoint.url.rstrip('/')}{PATH}"
    if capabilities.mcp_http and agent not in NO_HTTP:
        header: Json = {"name": "Authorization", "value": f"Bearer {endpoint.token}"}
        return [{"type": "http", "name": NAME, "url": url, "headers": [header]}]
    env = [{"name": "HANDRAIL_MCP_URL", "value": url}, {"name": "HANDRAIL_MCP_TOKEN", "value": endpoint.token}]
    return [{"name": NAME, "command": sys.executable, "args": ["-I", "-m", "handrail.agents.bridge"], "env": env}]
