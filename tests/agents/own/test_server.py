from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from acp import schema
from acp.connection import Connection

from tests.agents.own.conftest import MakeOwn
from tests.agents.own.driver import Refused
from tests.fake_provider import FakeProvider, prompt


async def test_the_handshake(make: MakeOwn) -> None:
    async with make() as own:
        told = await own.call("initialize", protocolVersion=2)
        assert told["protocolVersion"] == 1
        assert told["agentCapabilities"]["loadSession"] is True
        assert told["agentCapabilities"]["sessionCapabilities"]["resume"] == {}
        new = await own.call("session/new", cwd=str(own.cwd), mcpServers=[])
        assert new["modes"]["currentModeId"] == "ask"
        assert [mode["id"] for mode in new["modes"]["availableModes"]] == ["ask", "auto"]


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("session/new", {"cwd": "relative"}, -32602),
        ("session/new", {"cwd": "/does/not/exist"}, -32602),
        ("session/new", {"cwd": 5}, -32602),
        ("session/new", {}, -32602),
        ("session/load", {"sessionId": "unknown", "cwd": "/"}, -32002),
        ("session/load", {"sessionId": "../x", "cwd": "/"}, -32602),
        ("session/prompt", {"sessionId": "unknown", "prompt": []}, -32002),
        ("session/set_mode", {"sessionId": "unknown", "modeId": "auto"}, -32002),
        ("session/nonsense", {}, -32601),
        ("session/cancel", {"sessionId": [1]}, -32602),
    ],
)
async def test_bad_requests(make: MakeOwn, method: str, params: dict[str, Any], code: int) -> None:
    async with make() as own:
        with pytest.raises(Refused) as refused:
            await own.call(method, **params)
        assert refused.value.code == code


async def test_bad_prompts_and_modes(make: MakeOwn) -> None:
    async with make() as own:
        session = await own.new()
        image = {"type": "image", "data": "", "mimeType": "image/png"}
        for blocks in ([], "text", [5], [image], [{"type": "text", "text": " "}]):
            with pytest.raises(Refused):
                await own.call("session/prompt", sessionId=session, prompt=blocks)
        with pytest.raises(Refused, match="give one of ask, auto"):
            await own.call("session/set_mode", sessionId=session, modeId="yolo")


async def test_embedded_text_reaches_the_model(make: MakeOwn, fake: FakeProvider) -> None:
    async with make() as own:
        session = await own.new()
        blocks = [
            {"type": "text", "text": "look: \ud800"},
            {"type": "resource_link", "uri": "file:///a", "name": "a"},
            {"type": "resource", "resource": {"uri": "file:///b", "text": "inside"}},
        ]
        await own.call("session/prompt", sessionId=session, prompt=blocks)
    said = fake.model_calls[0].body["messages"][1]["content"]
    assert all(text in said for text in ("look: \ufffd", "file:///a", "inside"))


async def test_broken_lines_are_survived(make: MakeOwn) -> None:
    async with make() as own:
        assert own.process.stdin is not None
        for line in (
            b"not json",
            b"[1,2]",
            b'"text"',
            b"\xff\xfe",
            b"",
            b'{"jsonrpc":"2.0","id":77,"result":{}}',
            b'{"id":[1],"result":{}}',
        ):
            own.process.stdin.write(line + b"\n")
        own.send({"jsonrpc": "2.0", "method": "unknown/notification", "params": {}})
        own.send({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": "unknown"}})
        assert await own.new()


async def test_one_turn_at_a_time(make: MakeOwn) -> None:
    async with make() as own:
        await own.new("auto")
        turn = asyncio.ensure_future(own.prompt(prompt([{"shell": "sleep 1"}])))
        await own.until(lambda: bool(own.of("tool_call")))
        with pytest.raises(Refused, match="turn under way"):
            await own.prompt("another")
        with pytest.raises(Refused, match="turn under way"):
            await own.back(own.session)
        await turn


async def test_two_sessions_work_side_by_side(make: MakeOwn) -> None:
    async with make() as own:
        turns = []
        for mine, others in (("a", "b"), ("b", "a")):
            text = prompt([{"shell": f"touch {mine}; until [ -e {others} ]; do sleep 0.05; done", "text": mine}])
            session = await own.new("auto")
            turns.append(own.call("session/prompt", sessionId=session, prompt=[{"type": "text", "text": text}]))
        assert [result["stopReason"] for result in await asyncio.gather(*turns)] == ["end_turn", "end_turn"]


async def test_a_prompt_of_ten_megabytes(make: MakeOwn, fake: FakeProvider) -> None:
    async with make(CONTEXT="10000000") as own:
        await own.new()
        assert (await own.prompt("x" * (10 << 20)))["stopReason"] == "end_turn"
    assert len(fake.model_calls[0].raw) > 10 << 20


@pytest.mark.parametrize("how", ["eof", "term"])
async def test_the_end_leaves_nothing_behind(make: MakeOwn, how: str) -> None:
    own = make()
    await own.start()
    await own.new("auto")
    turn = asyncio.ensure_future(own.prompt(prompt([{"shell": "sleep 600 & sleep 601"}])))
    await own.until(lambda: bool(own.of("tool_call")))
    await asyncio.sleep(0.3)
    group = Path("/proc")
    shells = [
        entry.name
        for entry in group.iterdir()
        if entry.name.isdigit() and _parent(entry) == own.process.pid and (entry / "cmdline").read_bytes()
    ]
    assert len(shells) == 1
    began = asyncio.get_running_loop().time()
    if how == "term":
        own.process.send_signal(signal.SIGTERM)
        await own.process.wait()
    else:
        assert await own.stop() == 0
    assert asyncio.get_running_loop().time() - began < 4
    await asyncio.wait([turn])
    await asyncio.sleep(0.1)
    assert [entry for entry in group.iterdir() if entry.name.isdigit() and _lives(entry, int(shells[0]))] == []


async def test_a_closed_session_is_free_for_others(make: MakeOwn) -> None:
    async with make() as own, make() as other:
        session = await own.new("auto")
        turn = asyncio.ensure_future(own.prompt(prompt([{"shell": "sleep 60"}])))
        await own.until(lambda: bool(own.of("tool_call")))
        await own.call("session/close", sessionId=session)
        assert (await turn)["stopReason"] == "cancelled"
        await other.back(session)
        assert other.outputs()


def _lives(entry: Path, group: int) -> bool:
    try:
        state, _, belongs, *_ = (entry / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return False
    return int(belongs) == group and state != "Z"


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return -1


async def test_wrong_settings_are_one_sentence(make: MakeOwn) -> None:
    for env in ({"WIRE": "morse"}, {"MODEL_URL": "ftp://x"}, {"CONTEXT": "many"}, {"ATTEMPTS": "-1"}):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "handrail.agents.own", env=make(**env).env, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        assert process.returncode == 1
        assert said.decode().startswith(f"HANDRAIL_{next(iter(env))}: ")
        assert said.count(b"\n") == 1


@pytest.mark.parametrize("words", [("handrail.agents.own",), ("handrail.cli", "agent")], ids=["module", "verb"])
async def test_the_sdks_own_connection_understands_every_word(make: MakeOwn, words: tuple[str, ...]) -> None:
    own = make()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *words,
        env=own.env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    updates: list[schema.SessionNotification] = []

    async def handler(method: str, params: Any, is_notification: bool) -> Any:
        if method == "session/update":
            assert is_notification
            updates.append(schema.SessionNotification.model_validate(params))
            return None
        assert method == "session/request_permission"
        asked = schema.RequestPermissionRequest.model_validate(params)
        return {"outcome": {"outcome": "selected", "optionId": asked.options[0].option_id}}

    connection = Connection(handler, process.stdin, process.stdout)
    told = await connection.send_request("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
    assert schema.InitializeResponse.model_validate(told).protocol_version == 1
    made = await connection.send_request("session/new", {"cwd": str(own.cwd), "mcpServers": []})
    session = schema.NewSessionResponse.model_validate(made).session_id
    text = prompt([{"shell": "echo hi"}, {"write": {"path": "x", "content": "1"}}, {"text": "done"}])
    params = {"sessionId": session, "prompt": [{"type": "text", "text": text}]}
    ended = schema.PromptResponse.model_validate(await connection.send_request("session/prompt", params))
    assert ended.stop_reason == "end_turn"
    assert {update.update.session_update for update in updates} >= {"tool_call", "tool_call_update", "usage_update"}
    process.stdin.close()
    assert await process.wait() == 0
    await connection.close()


def test_it_imports_neither_server_nor_sdk() -> None:
    source = Path(__file__).parents[3] / "src/handrail/agents/own"
    text = "".join(path.read_text() for path in source.rglob("*.py"))
    assert all(f"import {name}" not in text and f"from {name}" not in text for name in ("acp", "pydantic", "asyncio"))
    json.dumps(text)
