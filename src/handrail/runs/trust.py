"""How far a workflow may act unwatched: what it takes to rise, and what makes it fall. Pure, but for the rows' writes.

It rises by a person's word alone, one level at a time, and only after enough accepted results in a row. It falls by
itself, one level at a time, and begins to count anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from handrail.automation import Trust
from handrail.errors import Conflict
from handrail.runs.acts import Outside
from handrail.store import workflows as rows
from handrail.store.log import Write
from handrail.store.workflows import WorkflowRow
from handrail.types import Outcome

NEEDED: Mapping[Trust, int] = {Trust.SHADOW: 5, Trust.SUPERVISED: 10, Trust.SAMPLED: 20}
"""accepted results in a row until a workflow may rise above that level"""
ORDER = tuple(Trust)
_NOTHING_SAID = frozenset({Outcome.NOTHING_TO_DO, Outcome.CANCELLED, Outcome.BLOCKED, Outcome.NEEDS_PERSON})
"""outcomes that speak neither for nor against: the world, or a person, was the reason"""


def above(trust: Trust) -> Trust | None:
    """The next level up."""
    at = ORDER.index(trust) + 1
    return ORDER[at] if at < len(ORDER) else None


def below(trust: Trust) -> Trust:
    """The next level down; the lowest stays."""
    return ORDER[max(0, ORDER.index(trust) - 1)]


def lower(one: Trust, other: Trust) -> Trust:
    """The lower of two."""
    return min(one, other, key=ORDER.index)


def to_rise(trust: Trust, accepted: int, most: Trust) -> str:
    """What it takes to rise, as a sentence's end for a person."""
    up = above(trust)
    if up is None:
        return "the highest level"
    if ORDER.index(up) > ORDER.index(most):
        return f"its file allows no more than {most}"
    left = NEEDED[trust] - accepted
    if left > 0:
        return f"{left} more accepted {'results' if left > 1 else 'result'} in a row, and a person's yes, until {up}"
    return f"it may rise to {up}: say so with `handrail workflows trust`"


def moved(row: WorkflowRow, wanted: Trust, most: Trust) -> Trust:
    """The level that a person's word gives.

    Args:
        row: the workflow.
        wanted: what the person says.
        most: what its file allows.

    Raises:
        Conflict: it has not earned that level, or its file does not allow it.
    """
    if ORDER.index(wanted) > ORDER.index(most):
        raise Conflict(f"the file of {row.name} allows no more than {most}: write trust: {wanted} there first")
    if ORDER.index(wanted) <= ORDER.index(row.trust):
        return wanted
    if wanted is not above(row.trust):
        raise Conflict(f"{row.name} is at {row.trust}: it rises one level at a time, next is {above(row.trust)}")
    left = NEEDED[row.trust] - row.accepted
    if left > 0:
        raise Conflict(
            f"{row.name} has {row.accepted} accepted results in a row: {wanted} takes {NEEDED[row.trust]}, {left} more"
        )
    return wanted


def after(outcome: Outcome, drift: Sequence[Outside]) -> tuple[bool | None, str | None]:
    """What the end of a run says: whether its result counts as accepted (None: neither way), and why trust falls."""
    if drift:
        more = f", and {len(drift) - 1} more" if len(drift) > 1 else ""
        return False, f"it went beyond its policy: {drift[0].what}{more}"
    if outcome is Outcome.DONE:
        return True, None
    return None if outcome in _NOTHING_SAID else False, None


def fall(row: WorkflowRow, why: str, at: datetime) -> Write:
    """Lower a workflow by one level; nothing happens where its trust has changed meanwhile."""
    return rows.trusted(row.name, row.trust, below(row.trust), at, why)


def rise(row: WorkflowRow, to: Trust, at: datetime) -> Write:
    """Guard: give a workflow the level that a person said, unless its trust has changed meanwhile."""
    return rows.trusted(row.name, row.trust, to, at, None)
