from __future__ import annotations

from handrail.agents import Capabilities, Endpoint
from handrail.sessions.outside import servers

DOOR = Endpoint("http://127.0.0.1:4000/", "token", None, "anthropic")


def test_over_http_where_it_is_spoken_else_over_the_bridge() -> None:
    [http] = servers("claude", DOOR, Capabilities("c", "1", raw={}, mcp_http=True))
    assert (http["type"], http["url"]) == ("http", "http://127.0.0.1:4000/mcp")
    for agent, speaks in (("other", False), ("openhands", True)):
        [stdio] = servers(agent, DOOR, Capabilities("c", "1", raw={}, mcp_http=speaks))
        assert "type" not in stdio
        assert stdio["args"] == ["-I", "-m", "handrail.agents.bridge"]
