"""What follows from how a session ended. Pure decisions: the course carries them out."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from handrail.runs.plan import Retries, Stage
from handrail.types import Outcome

QUOTA, PROVIDER, AGENT, FORGE = "quota", "provider", "agent", "forge"
REJECTED = "rejected"
"""cause of a task that ended by a person's no to its effect"""

_RETRIED: Mapping[tuple[Outcome, str], str] = {
    (Outcome.BLOCKED, "limit"): QUOTA,
    (Outcome.BLOCKED, "provider"): PROVIDER,
    (Outcome.BLOCKED, "silent"): AGENT,
    (Outcome.FAILED, "agent"): AGENT,
    (Outcome.FAILED, "handrail"): AGENT,
}


class Pace(Struct, frozen=True):
    """Seconds that a task waits before it is tried again: the first time; it doubles, up to `longest`."""

    quota: float = 900.0
    provider: float = 30.0
    agent: float = 1.0
    forge: float = 30.0
    longest: float = 6 * 3600.0

    def of(self, cause: str, tries: int) -> float:
        """The wait before the try number `tries` + 1, where `tries` counts from 1."""
        first: float = getattr(self, cause)
        return min(self.longest, first * 2.0 ** min(tries - 1, 30))


class Advance(Struct, frozen=True):
    """The stage is reached. `verified` says that checks passed after its last edit."""

    verified: bool


class Again(Struct, frozen=True):
    """The same session is handed off again, after a while. `cause` names the count that it goes against."""

    cause: str


class Ended(Struct, frozen=True):
    """The task has ended. `cause` is a stable word, `reason` a sentence."""

    outcome: Outcome
    cause: str
    reason: str


def of_session(stage: Stage, reached: Ended, tries: Mapping[str, int], retries: Retries) -> Advance | Again | Ended:
    """What follows when the session of `stage` has come to its outcome.

    Args:
        stage: what it was to reach.
        reached: what it came to.
        tries: how often this task was tried again, by cause.
        retries: how often it may be.
    """
    if reached.outcome in (Outcome.DONE, Outcome.NOTHING_TO_DO):
        return Advance(verified=True)
    if reached.outcome is Outcome.NEEDS_PERSON and reached.cause == "no_checks" and not stage.checks:
        return Advance(verified=False)
    again = _RETRIED.get((reached.outcome, reached.cause))
    if again is not None and tries.get(again, 0) < int(getattr(retries, again)):
        return Again(again)
    return reached


_BLOCKED = frozenset({"token_refused", "not_permitted", "no_forge", "forge_down", "rate_limited", "not_delivered"})
_PERSON = frozenset(
    {"merge_conflict", "protected_branch", "stale_head", "already_exists", "not_supported", "conflict", "unknown"}
)


def of_refusal(kind: str, cause: str, reason: str) -> Ended:
    """How a task ends one of whose effects was refused outside for good."""
    outcome = Outcome.BLOCKED if cause in _BLOCKED else Outcome.NEEDS_PERSON if cause in _PERSON else Outcome.FAILED
    return Ended(outcome, cause, f"{kind.replace('_', ' ')}: {reason}")


def of_run(outcomes: Mapping[Outcome, int]) -> tuple[Outcome, str]:
    """The outcome of a run whose tasks have all ended, and a sentence: the worst that a person must know of leads."""
    order = (
        Outcome.LOST,
        Outcome.FAILED,
        Outcome.BLOCKED,
        Outcome.NEEDS_PERSON,
        Outcome.CANCELLED,
        Outcome.DONE,
        Outcome.NOTHING_TO_DO,
    )
    counted = [f"{outcomes[one]} {one.replace('_', ' ')}" for one in reversed(order) if outcomes.get(one)]
    worst = next((one for one in order if outcomes.get(one)), Outcome.NOTHING_TO_DO)
    return worst, ", ".join(counted) or "it had no task"
