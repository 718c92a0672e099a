"""What follows after a turn of a handed-off session. Pure decisions: the actor carries them out."""

from __future__ import annotations

from msgspec import Struct

from handrail.types import Check, Completed, Goal, Outcome, StopReason

FAILURES_IN_A_ROW = 3
"""turns that may fail one after the other (provider, agent, watchdog) before the session gives up"""

STILL_IN_A_ROW = 3
"""turns in which an agent may do nothing at all, one after the other, before a person is asked"""

_OUTPUT_SHOWN = 6000


class TurnEnd(Struct, frozen=True):
    """A turn as the goal sees it."""

    stop_reason: StopReason
    error: str | None = None
    error_kind: str | None = None
    denied: bool = False
    """a person or the policy refused something in this turn"""
    tools: int = 0
    """tool calls of this turn"""
    pursued: bool = True
    """the goal that stands when it ends was pursued in it, not set right afterwards"""


class CheckResult(Struct, frozen=True):
    """One check as it was run."""

    check: Check
    result: Completed

    @property
    def passed(self) -> bool:
        """Whether the exit status was 0 within the time."""
        return self.result.code == 0 and not self.result.timed_out

    def output(self, limit: int = _OUTPUT_SHOWN) -> str:
        """What it printed, standard error after standard output, the end kept where it is too long."""
        text = (self.result.stdout + self.result.stderr).decode("utf-8", "replace")
        return text if len(text) <= limit else "…" + text[-limit:]


class Continue(Struct, frozen=True):
    """Prompt again, after `delay` seconds. `fresh` restarts the agent first."""

    prompt: str
    by: str = "goal"
    delay: float = 0.0
    fresh: bool = False


class Reached(Struct, frozen=True):
    """The work has ended. `cause` is a stable word, `reason` a sentence."""

    outcome: Outcome
    cause: str
    reason: str


class Standing(Struct, frozen=True):
    """Where a handed-off session stands after a turn.

    Args:
        turns: turns since the hand-off that ended by themselves.
        failures: turns that failed in a row, this one included.
        seconds: of work since the hand-off.
        spent_out: the budget admits no further call.
        empty: nothing was changed since the session's base.
        still: turns in a row without a tool call and without a change, this one included.
        spent: which budget is spent, where one is.
    """

    turns: int
    failures: int
    seconds: float
    spent_out: bool
    empty: bool
    still: int = 0
    spent: str = "the budget is spent"


def first_prompt(goal: Goal) -> str:
    """The goal as the agent is told it."""
    if not goal.checks:
        return goal.text
    commands = "\n".join(f"- `{check.command}`" for check in goal.checks)
    return (
        f"{goal.text}\n\nYou are working towards a goal without a person watching. It is reached when each of these "
        f"commands succeeds; they are run for you after each of your turns, outside of your control:\n{commands}"
    )


GO_ON = "You were set aside in the middle of your work to be told this. Go on from where you were."
"""for a turn that was ended so that the agent could be told something"""

RESUME_PROMPT = (
    "You were interrupted: the process was restarted in the middle of your turn. An action that was under way may or "
    "may not have happened; look before you repeat it. Go on towards the goal."
)


def answered_prompt(what: str, *, allowed: bool) -> str:
    """What an agent is told that was let go while it waited for a person to allow `what`."""
    said = (
        "has allowed it. Ask for it again in the same way, and it will be granted without a wait."
        if allowed
        else "has refused it. Do not try to get the same done in another way; say so if the goal is out of reach."
    )
    return (
        "Your turn was set aside while you waited for a permission, and your process was ended meanwhile. "
        f"You had asked for: {what}. A person {said} Anything else that was under way may or may not have happened; "
        "look before you repeat it. Then go on where you stopped."
    )


_WITHOUT_CHECKS = (StopReason.REFUSAL, StopReason.CANCELLED, StopReason.INTERRUPTED, StopReason.WRAP_UP)


def wants_checks(end: TurnEnd) -> bool:
    """Whether the state of the workspace after this turn can count at all."""
    return end.stop_reason not in _WITHOUT_CHECKS and end.error_kind != "auth"


def decide(goal: Goal, end: TurnEnd, results: tuple[CheckResult, ...], standing: Standing) -> Continue | Reached:
    """What to do after a turn: checks decide success, nothing else does; each other end has its own name."""
    passed = bool(results) and all(result.passed for result in results)
    if passed and not standing.empty and end.stop_reason is not StopReason.CANCELLED:
        return Reached(Outcome.DONE, "checks_passed", "every check passed after the last edit")
    if end.stop_reason is StopReason.REFUSAL:
        return Reached(Outcome.FAILED, "refused", end.error or "the agent refused to go on")
    if end.denied:
        return Reached(
            Outcome.NEEDS_PERSON, "denied", "a permission was refused, and the goal is not reached without it"
        )
    if standing.spent_out:
        return Reached(Outcome.NEEDS_PERSON, "budget_spent", f"{standing.spent}; what was made is kept")
    if end.stop_reason is StopReason.WRAP_UP:
        return Continue(GO_ON)
    if end.stop_reason is StopReason.LOOP:
        return Reached(Outcome.NEEDS_PERSON, "loop", end.error or "the agent goes round in circles")
    if end.stop_reason is StopReason.BUDGET:
        over = goal.limits.seconds is not None and standing.seconds >= goal.limits.seconds
        cause = "time_spent" if over else "budget_spent"
        return Reached(Outcome.NEEDS_PERSON, cause, f"{end.error or standing.spent}; what was made is kept")
    if end.stop_reason is StopReason.CANCELLED:
        return Reached(Outcome.CANCELLED, "cancelled", "the turn was cancelled")
    if end.error or end.stop_reason in (StopReason.ERROR, StopReason.TIMEOUT, StopReason.INTERRUPTED):
        return _after_failure(end, standing)
    return _after_work(goal, end, results, standing, passed=passed)


def _after_failure(end: TurnEnd, standing: Standing) -> Continue | Reached:
    why = end.error or f"the turn ended with {end.stop_reason}"
    if end.error_kind == "auth":
        return Reached(Outcome.BLOCKED, "auth", why)
    if standing.failures >= FAILURES_IN_A_ROW:
        if end.stop_reason is StopReason.TIMEOUT:
            return Reached(Outcome.BLOCKED, "silent", f"the agent fell silent {standing.failures} times in a row")
        if end.error_kind in ("limit", "provider"):
            return Reached(Outcome.BLOCKED, end.error_kind, why)
        return Reached(Outcome.FAILED, "agent", why)
    if end.stop_reason in (StopReason.TIMEOUT, StopReason.INTERRUPTED):
        return Continue(RESUME_PROMPT, by="resume", fresh=True)
    delay = 2.0 ** (standing.failures - 1) if end.error_kind in ("limit", "provider") else 0.0
    return Continue(
        "The model provider or the agent failed in your last turn. Go on towards the goal.", by="resume", delay=delay
    )


def _after_work(
    goal: Goal, end: TurnEnd, results: tuple[CheckResult, ...], standing: Standing, *, passed: bool
) -> Continue | Reached:
    if passed:
        return Reached(Outcome.NOTHING_TO_DO, "empty_change", "every check passes and nothing was changed")
    if not goal.checks:
        return Reached(
            Outcome.NEEDS_PERSON, "no_checks", "the agent says that it is finished; no check was given to decide"
        )
    if standing.still >= STILL_IN_A_ROW:
        reason = f"the agent did nothing in {standing.still} turns running, while checks fail"
        return Reached(Outcome.NEEDS_PERSON, "no_progress", reason)
    limits = goal.limits
    if limits.turns is not None and standing.turns >= limits.turns:
        return Reached(Outcome.FAILED, "turns_spent", f"checks still fail after {standing.turns} turns")
    if limits.seconds is not None and standing.seconds >= limits.seconds:
        return Reached(Outcome.NEEDS_PERSON, "time_spent", f"checks still fail after {standing.seconds:.0f} s")
    return Continue(_failed_prompt(results, cut_short=end.stop_reason is not StopReason.END_TURN))


def _failed_prompt(results: tuple[CheckResult, ...], *, cut_short: bool) -> str:
    parts = ["Your turn was cut short by a limit. " if cut_short else "", "The goal is not reached yet.\n"]
    for item in results:
        if item.passed:
            parts.append(f"\n`{item.check.command}` passed.")
        else:
            ended = "ran out of time" if item.result.timed_out else f"failed with exit status {item.result.code}"
            parts.append(f"\n`{item.check.command}` {ended}:\n```\n{item.output()}\n```")
    parts.append("\n\nFind the cause and go on until the checks pass.")
    return "".join(parts)
