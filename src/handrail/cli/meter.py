"""What a session costs while it works, added up from its events."""

from __future__ import annotations

from handrail.cli.client import Obj
from handrail.cli.layout import NOT_METERED, cost, dollars
from handrail.kinds import Kind


class Meter:
    """The cost so far, and of what budget.

    Args:
        session: as the API gave it: its figures hold up to its `last_seq`, so no event is counted twice.
    """

    def __init__(self, session: Obj) -> None:
        self._login = bool(session.get("login"))
        self._seq = int(session.get("last_seq") or 0)
        self._nano = int(session.get("cost_nano") or 0)
        self._unpriced = int(session.get("unpriced") or 0)
        self._budget: int | None = None
        self._before = 0  # what it had cost when the goal was set: the goal's budget does not pay for that
        if session.get("control") == "agent":
            self._budget = (session.get("goal") or {}).get("budget_nano")
            self._before = int(session.get("goal_spent_nano") or 0)

    def take_in(self, event: Obj) -> None:
        """Count an event that the figures do not hold yet."""
        seq = int(event.get("seq") or 0)
        if seq <= self._seq:
            return
        self._seq = seq
        kind, data = event.get("kind"), event.get("data") or {}
        if kind == Kind.MODEL_CALLED:
            price = data.get("cost_nano")
            self._nano += int(price or 0)
            self._unpriced += price is None and bool(data.get("input_tokens") or data.get("output_tokens"))
        elif kind == Kind.GOAL_SET:
            self._budget, self._before = data.get("budget_nano"), self._nano
        elif kind == Kind.CONTROL_CHANGED and data.get("control") != "agent":
            self._budget, self._before = None, 0

    def told(self) -> str:
        """`$0.42`, `$0.42 of $1.50` where a goal has a budget, or why there is no figure."""
        if self._login:
            return NOT_METERED
        so_far = cost(self._nano - self._before, self._unpriced)
        return so_far if self._budget is None else f"{so_far} of {dollars(self._budget)}"
