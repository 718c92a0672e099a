"""How long a question waits, what happens then, and the one line that says why it is asked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from difflib import SequenceMatcher

from msgspec import Struct

from handrail.agents import Diff
from handrail.clean import one_line
from handrail.config import Config
from handrail.notify import Notice
from handrail.store.approvals import ApprovalRow
from handrail.store.log import Write
from handrail.store.tables import Then

MOST_ESCALATIONS = 5
"""how often people are told again of one question, at the most"""
_MOST_LINES = 2000
"""lines of a diff that are compared one by one; beyond, they are only counted"""

Tell = Callable[[Notice, str], tuple[Write, ...]]
"""the rows of the outbox that tell of a notice, under a key that is told once"""


class Patience(Struct, frozen=True):
    """Times are seconds; `deadline` None is never."""

    release: float
    deadline: float | None
    then: Then

    @classmethod
    def of(cls, config: Config) -> Patience:
        """As the settings say."""
        return cls(config.approval_release, float(config.approval_deadline) or None, Then(config.approval_then))

    def until(self, at: datetime) -> datetime | None:
        """The deadline of a question that is asked (or escalated) at `at`."""
        return None if self.deadline is None else at + timedelta(seconds=self.deadline)

    def due(self, asked: datetime, deadline: datetime | None) -> datetime:
        """When a question that a living agent waits for has to be looked at first."""
        release = asked + timedelta(seconds=self.release)
        return release if deadline is None else min(release, deadline)


class Asking(Struct, frozen=True):
    """What asking a person needs to know."""

    patience: Patience
    clock: Callable[[], datetime]
    tell: Tell


def passed(row: ApprovalRow, at: datetime) -> bool:
    """Whether something is to happen now because the deadline of an open question has passed."""
    return row.deadline is not None and row.deadline <= at and row.then is not Then.PARK


def later(row: ApprovalRow, at: datetime) -> datetime | None:
    """When a question that holds no agent has to be looked at again; None for never."""
    wanted = row.deadline is not None and row.deadline > at and row.then is not Then.PARK
    return row.deadline if wanted else None


def why(step: str | None, diffs: Sequence[Diff], cost: str) -> str:
    """One line: the step of the plan in progress, what the change adds and removes, what the session cost so far."""
    parts = [f"step: {one_line(step, 120)}"] if step else []
    if diffs:
        added, removed = (sum(each) for each in zip(*(_size(diff) for diff in diffs), strict=True))
        files = "1 file" if len(diffs) == 1 else f"{len(diffs)} files"
        parts.append(f"+{added} -{removed} in {files}")
    return " · ".join([*parts, cost])


def so_far(cost_nano: int, unpriced: int, *, metered: bool) -> str:
    """What a session has cost; `unpriced` counts calls without a price. What nobody knows is never told as $0.00."""
    if not metered:
        return "not metered: a login of yours pays"
    if unpriced and not cost_nano:
        return "cost unknown: calls without a price"
    return f"${cost_nano / 1_000_000_000:.2f} so far" + (", calls without a price" if unpriced else "")


def _size(diff: Diff) -> tuple[int, int]:
    """Lines added and removed."""
    old, new = (diff.old or "").splitlines(), diff.new.splitlines()
    if max(len(old), len(new)) > _MOST_LINES:
        return max(0, len(new) - len(old)), max(0, len(old) - len(new))
    added = removed = 0
    for tag, old_from, old_to, new_from, new_to in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            added, removed = added + new_to - new_from, removed + old_to - old_from
    return added, removed
