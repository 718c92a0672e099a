from __future__ import annotations

import json
from typing import Any

import pytest

from handrail.errors import InvalidInput
from handrail.gateway import Provider, Wire
from handrail.gateway.demo import DEMO, FILE, play
from handrail.gateway.providers import Providers
from handrail.gateway.routes import Action, Format, Route, match
from handrail.types import NanoUSD
from tests.fake_provider.forms import FORMATS
from tests.gateway.conftest import SESSION, Lab

CALL = Route(Format.ANTHROPIC, Action.CALL, "messages")
TOOLS = [{"name": "search"}, {"name": "write"}]


async def answer(*messages: object, tools: object = TOOLS) -> dict[str, Any]:
    """What the script says to a conversation, whole."""
    played = play(CALL, json.dumps({"messages": messages, "tools": tools}).encode())
    found: dict[str, Any] = json.loads(await played.read())
    assert await played.read() == b""
    return found


def said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def did(*, well: bool = True) -> list[dict[str, Any]]:
    result = {"type": "tool_result", "content": "…", "is_error": not well}
    return [{"role": "assistant", "content": []}, {"role": "user", "content": [result]}]


async def test_it_says_what_it_is_looks_round_asks_to_write_and_names_what_comes_next() -> None:
    first = await answer(said("Mend it"))
    assert "I am not a model" in first["content"][0]["text"]
    assert first["content"][1]["name"] == "search"
    second = await answer(said("Mend it"), *did())
    assert second["stop_reason"] == "tool_use"
    assert second["content"][1]["input"]["path"] == FILE
    assert "> Mend it" in second["content"][1]["input"]["content"]
    for well, words in ((True, "under *Changes*"), (False, "You refused it")):
        last = await answer(said("Mend it"), *did(), *did(well=well))
        assert last["stop_reason"] == "end_turn"
        assert words in last["content"][0]["text"]
        assert "handrail providers set" in last["content"][0]["text"]


@pytest.mark.parametrize(
    ("messages", "tools"),
    [([said("Mend it"), *did(), said("And more")], TOOLS), ([said("Mend it")], []), ([], None), ([1, {}], [{}])],
)
async def test_what_it_has_no_part_for_is_answered_in_words(messages: list[object], tools: object) -> None:
    told = await answer(*messages, tools=tools)
    assert [block["type"] for block in told["content"]] == ["text"]
    assert "handrail providers set" in told["content"][0]["text"]


async def test_what_is_no_call_or_no_json_gets_an_answer_too() -> None:
    assert "msg_demo" in (await play(CALL, b"[").read()).decode()
    models = match("GET", "/v1/models", {"anthropic-version": "x"})
    counting = match("POST", "/v1/messages/count_tokens", {})
    assert models
    assert counting
    assert json.loads(await play(models, b"").read())["data"][0]["id"] == "scripted"
    assert json.loads(await play(counting, b"12345678").read()) == {"input_tokens": 2}


async def test_it_plays_through_the_gateway_at_no_cost_and_nothing_leaves(lab: Lab) -> None:
    grant = lab.gateway.grant(SESSION, budget=NanoUSD(1), spent=NanoUSD(0), on_call=lab.note, provider=DEMO.name)
    lab.token = grant.token
    response = await lab.ask(FORMATS["anthropic"], "Hello", stream=True)
    assert response.status_code == 200
    assert "message_stop" in response.text
    (call,) = await lab.told()
    assert (call.provider, call.model, call.cost, call.partial) == ("demo", "scripted", 0, False)
    assert call.output_tokens > 0
    assert lab.fake.calls == []


def test_its_name_is_its_own_and_no_list_has_it() -> None:
    known = Providers()
    assert known.get("demo") is DEMO
    assert known.resolve(Wire.ANTHROPIC, "demo") is DEMO
    assert known.resolve(Wire.ANTHROPIC) is None
    assert list(known) == []
    with pytest.raises(InvalidInput, match="choose another"):
        known.add(Provider("demo", Wire.OPENAI, "https://x.example", "k"))
