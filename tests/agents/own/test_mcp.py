"""The tools of MCP servers, those of the official SDK's server: sessions, answers as event streams."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator

import pytest

from tests.agents.own.conftest import MakeOwn
from tests.agents.own.driver import Json
from tests.fake_provider import prompt

_SERVER = """
import asyncio, socket, sys
import uvicorn
from mcp.server import MCPServer
from mcp_types import ToolAnnotations

there = MCPServer("there")

@there.tool(annotations=ToolAnnotations(destructiveHint=False))
def add(a: int, b: int) -> str:
    "Add two numbers."
    return f"sum: {a + b}"

@there.tool()
def read(path: str) -> str:
    "Named as one of the agent's own."
    return f"theirs: {path}"

@there.tool(annotations=ToolAnnotations(readOnlyHint=True))
async def slow() -> str:
    "Takes its time."
    await asyncio.sleep(600)
    return "late"

listening = socket.socket(fileno=int(sys.argv[1]))
uvicorn.Server(uvicorn.Config(there.streamable_http_app(), log_level="error")).run([listening])
"""


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def told(listening: socket.socket) -> Json:
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    return {"type": "http", "name": "there", "url": url, "headers": [{"name": "x-key", "value": "k"}]}


async def test_tools_of_a_server_are_offered_asked_about_and_called(make: MakeOwn, listening: socket.socket) -> None:
    fd = listening.fileno()
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", _SERVER, str(fd), pass_fds=[fd])
    try:
        async with make() as own:
            own.servers = [told(listening)]
            session = await own.new()
            steps: list[Json] = [
                {"tool": "add", "args": {"a": 2, "b": 3}},
                {"tool": "there_read", "args": {"path": "x"}},
                {"tool": "add", "args": {"a": "many"}},
                {"text": "done"},
            ]
            await own.prompt(prompt(steps))
            assert [asked["toolCall"]["title"] for asked in own.asked] == ["read"]
            added, read, wrong = own.outputs()
            assert (added, read) == ("sum: 5", "theirs: x")
            assert "validation error" in wrong
        async with make() as own:  # the tools are there after a load as well, and a cancellation does not wait
            own.servers = [told(listening)]
            await own.back(session)
            turn = asyncio.create_task(own.prompt(prompt([{"tool": "slow"}, {"text": "done"}])))
            await own.until(lambda: any(tool["title"] == "slow" for tool in own.tools().values()))
            own.cancel()
            assert (await asyncio.wait_for(turn, 5))["stopReason"] == "cancelled"
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()


async def test_a_server_that_is_not_there_is_left_out(make: MakeOwn, listening: socket.socket) -> None:
    gone = told(listening)
    listening.close()
    async with make() as own:
        own.servers = [gone, {"name": "local", "command": "/bin/true", "args": [], "env": []}]
        await own.new()
        assert (await own.prompt(prompt([{"text": "done"}])))["stopReason"] == "end_turn"
