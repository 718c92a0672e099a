"""The MCP server of a session, met by the official client over HTTP and, through our bridge, over stdio."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from handrail.automation import EffectKind, EffectState
from handrail.commands import effects, forges, proposing
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.commands.forges import Given
from handrail.errors import InvalidInput
from handrail.forges import mcp
from handrail.kinds import Kind
from handrail.store import effects as rows
from handrail.types import Control, Json, SessionId
from tests.commands.desks import begin


@pytest.fixture
async def checkout(desk: Desk, tmp_path: Path) -> Path:
    """A checkout of acme/shop, whose forge is set up."""
    place = tmp_path / "shop"
    place.mkdir()
    for words in (["init", "-q", "-b", "trunk"], ["remote", "add", "origin", "git@github.com:acme/shop.git"]):
        subprocess.run(["git", *words], cwd=place, check=True)  # noqa: ASYNC221
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "x"], cwd=place, check=True)  # noqa: ASYNC221
    await forges.put(desk, OWNER, "hub", Given("github", secret="token"))
    return place


@pytest.fixture
async def door(desk: Desk, checkout: Path) -> AsyncIterator[tuple[SessionId, str, str]]:
    """A session, the address of its MCP server, and its token."""

    async def nothing(_: object) -> None:
        return None

    session = await begin(desk, repository=str(checkout))
    grant = desk.gateway.grant(session, budget=None, spent=0, on_call=nothing)  # type: ignore[arg-type]
    listening = socket.create_server(("127.0.0.1", 0))
    close = await desk.gateway.serve(listening)
    yield session, f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", grant.token
    await close()


async def test_the_official_client_over_http(desk: Desk, door: tuple[SessionId, str, str]) -> None:
    session, url, token = door
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}) as http,
        streamable_http_client(url, http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as client,
    ):
        told = await client.initialize()
        assert "propose" in (told.instructions or "")
        assert {tool.name for tool in (await client.list_tools()).tools} == set(mcp.TOOLS)
        said = await client.call_tool("propose_pull_request", {"title": "Raise the price", "body": "Too low"})
        assert "a person or the workflow decides" in str(said.content)
        again = await client.call_tool("propose_pull_request", {"title": "Raise the price", "body": "Too low"})
        assert str(again.content) == str(said.content)
        wrong = await client.call_tool("propose_comment", {"number": 0, "body": "x"})
        assert "number: 0 cannot be used" in str(wrong.content)
        pushy = await client.call_tool("propose_pull_request", {"title": "T", "head": "main"})
        assert "leave head out" in str(pushy.content)
        await client.call_tool("propose_status", {"context": "handrail/lint", "state": "success"})
        await client.call_tool("propose_comment", {"number": 7, "body": "x", "on_pull_request": True})
    *_, status, comment = await rows.of_sessions(desk.store, [session])
    assert (status.kind, status.body["commit"], comment.body["on_pull_request"]) == (EffectKind.STATUS, "0" * 40, True)
    row, *_ = await effects.listed(desk, OWNER, session=None, run=None)
    assert (row.kind, row.state, row.forge, row.target) == (
        EffectKind.PULL_REQUEST,
        EffectState.WAITING,
        "hub",
        "acme/shop",
    )
    assert (row.body["head"], row.body["base"]) == (f"handrail/{session}", "trunk")
    assert row.body["repository"] == "acme/shop"
    events = await desk.store.log.read(session)
    assert any(one.kind == Kind.NOTICE and row.id in str(one.data["text"]) for one in events)


async def test_the_official_client_over_the_bridge(desk: Desk, door: tuple[SessionId, str, str]) -> None:
    session, url, token = door
    env = {"HANDRAIL_MCP_URL": url, "HANDRAIL_MCP_TOKEN": token}
    server = StdioServerParameters(command=sys.executable, args=["-m", "handrail.agents.bridge"], env=env)
    async with stdio_client(server) as streams, ClientSession(streams[0], streams[1]) as client:
        await client.initialize()
        assert len((await client.list_tools()).tools) == len(mcp.TOOLS)
        await client.call_tool("propose_issue", {"title": "Prices", "body": "Look"})
    assert [row.kind for row in await rows.of_sessions(desk.store, [session])] == [EffectKind.ISSUE]


async def test_who_has_no_token_and_what_is_no_call(door: tuple[SessionId, str, str]) -> None:
    _, url, token = door
    async with httpx2.AsyncClient() as http:
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        assert (await http.post(url, json=call)).status_code == 401
        http.headers["authorization"] = f"Bearer {token}"
        assert (await http.get(url)).status_code == 405
        assert (await http.post(url, content=b"{")).status_code == 400
        assert (await http.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"})).status_code == 202
        probe = (await http.post(url, json={**call, "method": "server/discover"})).json()
        assert probe["error"]["code"] == -32601
        unknown = (await http.post(url, json={**call, "method": "tools/call", "params": {"name": "deploy"}})).json()
        assert unknown["error"]["code"] == -32602
        assert (await http.post(url, content=b"[" + b" " * proposing.LONGEST + b"]")).status_code == 413


async def test_a_session_of_a_run_leaves_it_to_its_run_and_too_many_are_refused(desk: Desk, checkout: Path) -> None:
    session = await begin(desk, repository=str(checkout), key="task:1", control=Control.AGENT)
    taker = proposing.Proposing(desk.store, desk.forges, desk.post.writes)
    for number in range(1, proposing.MOST + 1):
        await taker.propose(session, EffectKind.COMMENT, {"number": number, "body": "x"})
    found = await rows.of_sessions(desk.store, [session])
    assert {row.state for row in found} == {EffectState.PROPOSED}
    with pytest.raises(Exception, match="wait until some are decided"):
        await taker.propose(session, EffectKind.COMMENT, {"number": 99, "body": "x"})


async def test_the_same_proposal_twice_at_once_is_one_effect_and_ids_cannot_be_guessed(
    desk: Desk, checkout: Path
) -> None:
    session = await begin(desk, repository=str(checkout))
    taker = proposing.Proposing(desk.store, desk.forges, desk.post.writes)
    given: Json = {"title": "Prices", "body": "Look"}
    made = await asyncio.gather(*(taker.propose(session, EffectKind.ISSUE, given) for _ in range(5)))
    (row,) = await rows.of_sessions(desk.store, [session])
    assert {one.id for one in made} == {row.id}
    assert len([one for one in await desk.store.log.read(session) if one.kind == Kind.NOTICE]) == 1
    other = await taker.propose(await begin(desk, "s-bob", repository=str(checkout)), EffectKind.ISSUE, given)
    assert other.id != row.id
    assert len(row.id) == len("f-") + 16
    await effects.reject(desk, OWNER, row.id, "no more issues")
    assert proposing.told(await taker.propose(session, EffectKind.ISSUE, given)) == (
        f"proposed before as {row.id}: it is rejected (no more issues)"
    )


async def test_where_there_is_no_forge_a_change_can_be_kept_and_nothing_else_be_done(
    desk: Desk, checkout: Path, tmp_path: Path
) -> None:
    subprocess.run(["git", "remote", "remove", "origin"], cwd=checkout, check=True)  # noqa: ASYNC221
    session = await begin(desk, repository=str(checkout))
    taker = proposing.Proposing(desk.store, desk.forges, desk.post.writes)
    pushed = await taker.propose(session, EffectKind.PUSH, {})
    assert (pushed.body["branch"], pushed.body["commit"]) == (f"handrail/{session}", None)
    made = await taker.propose(session, EffectKind.PULL_REQUEST, {"title": "Raise the price"})
    assert (made.forge, made.target, made.body["repository"]) == (None, str(checkout), str(checkout))
    assert proposing.told(made).endswith(f"there is no forge, so it becomes the branch handrail/{session}")
    with pytest.raises(InvalidInput, match="a change can be kept as a branch and nothing else done"):
        await taker.propose(session, EffectKind.COMMENT, {"number": 1, "body": "x"})
    await forges.put(desk, OWNER, "disk", Given("git", str(tmp_path)))
    subprocess.run(["git", "remote", "add", "origin", str(tmp_path / "shop")], cwd=checkout, check=True)  # noqa: ASYNC221
    with pytest.raises(InvalidInput, match="it is plain git, so a change can be kept"):
        await taker.propose(session, EffectKind.COMMENT, {"number": 1, "body": "x"})
