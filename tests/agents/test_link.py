from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from handrail.agents import PermissionRequest, Plan, Text
from handrail.agents.link import AcpLink
from handrail.agents.spec import Ask, AskHow, Load, Resume
from handrail.errors import AgentError, Conflict
from handrail.sandbox import Walls
from handrail.sandbox.backends import open_backend
from handrail.types import SandboxKind, StopReason
from tests.agents.conftest import PEER, Bencher, a_spec

ASK: dict[str, Any] = {
    "toolCall": {"toolCallId": "c1", "title": "rm -rf /", "kind": "execute", "rawInput": {"command": "rm"}},
    "options": [
        {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
        {"optionId": "no", "name": "Reject", "kind": "reject_once"},
    ],
}


def said(text: str) -> dict[str, Any]:
    return {"update": {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}}


async def test_handshake_offers_nothing_and_sends_version_1(bench: Bencher) -> None:
    info = {
        "protocolVersion": 1,
        "agentInfo": {"name": "peer", "version": "3.1"},
        "agentCapabilities": {
            "loadSession": True,
            "promptCapabilities": {"image": True},
            "mcpCapabilities": {"http": True},
            "sessionCapabilities": {"resume": {}, "close": None},
        },
    }
    made = await bench(answers={"initialize": {"result": info}})
    found = await made.link.initialize()
    assert (found.name, found.version, found.load, found.resume) == ("peer", "3.1", True, True)
    assert (found.close, found.images, found.mcp_http) == (False, True, True)
    assert found.raw == info
    way, line = made.raw[0]
    sent = json.loads(line)["params"]
    assert way == "out"
    assert sent["protocolVersion"] == 1
    assert sent["clientCapabilities"]["fs"] == {"readTextFile": False, "writeTextFile": False}
    assert sent["clientCapabilities"]["terminal"] is False
    assert sent["clientCapabilities"]["_meta"]["jetbrains"]["air"]["capabilities"] == ["sessionFailure"]


@pytest.mark.parametrize("version", [2, "1", None])
async def test_another_protocol_version_is_an_error(bench: Bencher, version: object) -> None:
    made = await bench(answers={"initialize": {"result": {"protocolVersion": version}}})
    with pytest.raises(AgentError, match="not version 1"):
        await made.link.initialize()


async def test_agent_that_is_gone_at_the_handshake(bench: Bencher) -> None:
    made = await bench()
    made.process.kill()
    with pytest.raises(AgentError, match="Peer was lost"):
        await made.link.initialize()


async def test_a_turn(bench: Bencher) -> None:
    made = await (await bench()).ready()
    result = await made.play(
        said("Hel"),
        said("lo"),
        {"update": {"sessionUpdate": "plan", "entries": [{"content": "a", "status": "pending"}]}},
        {"end": {"stopReason": "end_turn", "usage": {"inputTokens": 3}}},
    )
    assert result.stop_reason is StopReason.END_TURN
    assert (result.error, result.usage) == (None, {"inputTokens": 3})
    assert made.text() == "Hello"
    assert isinstance(made.updates[-1], Plan)
    assert all(json.loads(line) for _, line in made.raw)


async def test_updates_keep_the_order_of_the_wire_when_the_consumer_is_slow(bench: Bencher) -> None:
    made = await (await bench()).ready()
    queue: asyncio.Queue[str] = asyncio.Queue()
    made.link._on_update = lambda update: queue.put_nowait(update.text if isinstance(update, Text) else "?")
    taken: list[str] = []

    async def consume() -> None:
        for _ in range(200):
            taken.append(await queue.get())
            await asyncio.sleep(0.001)

    task = asyncio.create_task(consume())
    await made.play(*[said(f"{n} ") for n in range(200)])
    await task
    assert taken == [f"{n} " for n in range(200)]


async def test_a_permission_request_is_handled_before_what_came_after_it(bench: Bencher) -> None:
    made = await (await bench()).ready()
    order: list[str] = []

    async def answer(_: PermissionRequest) -> str | None:
        order.append("asked")
        return "yes"

    made.answer = answer
    made.link._on_update = lambda _: order.append("update")
    await made.play(said("a"), {"ask_open": ASK}, said("b"), {"read": 1})
    assert order == ["update", "asked", "update", "update"]


async def test_meta_does_not_override_arguments(bench: Bencher) -> None:
    made = await (await bench()).ready()
    evil = {"session_id": "EVIL", "update": "EVIL", "sessionId": "EVIL"}
    body = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "good"}, "_meta": evil}
    await made.play({"notify": ["session/update", {"sessionId": "s1", "update": body, "_meta": evil}]})
    assert made.text() == "good"


async def test_updates_of_another_session_are_not_ours(bench: Bencher) -> None:
    made = await (await bench()).ready()
    body = said("foreign")["update"]
    await made.play({"notify": ["session/update", {"sessionId": ["x"], "update": body}]}, said("ours"))
    assert made.text() == "ours"


@pytest.mark.parametrize(
    "line",
    ["[1,2]", '"x"', "null", "17", "not json", "{", '{"id": [1], "result": 1}', '{"method": 5}', "{}", "[" * 100_000],
)
async def test_a_line_that_is_no_message_is_skipped_and_counted(bench: Bencher, line: str) -> None:
    made = await (await bench()).ready()
    result = await made.play({"raw": line}, {"raw": ""}, said("still here"))
    assert result.stop_reason is StopReason.END_TURN
    assert made.text() == "still here"
    assert made.link.skipped == 1


async def test_an_error_that_is_no_object_fails_the_request_only(bench: Bencher) -> None:
    made = await (await bench(answers={"session/list": {"error": "no"}})).ready()
    with pytest.raises(AgentError, match="refused session/list: no"):
        await made.link.request("session/list", {})
    assert (await made.play(said("x"))).error is None


async def test_invalid_utf_8_and_lone_surrogates_become_replacement_characters(bench: Bencher) -> None:
    made = await (await bench()).ready()
    head = b'{"method":"session/update","params":{"sessionId":"s1","update":{"sessionUpdate":"agent_message_chunk",'
    tail = b'"content":{"type":"text","text":"a\xff\\ud83d b"}}}}'
    await made.play({"hex": (head + tail).hex()})
    assert made.text() == "a\ufffd\ufffd b"
    made.text().encode()


async def test_a_message_up_to_the_limit_passes(bench: Bencher) -> None:
    made = await (await bench()).ready()
    result = await made.play({"big": 12 << 20})
    assert result.error is None
    assert len(made.text()) == 12 << 20


async def test_a_message_above_the_limit_ends_the_connection_and_not_the_memory(bench: Bencher) -> None:
    made = await (await bench()).ready()
    result = await made.play({"big": 60 << 20})
    assert result.stop_reason is StopReason.INTERRUPTED
    assert result.error_kind == "protocol"
    assert "more than 32 MB" in str(result.error)
    assert len(made.link._lines._buffer) < 1 << 20
    with pytest.raises(AgentError, match="more than 32 MB"):
        await made.link.request("session/list", {})


async def test_permission_is_asked_and_the_choice_sent(bench: Bencher) -> None:
    made = await (await bench()).ready()
    await made.play({"ask": ASK})
    assert json.loads(made.text()) == {"outcome": {"outcome": "selected", "optionId": "yes"}}
    (request,) = made.asked
    assert (request.call.call_id, request.call.kind, request.call.input) == ("c1", "execute", {"command": "rm"})
    assert [option.kind for option in request.options] == ["allow_once", "reject_once"]


@pytest.mark.parametrize("choice", [None, "not offered"])
async def test_no_choice_is_cancelled(bench: Bencher, choice: str | None) -> None:
    made = await (await bench()).ready()

    async def answer(_: PermissionRequest) -> str | None:
        return choice

    made.answer = answer
    await made.play({"ask": ASK})
    assert json.loads(made.text()) == {"outcome": {"outcome": "cancelled"}}


async def test_an_exception_of_our_side_is_answered_cancelled_and_raised_by_the_prompt(bench: Bencher) -> None:
    made = await (await bench()).ready()

    async def answer(_: PermissionRequest) -> str | None:
        raise OSError("disk full")

    made.answer = answer
    with pytest.raises(OSError, match="disk full"):
        await made.play({"ask": ASK})
    assert json.loads(made.text()) == {"outcome": {"outcome": "cancelled"}}


@pytest.mark.parametrize(
    "method",
    [
        "fs/write_text_file",
        "fs/read_text_file",
        "terminal/create",
        "craft/drainMidTurnQueue",
        "_x/y",
        "elicitation/create",
    ],
)
async def test_every_other_request_is_method_not_found(bench: Bencher, method: str) -> None:
    made = await (await bench()).ready()
    await made.play({"call": [method, {"sessionId": "s1", "path": "/etc/passwd", "content": "x"}]})
    assert json.loads(made.text())["code"] == -32601


async def test_cancel_reaches_the_agent_and_answers_open_questions(bench: Bencher) -> None:
    made = await (await bench()).ready()
    waiting = asyncio.Event()

    async def answer(_: PermissionRequest) -> str | None:
        waiting.set()
        await asyncio.sleep(60)
        return "yes"

    made.answer = answer
    task = asyncio.create_task(
        made.play({"ask_open": ASK}, {"wait_cancel": 1}, {"read": 1}, {"end": {"stopReason": "end_turn"}})
    )
    await waiting.wait()
    await made.link.cancel()
    result = await task
    assert result.stop_reason is StopReason.CANCELLED
    assert json.loads(made.text())["result"] == {"outcome": {"outcome": "cancelled"}}
    assert (await made.play(said("usable"))).stop_reason is StopReason.END_TURN


async def test_an_error_after_cancel_is_the_cancellation(bench: Bencher) -> None:
    made = await (await bench()).ready()
    task = asyncio.create_task(
        made.play(said("go"), {"wait_cancel": 1}, {"error": {"code": -32603, "message": "abort"}})
    )
    await made.until_text()
    await made.link.cancel()
    assert (await task).stop_reason is StopReason.CANCELLED


async def test_cancel_request_withdraws_an_open_question(bench: Bencher) -> None:
    made = await (await bench()).ready()
    withdrawn = asyncio.Event()

    async def answer(_: PermissionRequest) -> str | None:
        try:
            await asyncio.sleep(60)
        finally:
            withdrawn.set()
        return "yes"

    made.answer = answer
    await made.play(
        {"ask_open": ASK},
        {"notify": ["$/cancel_request", {"requestId": {}}]},
        {"notify": ["$/cancel_request", {"requestId": 1001}]},
        {"read": 1},
    )
    assert withdrawn.is_set()
    assert json.loads(made.text())["result"] == {"outcome": {"outcome": "cancelled"}}


async def test_a_question_left_open_at_the_end_of_the_turn_is_withdrawn(bench: Bencher) -> None:
    made = await (await bench()).ready()
    withdrawn = asyncio.Event()

    async def answer(_: PermissionRequest) -> str | None:
        try:
            await asyncio.sleep(60)
        finally:
            withdrawn.set()
        return "yes"

    made.answer = answer
    await made.play({"ask_open": ASK})
    await asyncio.wait_for(withdrawn.wait(), 5)


async def test_death_in_mid_turn_is_interrupted(bench: Bencher) -> None:
    made = await (await bench()).ready()
    result = await made.play(said("x"), {"exit": 3})
    assert result.stop_reason is StopReason.INTERRUPTED
    assert result.error == "Peer was lost: its process ended or closed its output"
    assert (await made.play(said("x"))).stop_reason is StopReason.INTERRUPTED


async def test_one_prompt_at_a_time_and_only_in_a_session(bench: Bencher) -> None:
    made = await bench()
    await made.link.initialize()
    with pytest.raises(Conflict, match="no session"):
        await made.play()
    await made.link.new_session(Path("/work"))
    task = asyncio.create_task(made.play({"sleep": 0.3}))
    await asyncio.sleep(0)
    with pytest.raises(Conflict, match="under way"):
        await made.play()
    await task


async def test_close_is_idempotent_and_final(bench: Bencher) -> None:
    made = await (await bench()).ready()
    await made.link.close()
    await made.link.close()
    with pytest.raises(AgentError, match="not open"):
        await made.link.request("session/list", {})


async def test_text_outside_of_a_first_turn_is_not_shown(bench: Bencher) -> None:
    made = await (await bench(answers={"session/list": {"result": {}, "updates": [said("late")["update"]]}})).ready()
    await made.link.request("session/list", {"sessionId": "s1"})
    assert made.text() == ""


MODES = {"currentModeId": "auto", "availableModes": [{"id": "auto"}, {"id": "default"}]}
TOLD = {"sessionUpdate": "current_mode_update", "currentModeId": "default"}


async def test_mode_that_is_right_from_the_start_is_not_set(bench: Bencher) -> None:
    answers = {"session/new": {"result": {"sessionId": "s1", "modes": {"currentModeId": "default"}}}}
    made = await (await bench(answers=answers, ask=Ask(AskHow.MODE, "default"))).ready()
    assert made.link.mode == "default"
    assert not any(b"set_mode" in line for _, line in made.raw)


async def test_mode_is_set_and_verified(bench: Bencher) -> None:
    answers = {
        "session/new": {"result": {"sessionId": "s1", "modes": MODES}},
        "session/set_mode": {"result": {}, "updates": [TOLD]},
    }
    made = await (await bench(answers=answers, ask=Ask(AskHow.MODE, "default"))).ready()
    assert made.link.mode == "default"


async def test_config_option_is_set_and_verified(bench: Bencher) -> None:
    option = {"id": "mode", "currentValue": "auto"}
    answers = {
        "session/new": {"result": {"sessionId": "s1", "configOptions": [option]}},
        "session/set_config_option": {"result": {"configOptions": [option | {"currentValue": "ask"}]}},
    }
    made = await (await bench(answers=answers, ask=Ask(AskHow.OPTION, "ask"))).ready()
    assert made.link.mode == "ask"


@pytest.mark.parametrize(
    "answer", [{"error": {"code": -32602, "message": "Invalid mode"}}, {"result": {}}, {"result": {"modes": MODES}}]
)
async def test_mode_that_is_not_taken_is_an_error(
    bench: Bencher, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handrail.agents.link.MODE_PATIENCE", 0.1)
    answers = {"session/new": {"result": {"sessionId": "s1", "modes": MODES}}, "session/set_mode": answer}
    made = await bench(answers=answers, ask=Ask(AskHow.MODE, "default"))
    with pytest.raises(AgentError, match=r"Invalid mode|did not take its mode 'default'"):
        await made.ready()


async def test_no_prompt_without_the_mode_that_asks(bench: Bencher) -> None:
    answers = {
        "session/new": {"result": {"sessionId": "s1", "modes": {"currentModeId": "default"}}},
        "session/set_mode": {"error": {"code": -32603, "message": "stuck"}},
    }
    made = await (await bench(answers=answers, ask=Ask(AskHow.MODE, "default"))).ready()
    left = {"sessionUpdate": "current_mode_update", "currentModeId": "bypass"}
    assert (await made.play(said("fine"), {"update": left})).error is None
    result = await made.play(said("unasked"))
    assert result.stop_reason is StopReason.ERROR
    assert "stuck" in str(result.error)
    assert made.text() == "fine"


REPLAY = [said("old answer")["update"], TOLD]


async def test_load_drops_the_replay_and_sets_the_mode(bench: Bencher) -> None:
    answers = {"session/load": {"result": None, "updates": REPLAY}}
    made = await bench(answers=answers, ask=Ask(AskHow.MODE, "default"), resume=Resume(Load.LOAD, trusted=True))
    await made.link.initialize()
    assert await made.link.load_session("s1", Path("/work"))
    assert made.link.mode == "default"
    await made.play(said("new"))
    assert made.text() == "new"


@pytest.mark.parametrize(
    ("resume", "answer", "loaded"),
    [
        (Resume(Load.NONE), {"result": {}}, False),
        (Resume(Load.LOAD, trusted=True), {"error": {"code": -32002, "message": "no such session"}}, False),
        (Resume(Load.LOAD, trusted=False), {"result": {}}, False),
        (Resume(Load.LOAD, trusted=False), {"result": {}, "updates": REPLAY}, True),
        (Resume(Load.LOAD, trusted=True), {"result": {}}, True),
    ],
)
async def test_load_is_true_only_where_it_is_proved(
    bench: Bencher, resume: Resume, answer: dict[str, Any], *, loaded: bool
) -> None:
    made = await bench(answers={"session/load": answer}, resume=resume)
    await made.link.initialize()
    assert await made.link.load_session("s1", Path("/work")) is loaded
    sent = any(b"session/load" in line for _, line in made.raw)
    assert sent is (resume.how is not Load.NONE)


async def test_resume_is_asked_for_by_its_own_method(bench: Bencher) -> None:
    made = await bench(answers={"session/resume": {"result": {}}}, resume=Resume(Load.RESUME, trusted=True))
    await made.link.initialize()
    assert await made.link.load_session("s1", Path("/work"))


async def test_a_system_prompt_as_first_thought_is_not_shown(bench: Bencher) -> None:
    made = await (await bench(opens_with_prompt=True)).ready()
    thought = {"update": {"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": "You are"}}}
    await made.play(thought, said("hi"), thought)
    assert [type(item).__name__ for item in made.updates] == ["Text", "Text"]
    assert made.text() == "hiYou are"


async def test_a_megabyte_on_stderr_does_not_hang_a_turn(tmp_path: Path) -> None:
    backend = open_backend(SandboxKind.NONE)
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    box = await backend.open(Walls(workspace=tmp_path / "work", home=tmp_path / "home"))
    try:
        process = await box.start([sys.executable, "-S", str(PEER)], env={})
        updates: list[object] = []

        async def refuse(_: PermissionRequest) -> str | None:
            return None

        link = AcpLink(a_spec(), process.stdout, process.stdin, on_update=updates.append, on_permission=refuse)
        await link.initialize()
        await link.new_session(tmp_path)
        result = await asyncio.wait_for(link.prompt(json.dumps([{"stderr": 1 << 20}, said("done")])), 20)
        assert result.error is None
        assert updates == [Text("done")]
        await process.kill()
        await link.close()
    finally:
        await backend.close()
