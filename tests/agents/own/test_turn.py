"""Turns on every wire: tools, permissions, cancelling, going in circles, plan and ask."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.agents.own.conftest import MakeOwn
from tests.agents.own.driver import Own, Refused
from tests.fake_provider import FakeProvider, prompt

WIRES = ("openai-chat", "openai-responses", "anthropic", "gemini")


@pytest.mark.parametrize("wire", WIRES)
async def test_a_whole_turn_on_every_wire(make: MakeOwn, fake: FakeProvider, wire: str) -> None:
    script = prompt(
        [
            {"think": "hmm", "text": "I look. ", "shell": "echo hel''lo"},
            {"tools": [{"write": {"path": "a/b.txt", "content": "one\ntwo\n"}}, {"read": "a/b.txt"}]},
            {"edit": {"path": "a/b.txt", "old": "two", "new": "zwei"}},
            {"search": "zw.i"},
            {"text": "all done", "chunks": 3, "delay": 0.01},
        ]
    )
    async with make(WIRE=wire) as own:
        await own.new("auto")
        result = await own.prompt(script)
        assert result["stopReason"] == "end_turn"
        assert own.text() == "I look. all done"
        assert own.text("agent_thought_chunk") == "hmm"
        assert (own.cwd / "a/b.txt").read_text() == "one\nzwei\n"
        tools = list(own.tools().values())
        assert [tool["kind"] for tool in tools] == ["execute", "edit", "read", "edit", "search"]
        assert {tool["status"] for tool in tools} == {"completed"}
        shell, written, read, edited, found = own.outputs()
        assert shell == "hello\n"
        assert "     2\ttwo" in read
        assert (written, edited) == ("", "")  # their content is the difference
        assert found == "a/b.txt:2:zwei\n"
        diff = tools[3]["content"][0]
        assert (diff["oldText"], diff["newText"]) == ("one\ntwo\n", "one\nzwei\n")
        assert tools[1]["content"][0].get("oldText") is None
        assert tools[3]["locations"] == [{"path": str(own.cwd / "a/b.txt"), "line": 2}]
        assert own.of("usage_update")[-1]["size"] == 128_000
        usage = result["usage"]
        assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"] > 0
    assert len(fake.model_calls) == 5
    key = {"anthropic": ("x-api-key", "t-1"), "gemini": ("x-goog-api-key", "t-1")}
    name, value = key.get(wire, ("authorization", "Bearer t-1"))
    assert {call.headers[name] for call in fake.model_calls} == {value}
    assert not any(call.disconnected for call in fake.model_calls)


async def test_every_request_begins_with_the_bytes_of_the_one_before(make: MakeOwn, fake: FakeProvider) -> None:
    async with make() as own:
        await own.new("auto")
        await own.prompt(prompt([{"repeat": 4, "step": {"shell": "true # {i}"}}]))
    bodies = [call.raw for call in fake.model_calls]
    assert all(later.startswith(earlier[:-2]) for earlier, later in itertools.pairwise(bodies))


async def test_anthropic_marks_what_can_be_cached(make: MakeOwn, fake: FakeProvider) -> None:
    async with make(WIRE="anthropic") as own:
        await own.new("auto")
        await own.prompt(prompt([{"think": "so", "shell": "true"}, {"text": "x"}]))
    for call in fake.model_calls:
        assert "cache_control" in call.body["system"][0]
        assert "cache_control" in call.body  # https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching
    last = fake.model_calls[-1].body["messages"]
    assert [block["type"] for block in last[1]["content"]] == ["thinking", "tool_use"]
    assert last[1]["content"][0]["signature"] == "scripted"


async def test_asks_before_it_acts_and_never_to_look(make: MakeOwn) -> None:
    steps: list[dict[str, Any]] = [{"write": {"path": "x", "content": "1"}}, {"text": "end"}]
    async with make() as own:
        (own.cwd / "seen").write_text("see")
        await own.new()
        own.choose = lambda asked: "reject" if asked["toolCall"]["title"] == "rm x" else "allow"
        await own.prompt(prompt([{"read": "seen"}, {"search": "see"}, *steps]))
        assert [asked["toolCall"]["kind"] for asked in own.asked] == ["edit"]
        assert own.asked[0]["toolCall"]["content"][0]["newText"] == "1"
        assert [option["kind"] for option in own.asked[0]["options"]] == ["allow_once", "allow_always", "reject_once"]
        result = await own.prompt(prompt([{"shell": "rm x"}, {"text": "went on"}]))
        assert result["stopReason"] == "end_turn"
        assert own.text().endswith("went on")
        assert (own.cwd / "x").exists()
        assert list(own.tools().values())[-1]["status"] == "failed"
        assert "refused" in own.outputs()[-1]


async def test_reads_outside_the_workspace_are_asked_for(make: MakeOwn, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    async with make() as own:
        (own.cwd / "link").symlink_to(tmp_path / "secret")
        await own.new()
        own.choose = lambda _: "reject"
        await own.prompt(prompt([{"read": "../secret"}, {"read": "link"}]))
        assert len(own.asked) == 2
        assert "s3cret" not in "".join(own.outputs())


async def test_always_lasts_for_the_session_even_after_a_load(make: MakeOwn) -> None:
    async with make() as own:
        session = await own.new()
        own.choose = lambda _: "always"
        await own.prompt(prompt([{"shell": "true"}, {"shell": "true # 2"}, {"write": {"path": "x", "content": "1"}}]))
        assert [asked["toolCall"]["kind"] for asked in own.asked] == ["execute", "edit"]
    async with make() as own:
        await own.back(session, "resume")
        await own.prompt(prompt([{"shell": "true # 3"}]))
        assert own.asked == []


async def test_a_change_made_while_the_person_thought_is_not_overwritten(make: MakeOwn) -> None:
    async with make() as own:
        file = own.cwd / "x"
        file.write_text("old")

        def meddle(_: object) -> str:
            file.write_text("somebody else's")
            return "allow"

        own.choose = meddle
        await own.new()
        await own.prompt(prompt([{"edit": {"path": "x", "old": "old", "new": "new"}}]))
        assert file.read_text() == "somebody else's"
        assert "changed by somebody else" in own.outputs()[-1]


async def test_a_cancelled_permission_ends_the_turn(make: MakeOwn) -> None:
    async with make() as own:
        await own.new()
        own.choose = lambda _: None
        result = await own.prompt(prompt([{"tools": [{"shell": "touch x"}, {"shell": "touch y"}]}, {"text": "no"}]))
        assert result["stopReason"] == "cancelled"
        assert list(own.cwd.iterdir()) == []
        own.choose = lambda _: "allow"
        assert (await own.prompt(prompt([{"text": "again"}])))["stopReason"] == "end_turn"


async def cancelled(own: Own, script: str, wanted: Any) -> float:
    turn = asyncio.ensure_future(own.prompt(script))
    await own.until(wanted)
    began = asyncio.get_running_loop().time()
    own.cancel()
    assert (await turn)["stopReason"] == "cancelled"
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("wire", WIRES)
async def test_cancel_while_streaming(make: MakeOwn, fake: FakeProvider, wire: str) -> None:
    async with make(WIRE=wire) as own:
        await own.new()
        script = prompt([{"text": "a long answer that goes on", "chunks": 13, "delay": 0.5}])
        assert await cancelled(own, script, own.text) < 3
        await own.prompt(prompt([{"text": "still here"}]))
        assert own.text().endswith("still here")
        assert b"[interrupted here]" in fake.model_calls[-1].raw


async def test_cancel_in_a_command_kills_it(make: MakeOwn) -> None:
    async with make() as own:
        await own.new("auto")
        script = prompt([{"tools": [{"shell": "sleep 3 && touch late & sleep 30"}, {"shell": "touch next"}]}])
        assert await cancelled(own, script, lambda: own.of("tool_call")) < 2
        first = next(iter(own.tools().values()))
        assert first["status"] == "failed"
        assert "outcome unknown" in own.outputs()[0]
        result = await own.prompt(prompt([{"shell": "echo alive"}]))
        assert result["stopReason"] == "end_turn"
        assert own.outputs()[-1] == "alive\n"
        await asyncio.sleep(3)
        assert list(own.cwd.iterdir()) == []


async def test_cancel_while_a_permission_is_open(make: MakeOwn) -> None:
    async with make() as own:
        await own.new()
        own.choose = lambda _: "wait"
        assert await cancelled(own, prompt([{"shell": "touch x"}]), lambda: own.asked) < 3
        assert list(own.cwd.iterdir()) == []


async def test_going_in_circles_is_told_once_and_then_fails(make: MakeOwn, fake: FakeProvider) -> None:
    async with make() as own:
        await own.new("auto")
        with pytest.raises(Refused, match="stuck: the same call of `shell` gave the same result 6 times"):
            await own.prompt(prompt([{"repeat": 50, "step": {"shell": "false"}}]))
        assert len(fake.model_calls) == 6
        hinted = [call.raw.count(b"Do something else") for call in fake.model_calls]
        assert hinted == [0, 0, 0, 1, 1, 1]


async def test_work_that_changes_files_is_no_circle(make: MakeOwn) -> None:
    async with make() as own:
        await own.new("auto")
        steps = [{"write": {"path": "x", "content": "{i}"}}, {"shell": "false"}]
        assert (await own.prompt(prompt([{"repeat": 8, "steps": steps}])))["stopReason"] == "end_turn"


async def test_two_empty_answers_fail(make: MakeOwn) -> None:
    async with make() as own:
        await own.new()
        with pytest.raises(Refused, match="stuck: two empty answers"):
            await own.prompt(prompt([{"text": ""}, {"text": ""}, {"text": ""}]))


async def test_the_number_of_steps_is_bounded(make: MakeOwn, fake: FakeProvider) -> None:
    async with make(MAX_STEPS="3") as own:
        await own.new("auto")
        result = await own.prompt(prompt([{"repeat": 9, "step": {"shell": "echo {i}"}}]))
        assert result["stopReason"] == "max_turn_requests"
        assert len(fake.model_calls) == 3


@pytest.mark.parametrize("wire", WIRES)
async def test_a_refusal_is_no_success(make: MakeOwn, wire: str) -> None:
    async with make(WIRE=wire) as own:
        await own.new()
        assert (await own.prompt(prompt([{"fault": "refuse"}])))["stopReason"] == "refusal"


async def test_plan(make: MakeOwn) -> None:
    entries = [{"text": "look", "status": "completed"}, {"text": "act", "status": "in_progress"}]
    async with make() as own:
        session = await own.new()
        await own.prompt(prompt([{"tool": "plan", "args": {"entries": entries}}, {"tool": "plan", "args": {}}]))
        (plan,) = own.of("plan")
        assert [(entry["content"], entry["status"]) for entry in plan["entries"]] == [
            ("look", "completed"),
            ("act", "in_progress"),
        ]
        assert own.tools() == {}
    async with make() as own:
        await own.back(session)
        assert own.of("plan")[0]["entries"] == plan["entries"]


async def test_ask_offers_answers_or_ends_the_turn(make: MakeOwn, fake: FakeProvider) -> None:
    question = {"tool": "ask", "args": {"question": "Which?", "options": ["red", "blue"]}}
    async with make() as own:
        await own.new()
        own.choose = lambda asked: str(asked["options"][1]["optionId"])
        await own.prompt(prompt([question]))
        assert [option["name"] for option in own.asked[0]["options"]] == ["red", "blue", "None of these"]
        assert own.outputs() == ["The person chose: blue"]
        result = await own.prompt(prompt([{"tool": "ask", "args": {"question": "Why?"}}, {"text": "never"}]))
        assert result["stopReason"] == "end_turn"
        assert own.text().endswith("Why?\n")
        await own.prompt("because")
        assert b"their answer comes next" in fake.model_calls[-1].raw


async def test_nobody_is_asked_in_auto(make: MakeOwn) -> None:
    async with make() as own:
        await own.new("auto")
        await own.prompt(prompt([{"tool": "ask", "args": {"question": "Which?", "options": ["red"]}}]))
        assert own.asked == []
        assert "yourself" in own.outputs()[0]


async def test_bad_calls_are_told_to_the_model(make: MakeOwn) -> None:
    bad: list[dict[str, Any]] = [
        {"tool": "fly", "args": {}},
        {"tool": "read", "args": {"path": "missing"}},
        {"tool": "read", "args": {"path": 5}},
        {"tool": "shell", "args": {}},
        {"tool": "search", "args": {"pattern": "("}},
    ]
    async with make() as own:
        await own.new("auto")
        assert (await own.prompt(prompt([{"tools": bad}])))["stopReason"] == "end_turn"
        fly, missing, number, nothing, pattern = own.outputs()
        assert "there is no tool `fly`" in fly
        assert "No such file" in missing
        assert "Expected `str`, got `int`" in number
        assert "missing required field `command`" in nothing
        assert pattern
        assert {tool["status"] for tool in own.tools().values()} == {"failed"}


async def test_large_and_broken_output_reaches_the_model_bounded(make: MakeOwn, fake: FakeProvider) -> None:
    async with make() as own:
        await own.new("auto")
        binary = "head -c 60000 /dev/zero | tr '\\0' x; printf '\\377\\376 end\\033[31m'"
        await own.prompt(prompt([{"shell": binary}]))
        (output,) = own.outputs()
        assert 30_000 < len(output) < 33_000
        assert "characters left out" in output
        assert output.endswith("\ufffd\ufffd end\n")
    assert len(fake.model_calls[-1].raw) < 45_000


async def test_progress_of_a_long_command_is_shown(make: MakeOwn) -> None:
    async with make() as own:
        await own.new("auto")
        await own.prompt(prompt([{"shell": "echo first; sleep 1.3; echo second"}]))
        contents = [update["content"][0]["content"]["text"] for update in own.of("tool_call_update")]
        assert contents == ["first\n", "first\nsecond\n"]


async def test_guides_are_read(make: MakeOwn, fake: FakeProvider) -> None:
    async with make() as own:
        (own.cwd / ".git").mkdir()
        (own.cwd / "AGENTS.md").write_text("ROOT RULES")
        (own.cwd / "CLAUDE.md").write_text("not this one")
        await own.new("auto")
        await own.prompt("hello")
    assert b"ROOT RULES" in fake.model_calls[0].raw
    assert b"not this one" not in fake.model_calls[0].raw
