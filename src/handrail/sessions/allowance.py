"""How much of its limits a session has used up: when its agent is told to come to an end, and when it is stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence

from handrail.gateway.accounts import Account
from handrail.gateway.pots import WRAP_UP, Pot, Standing, dollars, minutes
from handrail.sessions.record import Record
from handrail.sessions.rooms import Rooms
from handrail.types import Control, Goal, Scope

GRACE = 10.0
"""seconds that an agent has to end by itself after a call of it was refused for want of money"""


class Allowance:
    """The limits that bind one session: money and tokens of the turn, the session and its scopes; turns; time.

    Args:
        rooms: the rooms below.
        record: the session.
    """

    def __init__(self, rooms: Rooms, record: Record) -> None:
        self._gateway = rooms.gateway
        self._record = record
        self._refused: float | None = None

    @property
    def scopes(self) -> Sequence[Scope]:
        """What the session shares."""
        return [Scope(scope) for scope in self._record.row.scopes]

    def begin(self, *, anew: bool) -> None:
        """A turn begins; `anew` makes its own budget whole."""
        self._gateway.pots.work(self._record.id, self.scopes)
        if anew and self._account is not None:
            self._account.begin_turn()
        self._refused = None

    def end(self) -> None:
        """The turn has ended. Idempotent."""
        self._gateway.pots.rest(self._record.id)

    def near(self) -> str | None:
        """Which limit is near its end, as what was used of it; None while none is."""
        nearest = max(self._standings(), key=lambda standing: standing.share, default=None)
        return nearest.text if nearest is not None and nearest.share >= WRAP_UP else None

    @property
    def binding(self) -> bool:
        """Whether a limit can end the turn under way."""
        return self._seconds is not None or bool(self._pots()) or (self._account is not None and self._account.capped)

    def over(self) -> str | None:
        """Why the turn under way must end now; None while it may go on."""
        for pot in self._pots():
            if pot.seconds_left() == 0:
                return f"the time is over: {pot.standing().text}"
        if self._seconds is not None and self._record.watch.seconds >= self._seconds:
            return "the time that the goal allows is over"
        refused = None if self._account is None else self._account.refused
        if refused is None:
            self._refused = None
            return None
        self._refused = self._refused or time.monotonic()
        return refused if time.monotonic() - self._refused >= GRACE else None

    @property
    def _account(self) -> Account | None:
        return self._gateway.accounts.get(self._record.id)

    def _pots(self) -> list[Pot]:
        return self._gateway.pots.of(self.scopes)

    @property
    def _seconds(self) -> float | None:
        """What the goal allows."""
        goal = self._goal()
        return None if goal is None else goal.limits.seconds

    def _goal(self) -> Goal | None:
        row = self._record.row
        return row.goal if row.control == Control.AGENT and row.outcome is None else None

    def _standings(self) -> list[Standing]:
        row, goal = self._record.row, self._goal()
        found = [pot.standing() for pot in self._pots()]
        if self._account is not None and self._account.terms.turn is not None:
            found.append(self._account.turn_standing)
        if goal is None:
            return found
        limits = goal.limits
        if limits.budget:
            spent = row.cost_nano - row.goal_spent_nano
            text = f"{dollars(spent)} of {dollars(limits.budget)} of the budget"
            found.append(Standing(spent / limits.budget, text))
        if limits.turns and row.goal_turns:
            found.append(Standing(row.goal_turns / limits.turns, f"{row.goal_turns} of {limits.turns} turns"))
        if limits.seconds:
            gone = self._record.watch.seconds
            found.append(Standing(gone / limits.seconds, f"{minutes(gone)} of {minutes(limits.seconds)}"))
        return found


def told(text: str) -> str:
    """What an agent is told once a limit is near."""
    return (
        f"[Handrail: {text} are used up. Come to an end: begin nothing new, finish or undo what is half done, so that "
        "the files are left in a state that works, and say in a few lines what is done and what is left. At the limit "
        "you are stopped.]"
    )
