from __future__ import annotations

import json

from handrail.agents.own.memory import History, Memory
from handrail.agents.own.wires import CHAT, Call, Message
from tests.agents.own.conftest import MakeOwn
from tests.fake_provider import FakeProvider, prompt


def step(number: int, output: str) -> list[Message]:
    call = Call(f"id{number}", "shell", args={"command": f"c{number}"}, number=number, result=output, ok=True)
    return [Message("agent", "", [call])]


def history(window: int, *messages: Message) -> History:
    return History(CHAT, {"messages": [{}]}, window, Memory(said=list(messages), live=list(messages)))


def make_room(past: History, notes: str = "NOTES") -> tuple[str, str]:
    """As a session does it: what was done, and what was asked for that."""
    asked: list[str] = []

    def ask(request: bytes) -> str:
        asked.append(request.decode())
        return notes

    how, messages = past.smaller(ask)
    past.memory.take("compacted", {"messages": messages})
    past.forget()
    return how, "".join(asked)


def test_old_results_are_shortened_first() -> None:
    past = history(11_000, Message("user", "goal"), *(m for n in range(1, 11) for m in step(n, f"{n}" * 3000)))
    assert not past.full
    past = history(9000, *past.memory.live)
    assert past.full
    assert make_room(past) == ("old tool results were shortened", "")
    lengths = [len(call.result or "") for message in past.memory.live for call in message.calls]
    assert max(lengths[:-3]) < 800
    assert lengths[-3:] == [3000, 3000, 6000]
    assert past.used < 0.6 * 9000
    assert json.loads(past.request())["messages"][1]["content"] == "goal"


def test_a_summary_keeps_goal_newest_request_and_last_steps() -> None:
    steps = [m for n in range(1, 41) for m in step(n, f"out{n} " * 60)]
    past = history(
        4000, Message("user", "the goal"), Message("agent", "yes"), Message("user", "the newest wish"), *steps
    )
    how, asked = make_room(past, "NOTES 1")
    assert how.startswith("older steps were summarised")
    assert "out1 out1" in asked
    first, *kept = past.memory.live
    assert first.role == "user"
    assert all(text in first.text for text in ("the goal", "the newest wish", "NOTES 1"))
    assert past.used < 0.5 * 4000
    assert kept == past.memory.said[-len(kept) :]
    assert kept[0].role == "agent"
    for message in (Message("user", "a later wish"), *steps):
        past.memory.take("message", {"message": message})
    _, asked = make_room(past, "NOTES 2")
    text = past.memory.live[0].text
    assert text.count("<goal>") == 1
    assert all(part in text for part in ("<goal>\nthe goal\n</goal>", "NOTES 2", "a later wish"))
    assert "NOTES 1" in asked


def test_a_window_that_cannot_be_emptied_is_left_alone() -> None:
    past = history(100, Message("user", "x" * 2000))
    assert past.full
    make_room(past, "x" * 2000)
    assert not past.full


async def test_a_small_window_is_kept(make: MakeOwn, fake: FakeProvider) -> None:
    window = 12_000
    async with make(CONTEXT=str(window)) as own:
        session = await own.new("auto")
        await own.prompt("the goal is a green house")
        for turn in range(4):
            work = {"repeat": 6, "step": {"shell": f"echo {turn} {{i}}; head -c 3000 /dev/zero | tr '\\0' {turn}"}}
            assert (await own.prompt(prompt([work, {"text": "ok"}])))["stopReason"] == "end_turn"
        thoughts = own.text("agent_thought_chunk")
        assert "old tool results were shortened" in thoughts
        assert "older steps were summarised" in thoughts
        assert max(update["used"] for update in own.of("usage_update")) < window
    bodies = [call.raw for call in fake.model_calls]
    assert max(map(len, bodies)) < window * 4
    asked = [body for body in bodies if b"Below is the record" in body]
    assert asked
    assert all(b'"tools"' not in body for body in asked)
    assert b"green house" in bodies[-1]
    for body in bodies:
        ids = [m.get("tool_call_id") for m in json.loads(body)["messages"] if m["role"] == "tool"]
        calls = [c["id"] for m in json.loads(body)["messages"] for c in m.get("tool_calls", ())]
        assert ids == calls
    async with make(CONTEXT=str(window)) as own:
        await own.back(session)
        assert own.text("user_message_chunk").startswith("the goal is a green house")
        await own.prompt("what was the goal?")
    assert b"green house" in fake.model_calls[-1].raw
    assert len(fake.model_calls[-1].raw) < window * 4


async def test_a_provider_that_finds_it_too_long_is_asked_again_with_less(make: MakeOwn) -> None:
    async with make() as own:
        await own.new("auto")
        await own.prompt("the goal")
        fault = {"fault": "400", "times": 1, "text": "prompt is too long: 300000 tokens > 200000 maximum"}
        assert (await own.prompt(prompt([fault, {"text": "fits"}])))["stopReason"] == "end_turn"
        assert own.text().endswith("fits")
