from __future__ import annotations

from typing import Any

import pytest

from handrail.agents import Failure, Text, ToolUpdate
from handrail.agents.catalogue import get
from handrail.agents.faults import Fault
from handrail.agents.turn import Turn
from handrail.types import StopReason
from tests.agents.conftest import a_spec

LOST = Failure("connection lost", "connection", retrying=False)


def turn(*updates: Any, **changes: Any) -> Turn:
    made = Turn(a_spec(**changes))
    for update in updates:
        made.note(update)
    return made


@pytest.mark.parametrize("reason", ["end_turn", "max_tokens", "max_turn_requests", "cancelled"])
def test_reasons_that_are_no_error(reason: str) -> None:
    result = turn(Text("done")).ended({"stopReason": reason, "_meta": {"quota": {"n": 1}}})
    assert (result.stop_reason, result.error, result.usage) == (StopReason(reason), None, {"n": 1})


def test_refusal_and_silence_are_never_work_done() -> None:
    assert turn(Text("no")).ended({"stopReason": "refusal"}).error == "Peer refused to go on"
    silent = turn(Text("hm", thought=True)).ended({"stopReason": "end_turn"})
    assert (silent.stop_reason, silent.error) == (StopReason.ERROR, "Peer ended its turn without a word")
    assert turn(ToolUpdate("c")).ended({"stopReason": "end_turn"}).error is None


@pytest.mark.parametrize("result", [{}, {"stopReason": None}, {"stopReason": "bored"}, {"stopReason": ["end_turn"]}])
def test_unknown_reasons_are_a_broken_protocol(result: dict[str, Any]) -> None:
    ended = turn(Text("x")).ended(result)
    assert (ended.stop_reason, ended.error_kind) == (StopReason.ERROR, "protocol")


def test_failure_dressed_as_a_normal_end() -> None:
    ended = turn(Text("x"), LOST).ended({"stopReason": "end_turn"})
    assert (ended.stop_reason, ended.error, ended.error_kind) == (StopReason.ERROR, "connection lost", "provider")
    meta = {"jetbrains": {"air": {"sessionFailure": {"title": "429", "category": "limit", "severity": "error"}}}}
    assert turn(Text("x")).ended({"stopReason": "end_turn", "_meta": meta}).error_kind == "limit"


def test_a_failure_that_the_agent_got_over_is_none() -> None:
    assert turn(LOST, Text("went on")).ended({"stopReason": "end_turn"}).error is None
    assert turn(LOST, ToolUpdate("c")).ended({"stopReason": "end_turn"}).error is None
    retrying = Failure("again", "connection", retrying=True)
    assert turn(Text("x"), retrying).ended({"stopReason": "end_turn"}).error is None


def test_error_text_counts_only_as_the_last_word() -> None:
    error = "Ran into this error: x.\n\nPlease retry if you think this is a transient or recoverable error."
    errors = get("goose").errors
    assert turn(Text(error), errors=errors).ended({"stopReason": "end_turn"}).error_kind == "provider"
    assert turn(Text(error), ToolUpdate("c"), Text("ok"), errors=errors).ended({"stopReason": "end_turn"}).error is None
    long = turn(Text("x" * 10_000), Text(error), errors=errors)
    assert long.ended({"stopReason": "end_turn"}).error_kind == "provider"
    assert len(long.tail) <= 4096


def test_what_breaks_after_cancel_is_the_cancellation() -> None:
    made = turn(Text("x"))
    made.cancelled = True
    assert made.failed(Fault("abort", "agent")).stop_reason is StopReason.CANCELLED
    assert made.ended({"stopReason": "end_turn"}).stop_reason is StopReason.CANCELLED
    assert made.ended({"stopReason": "odd"}).error is None
