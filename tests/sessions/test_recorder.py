from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.agents import Context, Diff, Failure, Plan, PlanEntry, Text, ToolUpdate
from handrail.kinds import Kind
from handrail.sessions.recorder import Recorder, printable
from handrail.store import sessions as rows
from handrail.store.engine import Store
from handrail.store.sessions import SessionRow
from handrail.types import Event, SandboxKind, SessionId, now

SESSION = SessionId("s-1")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path / "handrail.db") as opened:
        row = SessionRow(
            id=SESSION,
            number=1,
            title="",
            agent="handrail",
            repository="/r",
            repository_key="r",
            workspace="/w",
            base="0" * 40,
            branch="handrail/s-1",
            sandbox=SandboxKind.NONE,
            created=now(),
            updated=now(),
        )
        await opened.log.append(SESSION, [], rows.insert(row))
        yield opened


@pytest.fixture
async def recorder(store: Store) -> AsyncIterator[Recorder]:
    made = Recorder(store.log, SESSION, 1000)
    made.begin(1)
    yield made
    await made.close()


async def recorded(store: Store, recorder: Recorder) -> list[Event]:
    await recorder.drain()
    return await store.log.read(SESSION)


async def test_text_is_joined_and_keeps_its_order_with_tools(store: Store, recorder: Recorder) -> None:
    for piece in ("Look", "ing ", "at it"):
        recorder.update(Text(piece))
    recorder.update(ToolUpdate("c1", title="Read a.py", kind="read", status="in_progress"))
    recorder.update(Text("hm", thought=True))
    recorder.update(Text("done"))
    events = await recorded(store, recorder)
    assert [event.kind for event in events] == [
        Kind.AGENT_TEXT,
        Kind.TOOL_STARTED,
        Kind.AGENT_THOUGHT,
        Kind.AGENT_TEXT,
    ]
    assert events[0].data["text"] == "Looking at it"
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert {event.turn for event in events} == {1}


async def test_two_messages_are_not_joined(store: Store, recorder: Recorder) -> None:
    recorder.update(Text("a", message_id="1"))
    recorder.update(Text("b", message_id="2"))
    assert [event.data["text"] for event in await recorded(store, recorder)] == ["a", "b"]


async def test_a_tool_call_is_folded_into_one_card(store: Store, recorder: Recorder) -> None:
    recorder.update(ToolUpdate("c1", title="Write", kind="edit", status="pending", input={}))
    recorder.update(ToolUpdate("c1", title="Write a.py", input={"path": "a.py"}, diffs=(Diff("a.py", None, "x"),)))
    recorder.update(ToolUpdate("c1", title="Write a.py", input={"path": "a.py"}))
    recorder.update(ToolUpdate("c1", status="completed", output="ok"))
    recorder.update(ToolUpdate("c1", status="completed", output="ok"))
    events = await recorded(store, recorder)
    assert [event.kind for event in events] == [Kind.TOOL_STARTED, Kind.TOOL_UPDATED, Kind.TOOL_ENDED]
    assert events[1].data["diffs"] == [{"path": "a.py", "old": None, "new": "x"}]
    assert events[2].data["status"] == "completed"
    assert events[2].data["output"] == "ok"
    assert recorder.tools == 1


async def test_a_first_mention_that_is_already_the_end_shows_both(store: Store, recorder: Recorder) -> None:
    recorder.update(ToolUpdate("c1", title="ls", kind="execute", status="failed", output="no"))
    events = await recorded(store, recorder)
    assert [event.kind for event in events] == [Kind.TOOL_STARTED, Kind.TOOL_ENDED]
    assert events[1].data | {"seconds": 0} == {"call": "c1", "status": "failed", "output": "no", "seconds": 0}


async def test_open_cards_are_settled_by_name(store: Store, recorder: Recorder) -> None:
    recorder.update(ToolUpdate("c1", title="a"))
    recorder.update(ToolUpdate("c2", title="b"))
    recorder.deny("c2")
    recorder.settle()
    ended = [event.data for event in await recorded(store, recorder) if event.kind == Kind.TOOL_ENDED]
    assert [data["status"] for data in ended] == ["interrupted", "denied"]
    assert recorder.tool(ToolUpdate("c1", status="completed")) is None


async def test_output_is_bounded_and_printable(store: Store, recorder: Recorder) -> None:
    recorder.update(ToolUpdate("c1", title="cat", status="completed", output="é\udcff" * 5000))
    event = (await recorded(store, recorder))[-1]
    text = str(event.data["output"])
    assert len(text) < 1100
    assert "9000 characters left out" in text
    text.encode("utf-8")


async def test_plans_context_and_failures_are_events(store: Store, recorder: Recorder) -> None:
    recorder.update(Plan((PlanEntry("look", "completed"), PlanEntry("mend", "pending", "high"))))
    recorder.update(Context(10, 100, 0.5))
    recorder.update(Failure("Retrying", "service", retrying=True))
    events = await recorded(store, recorder)
    assert events[0].data["entries"] == [
        {"text": "look", "status": "completed"},
        {"text": "mend", "status": "pending", "priority": "high"},
    ]
    assert events[1].data == {"used": 10, "size": 100, "cost_usd": 0.5}
    assert events[2].data == {"level": "warning", "text": "Retrying"}


async def test_a_flood_of_text_becomes_few_rows(store: Store, recorder: Recorder) -> None:
    for _ in range(20):
        for _ in range(100):
            recorder.update(Text("x"))
        await asyncio.sleep(0.002)
    events = await recorded(store, recorder)
    assert sum(len(str(event.data["text"])) for event in events) == 2000
    assert len(events) <= 5


def test_printable_leaves_short_text_alone() -> None:
    assert printable("naïve ✓", 100) == "naïve ✓"
