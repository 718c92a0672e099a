from __future__ import annotations

import random
from typing import Any

import pytest

from handrail.agents import Context, Diff, Failure, Other, Plan, PlanEntry, Text, ToolUpdate
from handrail.agents import decode as module
from handrail.agents.decode import Decoder, capabilities, failure, mode_of, sentence


def tool(raw: dict[str, Any]) -> ToolUpdate:
    found = Decoder().update({"sessionUpdate": "tool_call", **raw})
    assert isinstance(found, ToolUpdate)
    return found


def test_chunks() -> None:
    decoder = Decoder()
    chunk: dict[str, Any] = {"sessionUpdate": "agent_message_chunk", "messageId": "m"}
    assert decoder.update(chunk | {"content": {"type": "text", "text": "a"}}) == Text("a", message_id="m")
    assert decoder.update(chunk | {"content": {"type": "image", "data": "…"}}) == Text("[image]", message_id="m")
    link = {"type": "resource_link", "uri": "file:///a"}
    assert decoder.update(chunk | {"content": link}) == Text("file:///a", message_id="m")
    assert decoder.update(chunk | {"content": {"type": "text", "text": ""}}) is None
    thought: dict[str, Any] = {"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": "t"}}
    assert decoder.update(thought) == Text("t", thought=True)


def test_claude_edit() -> None:
    diff: dict[str, Any] = {"type": "diff", "path": "/w/a", "oldText": None, "newText": "A"}
    found = tool(
        {"toolCallId": "t", "name": "Write", "kind": "edit", "status": "pending", "rawInput": {}, "content": [diff]}
    )
    assert found == ToolUpdate("t", None, "edit", "pending", None, None, (Diff("/w/a", None, "A"),), ("/w/a",))


def test_goose_call_without_kind_and_status() -> None:
    assert tool({"toolCallId": "t", "title": "shell · ls", "rawInput": {"command": "ls"}}) == ToolUpdate(
        "t", "shell · ls", input={"command": "ls"}
    )


def test_outputs_of_all_shapes() -> None:
    text = [{"type": "content", "content": {"type": "text", "text": "out"}}]
    assert tool({"toolCallId": "t", "content": text, "rawOutput": "raw"}).output == "out"
    assert tool({"toolCallId": "t", "rawOutput": "raw"}).output == "raw"
    assert tool({"toolCallId": "t", "rawOutput": {"exit": 0, "stdout": "s"}}).output == "s"
    assert (
        tool({"toolCallId": "t", "rawOutput": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}).output
        == "a\nb"
    )
    assert (
        tool({"toolCallId": "t", "status": "failed", "content": [{"type": "terminal", "terminalId": "x"}]}).output
        is None
    )


def test_codex_output_is_gathered_from_its_deltas(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder()

    def delta(data: str) -> Any:
        meta = {"terminal_output_delta": {"data": data, "terminal_id": "t"}}
        return decoder.update({"sessionUpdate": "tool_call_update", "toolCallId": "t", "_meta": meta})

    first = delta("one\n")
    assert isinstance(first, ToolUpdate)
    assert first.output == "one\n"
    assert delta("two\n") is None
    monkeypatch.setattr(module, "OUTPUT_PAUSE", 0.0)
    third = delta("three\n")
    assert third == ToolUpdate("t", output="one\ntwo\nthree\n")
    ended: dict[str, Any] = {"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": "completed"}
    assert decoder.update(ended) == ToolUpdate("t", status="completed", output="one\ntwo\nthree\n")


def test_a_streamed_output_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OUTPUT_LIMIT", 1000)
    decoder = Decoder()
    for number in range(500):
        meta = {"terminal_output_delta": {"data": f"line {number:04d}\n"}}
        decoder.update({"sessionUpdate": "tool_call_update", "toolCallId": "t", "_meta": meta})
    ended = decoder.update({"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": "failed"})
    assert isinstance(ended, ToolUpdate)
    assert ended.output is not None
    assert len(ended.output) < 1100
    assert ended.output.startswith("line 0000")
    assert ended.output.endswith("line 0499\n")


def test_permission_as_first_mention() -> None:
    request = Decoder().permission(
        {
            "toolCall": {"toolCallId": "g", "title": "Writing", "kind": "edit", "rawInput": None},
            "options": [{"optionId": "proceed_once", "name": "Allow", "kind": "allow_once"}, "junk", {}],
        }
    )
    assert request.call == ToolUpdate("g", "Writing", "edit")
    assert [option.id for option in request.options] == ["proceed_once", "", ""]


def test_permission_is_filled_from_what_was_told_before() -> None:
    decoder = Decoder()
    decoder.update({"sessionUpdate": "tool_call", "toolCallId": "c", "kind": "execute", "rawInput": {"command": "ls"}})
    request = decoder.permission({"toolCall": {"toolCallId": "c", "title": "ls"}})
    assert request.call == ToolUpdate("c", "ls", "execute", input={"command": "ls"})


def test_openhands_confirmation_is_of_the_call_that_is_open() -> None:
    decoder = Decoder()
    call: dict[str, Any] = {
        "sessionUpdate": "tool_call",
        "toolCallId": "c",
        "title": "terminal",
        "rawInput": {"command": "ls"},
    }
    decoder.update(call)
    confirm: dict[str, Any] = {
        "toolCall": {"toolCallId": "confirmation-s", "title": "Confirm Agent Actions", "kind": "other"}
    }
    assert decoder.permission(confirm).call == ToolUpdate("c", "terminal", input={"command": "ls"})
    decoder.begin()
    assert decoder.permission(confirm).call.title == "Confirm Agent Actions"


def test_plan_context_and_others() -> None:
    decoder = Decoder()
    entries = [{"content": "do", "status": "in_progress", "priority": "high"}, {}, 5]
    assert decoder.update({"sessionUpdate": "plan", "entries": entries}) == Plan(
        (PlanEntry("do", "in_progress", "high"), PlanEntry("", "pending"), PlanEntry("", "pending"))
    )
    usage: dict[str, Any] = {"sessionUpdate": "usage_update", "used": 5, "size": 10}
    assert decoder.update(usage) == Context(5, 10)
    assert decoder.update(usage | {"cost": {"amount": 0.5, "currency": "USD"}}) == Context(5, 10, 0.5)
    assert decoder.update(usage | {"cost": {"amount": 0.5, "currency": "EUR"}}) == Context(5, 10)
    for broken in ({"used": float("inf")}, {"size": "10"}, {"used": True}):
        assert isinstance(decoder.update(usage | broken), Other)
    assert isinstance(decoder.update({"sessionUpdate": "from the future"}), Other)
    assert isinstance(decoder.update({}), Other)


def air(**values: Any) -> dict[str, Any]:
    return {"jetbrains": {"air": {"sessionFailure": values}}}


def test_failures() -> None:
    assert failure(air(title="Lost", category="connection", severity="error")) == Failure(
        "Lost", "connection", retrying=False
    )
    assert failure(air(title="Again", category="limit", severity="warning")) == Failure("Again", "limit", retrying=True)
    codex: dict[str, Any] = {"codex": {"error": {"message": "bad", "willRetry": True}}}
    assert failure(codex) == Failure("bad", "other", retrying=True)
    assert failure({"codex": {"threadStatus": "idle"}}) is None
    assert failure(None) is None


def test_a_notice_is_told_once() -> None:
    decoder = Decoder()
    notice: dict[str, Any] = {
        "sessionUpdate": "session_info_update",
        "_meta": air(title="Odd", category="unknown", severity="warning"),
    }
    assert isinstance(decoder.update(notice), Failure)
    decoder.begin()
    assert decoder.update(notice) is None


def test_modes() -> None:
    assert mode_of({"modes": {"currentModeId": "a"}}) == "a"
    assert mode_of({"currentModeId": "b"}) == "b"
    assert mode_of({"configOptions": [{"id": "x"}, {"id": "mode", "currentValue": "c"}]}) == "c"
    assert mode_of({"configOptions": [{"id": "p", "currentValue": "d"}]}, "p") == "d"
    assert mode_of({}) is None


def test_sentence_is_one_printable_line() -> None:
    assert sentence("a\n\x1b[31mb\t c") == "a [31mb c"
    assert len(sentence("x" * 1000)) == 500


JUNK: tuple[Any, ...] = (None, True, 0, -1, 1e308, float("nan"), "", "completed", "edit", "diff", [], {}, [[]], [None])
KEYS = [
    "sessionUpdate",
    "content",
    "type",
    "text",
    "toolCallId",
    "kind",
    "status",
    "rawInput",
    "rawOutput",
    "locations",
    "path",
    "title",
    "_meta",
    "entries",
    "used",
    "size",
    "cost",
    "amount",
    "currency",
    "terminal_output_delta",
    "data",
    "jetbrains",
    "air",
    "sessionFailure",
    "codex",
    "error",
    "options",
    "optionId",
    "toolCall",
    "modes",
    "configOptions",
    "agentCapabilities",
    "sessionCapabilities",
    "agentInfo",
    "priority",
    "oldText",
    "newText",
    "currentModeId",
    "id",
]
KINDS: tuple[Any, ...] = (
    *("agent_message_chunk", "tool_call", "tool_call_update", "plan", "usage_update", "session_info_update", "x"),
    ["y"],
)


def junk(random_: random.Random, depth: int = 4) -> Any:
    if depth == 0 or random_.random() < 0.3:
        return random_.choice(JUNK)
    if random_.random() < 0.2:
        return [junk(random_, depth - 1) for _ in range(random_.randrange(3))]
    return {random_.choice(KEYS): junk(random_, depth - 1) for _ in range(random_.randrange(5))}


@pytest.mark.parametrize("seed", range(20))
def test_no_json_whatsoever_raises(seed: int) -> None:
    random_ = random.Random(seed)  # noqa: S311
    decoder = Decoder()
    for _ in range(300):
        body = {key: junk(random_) for key in random_.sample(KEYS, 12)}
        decoder.update(body | {"sessionUpdate": random_.choice(KINDS)})
        decoder.permission(body)
        capabilities(body, "x")
        mode_of(body)
