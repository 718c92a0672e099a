"""Handing a session over to its agent: what is written when it is made with a goal, and when it is given one later."""

from __future__ import annotations

from datetime import datetime

from handrail.errors import InvalidInput
from handrail.kinds import Kind
from handrail.policy.document import PolicyLimits
from handrail.sessions.rules import narrowed
from handrail.store.log import Draft
from handrail.store.sessions import SessionChanges, SessionRow
from handrail.types import Control, Goal


def handed_over(
    row: SessionRow, goal: Goal, limits: PolicyLimits, by: str, at: datetime
) -> tuple[list[Draft], SessionChanges]:
    """What handing `row` over to its agent writes: the events and the columns.

    Args:
        row: the session as it is.
        goal: what shall be reached.
        limits: what its policy limits; the goal is held to them.
        by: who hands it over.
        at: when.

    Raises:
        InvalidInput: it has a budget that nothing could hold.
    """
    goal = narrowed(goal, limits)
    if row.login and goal.limits.budget is not None:
        mend = "give turns or a time in its place: what a login pays is not metered by Handrail"
        raise InvalidInput("budget", f"${goal.limits.budget / 1e9:.2f}", mend)
    data: dict[str, object] = {"text": goal.text, "checks": [check.command for check in goal.checks]}
    given = {"turns": goal.limits.turns, "budget_nano": goal.limits.budget, "seconds": goal.limits.seconds}
    data |= {key: value for key, value in given.items() if value is not None}
    drafts = [
        Draft(Kind.GOAL_SET, data),
        Draft(Kind.CONTROL_CHANGED, {"control": Control.AGENT, "by": by}),
    ]
    changes = SessionChanges(
        control=Control.AGENT,
        goal=goal,
        goal_set=at,
        goal_turns=0,
        goal_seconds=0.0,
        goal_spent_nano=row.cost_nano,
        wrap_told=False,
        outcome=None,
        outcome_reason=None,
        seen=None,
    )
    return drafts, changes
