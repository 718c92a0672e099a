"""What a session remembers survives its process: the journal, session/load and session/resume."""

from __future__ import annotations

import asyncio
import json
import resource
from pathlib import Path
from typing import Any

import pytest

from handrail.agents.own.memory import NOT_RUN, UNKNOWN, Journal
from handrail.agents.own.wires import Call, Message
from handrail.errors import Conflict, NotFound
from tests.agents.own.conftest import MakeOwn
from tests.agents.own.driver import Refused
from tests.fake_provider import FakeProvider, prompt

WIRES = ("openai-chat", "openai-responses", "anthropic", "gemini")


@pytest.mark.parametrize("wire", WIRES)
async def test_kill_in_mid_tool_then_load(make: MakeOwn, fake: FakeProvider, wire: str) -> None:
    own = make(WIRE=wire)
    await own.start()
    session = await own.new("auto")
    steps: list[dict[str, Any]] = [
        {"text": "first. ", "shell": "echo 1 > one"},
        {"tools": [{"shell": "echo 2 > two; sleep 9"}, {"shell": "date"}]},
    ]
    asyncio.ensure_future(own.prompt(prompt([*steps, {"text": "never"}]))).add_done_callback(
        lambda done: done.cancelled()
    )
    while not (own.cwd / "two").exists():  # noqa: ASYNC110  # another process makes it
        await asyncio.sleep(0.01)
    await own.kill()

    async with make(WIRE=wire) as again:
        modes = (await again.back(session))["modes"]
        assert modes["currentModeId"] == "auto"
        assert again.text("user_message_chunk").startswith("@@[")
        assert again.text() == "first. "
        assert [tool["status"] for tool in again.tools().values()] == ["completed", "failed", "failed"]
        assert again.outputs() == ["(no output)", UNKNOWN, NOT_RUN]
        again.updates.clear()
        result = await again.prompt(prompt([{"shell": "cat one two"}, {"text": "went on"}]))
        assert result["stopReason"] == "end_turn"
        assert again.outputs() == ["1\n2\n"]
        assert list(again.tools()) == ["call-4"]
    for known in (b"echo 1 > one", b"outcome unknown", NOT_RUN.encode()):
        assert known in fake.model_calls[-1].raw


async def test_resume_replays_nothing_and_knows_all(make: MakeOwn, fake: FakeProvider) -> None:
    async with make() as own:
        session = await own.new()
        await own.prompt("remember the number 4711")
    async with make() as own:
        await own.back(session, "resume")
        assert own.updates == []
        await own.prompt("which number?")
    assert b"4711" in fake.model_calls[-1].raw


async def test_text_that_was_shown_is_remembered_though_the_process_was_killed(
    make: MakeOwn, fake: FakeProvider
) -> None:
    own = make()
    await own.start()
    session = await own.new()
    turn = asyncio.ensure_future(own.prompt(prompt([{"text": "halfway there", "chunks": 13, "delay": 0.2}])))
    await own.until(lambda: len(own.text()) >= 3)
    await own.kill()
    await asyncio.wait([turn])
    async with make() as again:
        await again.back(session)
        assert again.text() == f"{own.text()}\n[interrupted here]"
        await again.prompt("go on")
    assert own.text().encode() in fake.model_calls[-1].raw


async def test_a_session_can_go_on_over_another_wire(make: MakeOwn, fake: FakeProvider) -> None:
    async with make(WIRE=WIRES[-1]) as own:
        session = await own.new("auto")
        await own.prompt(prompt([{"think": "t", "text": "said ", "shell": "echo out"}, {"text": "end"}]))
    for wire in WIRES:
        async with make(WIRE=wire) as own:
            await own.back(session)
            result = await own.prompt(prompt([{"think": "t", "shell": f"echo {wire}"}, {"text": "done"}]))
            assert result["stopReason"] == "end_turn"
        assert all(text in fake.model_calls[-1].raw for text in (b"said ", b"echo out", wire.encode()))


async def test_one_process_a_session(make: MakeOwn) -> None:
    async with make() as own, make() as other:
        session = await own.new()
        with pytest.raises(Refused, match="open in another process"):
            await other.back(session)
        await own.kill()
        await other.back(session)


@pytest.mark.parametrize("session", ["own-0123", "../../etc/passwd", ""])
async def test_unknown_sessions_are_refused(make: MakeOwn, session: str) -> None:
    async with make() as own:
        for how in ("load", "resume"):
            with pytest.raises(Refused):
                await own.back(session, how)


def test_a_torn_tail_is_left_out(tmp_path: Path) -> None:
    """Incident 16 (CC#53821) in the own agent's journal; in the log: tests/store/test_engine.py."""
    journal = Journal(tmp_path, "s", create=True)
    journal.keep("state", mode="auto")
    journal.keep("message", message=Message("user", "hello"))
    journal.close()
    whole = journal.path.read_bytes()
    for tail in (b'{"k":"answer","te', b'\n{"k":"answer"', b"\n\xff\xfe", b"\n[1]", b"\n"):
        journal.path.write_bytes(whole + tail)
        journal = Journal(tmp_path, "s")
        assert journal.memory.live == [Message("user", "hello")] * (tail[:1] == b"\n")
        journal.keep("message", message=Message("agent", "hi"))
        journal.close()
        journal = Journal(tmp_path, "s")
        assert journal.memory.live[-1:] == [Message("agent", "hi")]
        assert journal.memory.mode == "auto"
        journal.close()


OLD = (
    {"k": "session", "cwd": "/w"},
    {"k": "user", "text": "remember 4711"},
    {"k": "answer", "text": "yes", "calls": [[1, "a", "shell", {"command": "ls"}, None]], "stop": "end"},
    {"k": "result", "item": [1, "a", "shell", "out", True]},
)
"""records as the versions before `message` wrote them"""


@pytest.mark.parametrize("how", ["load", "resume"])
async def test_a_session_of_another_version_is_not_pretended_to_be_remembered(make: MakeOwn, how: str) -> None:
    async with make() as own:
        await own.new()
        file = own.home / ".handrail-agent/own-old.jsonl"
        file.write_text("".join(f"{json.dumps(record)}\n" for record in OLD))
        kept = file.read_bytes()
        for _ in range(2):  # it is free for whoever can read it
            with pytest.raises(Refused, match="another version of Handrail's agent: its memory is lost") as refused:
                await own.back("own-old", how)
            assert refused.value.code == -32002
        assert file.read_bytes() == kept
        await own.new()
        assert (await own.prompt(prompt([{"text": "usable"}])))["stopReason"] == "end_turn"


def test_calls_and_results_are_paired(tmp_path: Path) -> None:
    calls = [Call(name, "shell", args={"command": name}, number=at) for at, name in enumerate("abc", 1)]
    journal = Journal(tmp_path, "s", create=True)
    journal.keep("message", message=Message("agent", "", calls))
    journal.keep("call", number=1, result=UNKNOWN, ok=False)
    journal.keep("call", number=1, result="out", ok=True)
    journal.keep("call", number=2, result=UNKNOWN, ok=False)
    journal.close()
    memory = Journal(tmp_path, "s").memory
    done, begun, never = memory.live[0].calls
    assert done == Call("a", "shell", args={"command": "a"}, number=1, result="out", ok=True)
    assert (begun.result, never.result, begun.ok, never.ok) == (UNKNOWN, NOT_RUN, False, False)
    assert memory.calls == 3


def test_journals_are_private_and_held(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", "s", create=True)
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o700
    with pytest.raises(Conflict):
        Journal(tmp_path / "j", "s")
    journal.close()
    Journal(tmp_path / "j", "s").close()
    with pytest.raises(NotFound):
        Journal(tmp_path / "j", "t")


async def test_what_is_shown_was_written_before(make: MakeOwn) -> None:
    async with make() as own:
        session = await own.new("auto")
        file = own.home / f".handrail-agent/{session}.jsonl"
        turn = asyncio.ensure_future(own.prompt(prompt([{"text": "abc", "chunks": 3, "delay": 0.1}])))
        for length in (1, 2, 3):
            await own.until(lambda n=length: len(own.text()) >= n)  # type: ignore[misc]
            records = [json.loads(line) for line in file.read_text().splitlines()[1:]]
            assert len("".join(record["text"] for record in records if record["k"] == "chunk")) >= length
        await turn


async def test_a_full_disk_is_said_and_survived(make: MakeOwn, fake: FakeProvider) -> None:
    async with make() as own:
        session = await own.new("auto")
        size = (own.home / f".handrail-agent/{session}.jsonl").stat().st_size
        resource.prlimit(own.process.pid, resource.RLIMIT_FSIZE, (size + 500, resource.RLIM_INFINITY))
        with pytest.raises(Refused, match="takes no more"):
            await own.prompt(prompt([{"shell": "echo {}"}, {"repeat": 9, "step": {"shell": "echo {i}"}}]))
        resource.prlimit(own.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert (await own.prompt("and now?"))["stopReason"] == "end_turn"
    async with make() as own:
        await own.back(session)
        assert (await own.prompt("still whole?"))["stopReason"] == "end_turn"
    messages = fake.model_calls[-1].body["messages"]
    calls = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    assert calls == [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert [message["content"] for message in messages if message["role"] == "user"][-2:] == [
        "and now?",
        "still whole?",
    ]
