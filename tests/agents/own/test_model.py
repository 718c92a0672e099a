from __future__ import annotations

import asyncio

import pytest

from handrail.agents import Failure
from handrail.agents.decode import Decoder
from handrail.agents.faults import of_rpc
from tests.agents.own.conftest import MakeOwn
from tests.agents.own.driver import Refused
from tests.fake_provider import FakeProvider, prompt

WIRES = ("openai-chat", "openai-responses", "anthropic", "gemini")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", ["429", "500", "broken_sse", "drop"])
async def test_what_passes_is_tried_again(make: MakeOwn, fake: FakeProvider, wire: str, fault: str) -> None:
    async with make(WIRE=wire) as own:
        await own.new("auto")
        result = await own.prompt(prompt([{"fault": fault, "times": 2}, {"shell": "echo once >> x"}, {"text": "fine"}]))
        assert result["stopReason"] == "end_turn"
        assert own.text().endswith("fine")
        assert (own.cwd / "x").read_text() == "once\n"
        assert "attempt 3 of 5" in own.text("agent_thought_chunk")
        assert len(fake.model_calls) == 4
        broken_off = {update["messageId"] for update in own.of("agent_message_chunk")}
        assert len(broken_off) == (3 if fault in {"broken_sse", "drop"} else 1)


STAYS = [
    ("500", "provider", -32603, 3),
    ("429", "limit", -32603, 3),
    ("401", "auth", -32000, 1),
    ("400", "provider", -32603, 1),
    ("drop", "provider", -32603, 3),
]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stays", STAYS, ids=lambda stays: stays[0])
async def test_what_stays_is_an_error(
    make: MakeOwn, fake: FakeProvider, wire: str, stays: tuple[str, str, int, int]
) -> None:
    fault, kind, code, calls = stays
    async with make(WIRE=wire, ATTEMPTS="3") as own:
        await own.new()
        with pytest.raises(Refused) as refused:
            await own.prompt(prompt([{"fault": fault}]))
        assert (refused.value.code, of_rpc(code, str(refused.value), None).kind) == (code, kind)
        assert len(fake.model_calls) == calls
        if fault.isdigit():
            assert f"HTTP {fault}: scripted" in str(refused.value)
        assert (await own.prompt(prompt([{"text": "usable"}])))["stopReason"] == "end_turn"


async def test_a_spent_budget_is_not_tried_again(make: MakeOwn, fake: FakeProvider) -> None:
    async with make() as own:
        await own.new()
        for fault in ("429", "400"):
            with pytest.raises(Refused, match="budget of this session is spent") as refused:
                await own.prompt(prompt([{"fault": fault, "text": "the budget of this session is spent"}]))
            assert of_rpc(refused.value.code, str(refused.value), None).kind == "limit"
    assert len(fake.model_calls) == 2


async def test_retry_after_is_honoured_within_reason(make: MakeOwn) -> None:
    async with make() as own:
        await own.new()
        began = asyncio.get_running_loop().time()
        await own.prompt(prompt([{"fault": "429", "times": 1, "retry_after": 1}]))
        assert 1 <= asyncio.get_running_loop().time() - began < 8
        with pytest.raises(Refused, match="given up after 1 attempt"):
            await own.prompt(prompt([{"fault": "429", "retry_after": 3600}]))


async def test_drivers_know_a_failed_attempt_from_a_thought(make: MakeOwn) -> None:
    async with make() as own:
        await own.new()
        await own.prompt(prompt([{"fault": "500", "times": 1}]))
        (told,) = (Decoder().update(update) for update in own.of("agent_thought_chunk"))
        assert isinstance(told, Failure)
        assert told.retrying
        assert "attempt 2 of 5" in told.title


@pytest.mark.parametrize("fault", ["stall", "no_answer"])
async def test_silence_can_be_cancelled(make: MakeOwn, fake: FakeProvider, fault: str) -> None:
    async with make() as own:
        await own.new()
        turn = own.begin(
            "session/prompt", sessionId=own.session, prompt=[{"type": "text", "text": prompt([{"fault": fault}])}]
        )
        while not fake.calls:  # noqa: ASYNC110  # the provider tells nobody
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        began = asyncio.get_running_loop().time()
        own.cancel()
        assert (await turn)["stopReason"] == "cancelled"
        assert asyncio.get_running_loop().time() - began < 3
        assert (await own.prompt(prompt([{"text": "usable"}])))["stopReason"] == "end_turn"
    assert len(fake.calls) == 2


async def test_silence_ends_by_itself(make: MakeOwn) -> None:
    async with make(IDLE="0.3", ATTEMPTS="2") as own:
        await own.new()
        with pytest.raises(Refused, match="given up after 2 attempts"):
            await own.prompt(prompt([{"fault": "stall"}]))


async def test_waiting_for_the_next_attempt_can_be_cancelled(make: MakeOwn) -> None:
    async with make(BACKOFF="30") as own:
        await own.new()
        turn = own.begin(
            "session/prompt", sessionId=own.session, prompt=[{"type": "text", "text": prompt([{"fault": "500"}])}]
        )
        await own.until(lambda: bool(own.text("agent_thought_chunk")))
        own.cancel()
        assert (await asyncio.wait_for(turn, 5))["stopReason"] == "cancelled"


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"MODEL_URL": ""}, "HANDRAIL_MODEL_URL is not set"),
        ({"MODEL": ""}, "HANDRAIL_MODEL is not set"),
        ({"MODEL_URL": "http://127.0.0.1:9", "ATTEMPTS": "2"}, "given up after 2 attempts"),
    ],
)
async def test_no_model_is_said_plainly(make: MakeOwn, env: dict[str, str], message: str) -> None:
    async with make(**env) as own:
        await own.new()
        with pytest.raises(Refused, match=message):
            await own.prompt("hello")
