from __future__ import annotations

import pytest
from msgspec.structs import replace

from handrail.sessions.goals import (
    CheckResult,
    Continue,
    Reached,
    Standing,
    TurnEnd,
    decide,
    first_prompt,
    wants_checks,
)
from handrail.types import Check, Completed, Goal, Limits, NanoUSD, Outcome, StopReason

GOAL = Goal("Mend it", (Check("pytest -q"),), Limits(turns=3, budget=NanoUSD(10), seconds=100.0))
WORKED = TurnEnd(StopReason.END_TURN)
PASSED = (CheckResult(GOAL.checks[0], Completed(0, b"ok", b"")),)
FAILED = (CheckResult(GOAL.checks[0], Completed(1, b"1 failed", b"oops")),)
SLOW = (CheckResult(GOAL.checks[0], Completed(0, b"", b"", timed_out=True)),)


def standing(
    *, turns: int = 1, failures: int = 0, seconds: float = 1.0, spent_out: bool = False, empty: bool = False
) -> Standing:
    return Standing(turns, failures, seconds, spent_out, empty)


def outcome(goal: Goal, end: TurnEnd, results: tuple[CheckResult, ...], where: Standing) -> tuple[Outcome, str]:
    decision = decide(goal, end, results, where)
    assert isinstance(decision, Reached), decision
    return decision.outcome, decision.cause


def test_done_needs_passed_checks_and_a_change() -> None:
    assert outcome(GOAL, WORKED, PASSED, standing()) == (Outcome.DONE, "checks_passed")
    assert outcome(GOAL, WORKED, PASSED, standing(empty=True)) == (Outcome.NOTHING_TO_DO, "empty_change")


def test_an_agent_that_says_it_is_done_is_not_believed_without_checks() -> None:
    assert outcome(Goal("Mend it"), WORKED, (), standing()) == (Outcome.NEEDS_PERSON, "no_checks")


def test_failed_checks_are_told_to_the_agent() -> None:
    decision = decide(GOAL, WORKED, FAILED, standing())
    assert isinstance(decision, Continue)
    assert "1 failedoops" in decision.prompt
    assert "exit status 1" in decision.prompt
    assert not decision.fresh


def test_a_check_that_runs_out_of_time_has_failed() -> None:
    decision = decide(GOAL, WORKED, SLOW, standing())
    assert isinstance(decision, Continue)
    assert "ran out of time" in decision.prompt


def test_limits_end_the_work_by_name() -> None:
    assert outcome(GOAL, WORKED, FAILED, standing(turns=3)) == (Outcome.FAILED, "turns_spent")
    assert outcome(GOAL, WORKED, FAILED, standing(seconds=101)) == (Outcome.NEEDS_PERSON, "time_spent")
    spent = TurnEnd(StopReason.ERROR, "budget", "limit")
    assert outcome(GOAL, spent, FAILED, standing(spent_out=True, failures=1)) == (Outcome.NEEDS_PERSON, "budget_spent")


def test_a_spent_budget_does_not_hide_that_the_goal_was_reached() -> None:
    spent = TurnEnd(StopReason.ERROR, "budget", "limit")
    assert outcome(GOAL, spent, PASSED, standing(spent_out=True)) == (Outcome.DONE, "checks_passed")


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (TurnEnd(StopReason.REFUSAL), (Outcome.FAILED, "refused")),
        (TurnEnd(StopReason.END_TURN, denied=True), (Outcome.NEEDS_PERSON, "denied")),
        (TurnEnd(StopReason.CANCELLED, denied=True), (Outcome.NEEDS_PERSON, "denied")),
        (TurnEnd(StopReason.CANCELLED), (Outcome.CANCELLED, "cancelled")),
        (TurnEnd(StopReason.ERROR, "wrong key", "auth"), (Outcome.BLOCKED, "auth")),
    ],
)
def test_no_other_end_is_success_even_when_the_checks_pass_on_an_empty_change(
    end: TurnEnd, expected: tuple[Outcome, str]
) -> None:
    results = PASSED if wants_checks(end) else ()
    assert outcome(GOAL, end, results, standing(empty=True, failures=1)) == expected


def test_failures_are_retried_then_named() -> None:
    limit = TurnEnd(StopReason.ERROR, "429", "limit")
    first = decide(GOAL, limit, FAILED, standing(failures=1))
    second = decide(GOAL, limit, FAILED, standing(failures=2))
    assert isinstance(first, Continue)
    assert isinstance(second, Continue)
    assert second.delay > first.delay > 0
    assert outcome(GOAL, limit, FAILED, standing(failures=3)) == (Outcome.BLOCKED, "limit")
    agent = TurnEnd(StopReason.ERROR, "it broke", "agent")
    assert outcome(GOAL, agent, FAILED, standing(failures=3)) == (Outcome.FAILED, "agent")


def test_silence_restarts_the_agent_then_blocks() -> None:
    silent = TurnEnd(StopReason.TIMEOUT)
    decision = decide(GOAL, silent, FAILED, standing(failures=1))
    assert isinstance(decision, Continue)
    assert decision.fresh
    assert outcome(GOAL, silent, FAILED, standing(failures=3)) == (Outcome.BLOCKED, "silent")


def test_an_error_on_an_empty_change_is_never_nothing_to_do() -> None:
    error = TurnEnd(StopReason.END_TURN, "the provider failed", "provider")
    assert isinstance(decide(GOAL, error, PASSED, standing(empty=True, failures=1)), Continue)


def test_an_agent_that_does_nothing_is_not_prompted_for_ever() -> None:
    at_work = standing()
    assert isinstance(decide(GOAL, WORKED, FAILED, replace(at_work, still=2)), Continue)
    assert outcome(GOAL, WORKED, FAILED, replace(at_work, still=3)) == (Outcome.NEEDS_PERSON, "no_progress")
    assert outcome(GOAL, WORKED, PASSED, replace(at_work, still=3)) == (Outcome.DONE, "checks_passed")


def test_the_first_prompt_names_the_checks() -> None:
    assert "`pytest -q`" in first_prompt(GOAL)
    assert first_prompt(Goal("Only this")) == "Only this"
