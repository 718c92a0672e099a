from __future__ import annotations

from handrail.kinds import Kind
from handrail.types import Event, Json, SessionId, now
from handrail.web.pages.transcript import OUTPUT_SHOWN, Block, Line, Steps, Tool, Turn, Verdict, Words, blocks, pretty


def made(*given: tuple[Kind | str, Json]) -> list[Block]:
    return blocks(
        Event(SessionId("s"), seq, now(), str(kind), data, turn=1) for seq, (kind, data) in enumerate(given, start=1)
    )


def test_pieces_of_one_answer_are_one_block() -> None:
    found = made(
        (Kind.TURN_STARTED, {"turn": 1, "text": "Mend it", "by": "you"}),
        (Kind.AGENT_THOUGHT, {"text": "hm"}),
        (Kind.AGENT_TEXT, {"text": "Hel", "message": "a"}),
        (Kind.AGENT_TEXT, {"text": "lo", "message": "a"}),
        (Kind.AGENT_TEXT, {"text": "Next", "message": "b"}),
    )
    assert isinstance(found[0], Turn)
    assert [(b.text, b.thought) for b in found if isinstance(b, Words)] == [
        ("hm", True),
        ("Hello", False),
        ("Next", False),
    ]


def test_a_tool_call_is_folded_to_one_block() -> None:
    found = made(
        (Kind.TOOL_STARTED, {"call": "c", "title": "sed", "tool": "execute", "input": {"command": "sed x"}}),
        (Kind.AGENT_TEXT, {"text": "meanwhile"}),
        (Kind.TOOL_UPDATED, {"call": "c", "status": "in_progress", "output": "so far"}),
        (
            Kind.TOOL_ENDED,
            {
                "call": "c",
                "status": "completed",
                "seconds": 1.5,
                "output": "done",
                "diffs": [{"path": "a", "old": None, "new": "x"}],
            },
        ),
    )
    tool = found[0]
    assert isinstance(tool, Tool)
    assert (tool.title, tool.tool, tool.status, tool.seconds) == ("sed", "execute", "completed", 1.5)
    assert (tool.input, tool.output, tool.diffs) == ("sed x", "done", [("a", "", "x")])
    assert len(found) == 2


def test_a_call_that_began_before_the_window_still_shows() -> None:
    found = made((Kind.TOOL_ENDED, {"call": "c-9", "status": "failed", "output": "no", "seconds": 0.1}))
    assert isinstance(found[0], Tool)
    assert found[0].title == "tool call c-9"
    assert found[0].status == "failed"


def test_the_plan_is_shown_once_a_turn_as_it_stood_last() -> None:
    found = made(
        (Kind.PLAN_UPDATED, {"entries": [{"text": "a", "status": "pending"}]}),
        (Kind.PLAN_UPDATED, {"entries": [{"text": "a", "status": "completed"}]}),
        (Kind.TURN_STARTED, {"turn": 2, "text": "more", "by": "goal"}),
        (Kind.PLAN_UPDATED, {"entries": [{"text": "b", "status": "pending"}]}),
    )
    assert [b.entries for b in found if isinstance(b, Steps)] == [[("completed", "a")], [("pending", "b")]]


def test_checks_end_in_the_block_they_began() -> None:
    found = made(
        (Kind.CHECK_STARTED, {"check": 1, "command": "pytest"}),
        (Kind.CHECK_ENDED, {"check": 1, "command": "pytest", "passed": False, "output": "E", "seconds": 2}),
        (Kind.CHECK_STARTED, {"check": 1, "command": "pytest"}),
    )
    assert [(b.passed, b.output) for b in found if isinstance(b, Verdict)] == [(False, "E"), (None, "")]


def test_what_matters_is_a_line_and_what_does_not_is_none() -> None:
    found = made(
        (Kind.AGENT_STARTED, {"agent": "codex", "version": "1", "how": "new", "sandbox": "none"}),
        (Kind.MEMORY_LOST, {"reason": "no session/load"}),
        (Kind.TURN_ENDED, {"stop_reason": "end_turn"}),
        (Kind.TURN_ENDED, {"stop_reason": "error", "error": "401 from the provider"}),
        (Kind.APPROVAL_ANSWERED, {"decision": "allow", "by": "policy"}),
        (Kind.APPROVAL_ANSWERED, {"decision": "deny", "by": "you", "because": "no"}),
        (Kind.OUTCOME_REACHED, {"outcome": "needs_person", "reason": "spent", "summary": "a is left"}),
        (Kind.AGENT_ENDED, {"reason": "exited", "code": 0}),
        (Kind.MODEL_CALLED, {"model": "x"}),
        (Kind.CONTEXT_UPDATED, {"used": 1, "size": 2}),
        ("kind.of.tomorrow", {"x": 1}),
    )
    assert [(b.text, b.level, b.detail) for b in found if isinstance(b, Line)] == [
        ("codex 1 started outside of any walls", "error", ""),
        ("The agent's memory was lost", "error", "no session/load"),
        ("The turn failed", "error", "401 from the provider"),
        ("Denied by you", "warning", "no"),
        ("Outcome: needs person", "warning", "spent; the agent said last: a is left"),
    ]


def test_every_kind_can_be_read_with_nothing_in_it() -> None:
    assert made(*((kind, {}) for kind in Kind))


def test_data_of_another_shape_breaks_nothing() -> None:
    for value in (None, 1, "x", [], [1], {"a": 1}):
        keys = ("text", "entries", "diffs", "paths", "input", "output", "call", "checks", "seconds", "message")
        data: Json = dict.fromkeys(keys, value)
        made(*((kind, data) for kind in Kind))


def test_long_output_is_cut_and_says_so() -> None:
    found = made((Kind.TOOL_ENDED, {"call": "c", "status": "completed", "output": "x" * 100_000}))
    assert isinstance(found[0], Tool)
    assert len(found[0].output) < OUTPUT_SHOWN + 100
    assert "80000 characters left out" in found[0].output


def test_an_input_of_one_text_is_that_text() -> None:
    assert pretty({"command": "ls"}) == "ls"
    assert pretty({"a": 1, "b": [2]}) == '{\n "a": 1,\n "b": [\n  2\n ]\n}'
