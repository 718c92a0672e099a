"""What the scripted provider never says, but real ones do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handrail.agents.own.memory import History, Memory
from handrail.agents.own.wires import ANTHROPIC, CHAT, GEMINI, RESPONSES, Call, Message, StreamBroken, Wire

WIRES: list[Wire] = [ANTHROPIC, CHAT, GEMINI, RESPONSES]


def answer(wire: Wire, *events: dict[str, Any]) -> Message:
    growing = Message("agent", stop="")
    for event in events:
        wire.take(growing, event)
    return wire.finish(growing)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_what_another_wire_said_is_told_in_this_ones_words(wire: Wire) -> None:
    tool = {"name": "ask", "description": "d", "parameters": {"type": "object", "properties": {}}}
    call = Call("id:1", "shell", args={"command": "x"}, result="out")
    said = Message("agent", "text", [call], wire="other", native=[{"type": "alien"}])
    history = History(wire, wire.head("m", "SYSTEM", [tool], 100), 1000, Memory(live=[Message("user", "hello"), said]))
    request = json.dumps(json.loads(history.request()))
    assert all(part in request for part in ("SYSTEM", "hello", "text", "command", "out", '"name": "ask"'))
    assert "alien" not in request


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_an_answer_without_an_end_is_broken(wire: Wire) -> None:
    with pytest.raises(StreamBroken, match="broke off"):
        answer(wire)


def test_chat_calls_without_index_and_usage_of_the_last_chunk() -> None:
    calls = [{"id": name, "function": {"name": name, "arguments": '{"x": 1}'}} for name in ("a", "b")]
    got = answer(
        CHAT,
        {"choices": [{"delta": {"reasoning_content": "hm", "tool_calls": calls}}]},
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": None}},
    )
    assert [(call.name, call.args) for call in got.calls] == [("a", {"x": 1}), ("b", {"x": 1})]
    assert (got.thought, got.used["input"], got.used["output"]) == ("hm", 5, 2)


def test_chat_calls_cut_short_are_told_to_the_model() -> None:
    piece = {"index": 0, "id": "a", "function": {"name": "write", "arguments": '{"path": "x", "content": "abc'}}
    got = answer(CHAT, {"choices": [{"delta": {"tool_calls": [piece]}, "finish_reason": "length"}]})
    assert got.stop == "length"
    assert "cut off" in (got.calls[0].fault or "")


@pytest.mark.parametrize(
    ("wire", "event"),
    [
        (CHAT, {"error": {"message": "overloaded"}}),
        (ANTHROPIC, {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}),
        (RESPONSES, {"type": "response.failed", "response": {"error": {"message": "overloaded"}}}),
        (RESPONSES, {"type": "error", "message": "overloaded"}),
        (GEMINI, {"error": {"message": "overloaded"}}),
    ],
)
def test_errors_in_mid_stream(wire: Wire, event: dict[str, Any]) -> None:
    with pytest.raises(StreamBroken, match="overloaded"):
        answer(wire, event)


def test_responses_hand_encrypted_reasoning_back_and_nothing_by_id() -> None:
    reasoning: dict[str, Any] = {
        "type": "reasoning",
        "id": "rs",
        "summary": [],
        "encrypted_content": "SECRET",
        "status": None,
    }
    call = {"type": "function_call", "id": "fc", "call_id": "c", "name": "read", "arguments": '{"path": "x"}'}
    items = [reasoning, {"type": "reasoning", "id": "rs2", "summary": []}, call]
    done = [{"type": "response.output_item.done", "item": item} for item in items]
    got = answer(RESPONSES, *done, {"type": "response.completed", "response": {}})
    assert [item["type"] for item in got.native] == ["reasoning", "function_call"]
    assert not any("id" in item for item in got.native)
    incomplete = {"incomplete_details": {"reason": "max_output_tokens"}}
    assert answer(RESPONSES, {"type": "response.incomplete", "response": incomplete}).stop == "length"
    assert "include" in RESPONSES.head("gpt-5.5", "", [], 1)
    assert "include" not in RESPONSES.head("gpt-4.1", "", [], 1)


def test_gemini_hands_signatures_back_where_they_stood() -> None:
    call = {"functionCall": {"name": "read", "args": {"path": "x"}}, "thoughtSignature": "SIGN"}
    parts = [
        {"text": "a"},
        {"text": "b"},
        {"text": "t", "thought": True},
        call,
        {"text": "", "thoughtSignature": "END"},
    ]
    events = [{"candidates": [{"content": {"parts": [part]}}]} for part in parts]
    got = answer(GEMINI, *events, {"candidates": [{"finishReason": "STOP"}]})
    assert list(got.native) == [{"text": "ab"}, call, {"text": "", "thoughtSignature": "END"}]
    assert (got.text, got.thought, got.calls[0].name) == ("ab", "t", "read")
    assert answer(GEMINI, {"promptFeedback": {"blockReason": "SAFETY"}}).stop == "refusal"
    with pytest.raises(StreamBroken):
        answer(GEMINI, {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]})


def test_anthropic_keeps_no_empty_blocks() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "text", "text": ""},
        {"type": "tool_use", "id": "t", "name": "plan", "input": {}},
    ]
    events = [{"type": "content_block_start", "index": at, "content_block": block} for at, block in enumerate(blocks)]
    delta = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}
    got = answer(ANTHROPIC, *events, delta)
    assert list(got.native) == [{"type": "tool_use", "id": "t", "name": "plan", "input": {}}]
