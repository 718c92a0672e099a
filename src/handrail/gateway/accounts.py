"""One session's money: what it has spent, what is reserved for calls under way, and what the ledger was not told yet.

**What a cap promises.** Before a call leaves, an upper estimate is reserved in every budget that binds it: that of the
turn, of the session, and of each of the session's scopes (`pots`). The estimate counts a token for each 3 bytes of the
request, and the output that it allows (where it sets no maximum: the longest that the model has given here, at least
4,096 tokens), at list price. After the call, its true cost takes the reservation's place.

- A budget of a *scope* is hard: a call leaves only if its whole estimate fits into what is left. It waits while what
  others have reserved may come back, and is refused when no wait can help. So it can end with a little money left:
  from the first refusal on it is spent, for everybody and every size of call (see `pots`).
- The session's *own* budget and its turn's are soft: while other calls are under way a call leaves only if it fits, and
  waits otherwise; alone, it leaves as long as anything is left, since most calls cost far less than their estimate, and
  a small budget would else be none. So spending passes such a cap by what the last call costs beyond what was left.

Beyond that a cap can be passed only by what a call costs above its estimate. Calls to a model without a price cannot be
counted in money: they leave unreserved, and are recorded as unpriced; their tokens and time count.

A session that was refused once gets no call out for the rest of its turn, so that its work ends in one place.

**What the ledger promises.** A call is counted here, in memory, before the session's next call is admitted, so the cap
holds whatever the disk does. The ledger is told at once, in order, and the next call does not wait for its answer
unless a cap is near (a tenth of it is left, or less), the ledger refused a call, or `BEHIND` calls are not told yet.
So a crash of the whole server can leave out of the ledger, beside the calls under way, the last `BEHIND` ended ones at
the most, and only what ended within the time of one commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from handrail.gateway import ModelCall, OnCall
from handrail.gateway.pots import WRAP_UP, Hold, Pot, Pots, Standing, dollars
from handrail.types import Budget, NanoUSD, Scope, SessionId, Used

BEHIND = 8
"""ended calls that the ledger may be behind before the next call waits for it"""


class BudgetSpentError(Exception):
    """No call may leave any more; the message says which budget is spent."""


class Terms(Struct, frozen=True):
    """What binds a session.

    Args:
        budget: cap over all that it spends in nano-dollars, what it `spent` before included; None is no cap.
        spent: what the ledger already holds.
        turn: cap of each turn; None is no cap.
        scopes: what it spends together with others.
    """

    budget: NanoUSD | None = None
    spent: int = 0
    turn: NanoUSD | None = None
    scopes: Sequence[Scope] = ()


class Reservation(Struct, frozen=True):
    """What a call under way holds, pot by pot."""

    holds: tuple[tuple[Pot, Hold], ...] = ()


class Account:
    """The account of one session. All methods belong to one event loop.

    Args:
        session: whose it is.
        token: what its agent calls with.
        terms: what binds it.
        pots: what it shares with others.
        on_call: told of each ended call, in the order of their ends, one at a time.
        provider: name of the provider that the session asked for, if any.
    """

    def __init__(
        self, session: SessionId, token: str, *, terms: Terms, pots: Pots, on_call: OnCall, provider: str | None
    ) -> None:
        self.session = session
        self.token = token
        self.terms = terms
        self.provider = provider
        self.models = True
        """whether its calls of models are let through at all"""
        self.calls: set[asyncio.Task[None]] = set()
        """requests under way; cut when the session's door closes"""
        self.resets: datetime | None = None
        """when its provider, out of quota at the last call, wants to be asked again"""
        scope = Scope(f"session:{session}")
        self._own = Pot(Budget(scope, money=terms.budget), "the budget", used=Used(NanoUSD(terms.spent)), hard=False)
        self._turn = Pot(Budget(scope, money=terms.turn), "the budget of this turn", hard=False)
        self._pots = pots
        self._no: str | None = None
        self._on_call = on_call
        self._untold: deque[ModelCall] = deque()
        self._refused = False
        self._telling = asyncio.Lock()
        self._settling: set[asyncio.Task[None]] = set()

    @property
    def spent(self) -> int:
        """What the session has spent, in nano-dollars."""
        return self._own.money

    @property
    def budget(self) -> int | None:
        """The cap in nano-dollars; setting it lets waiting calls look again."""
        return self._own.budget.money

    @budget.setter
    def budget(self, value: int | None) -> None:
        self._own.budget = replace(self._own.budget, money=None if value is None else NanoUSD(value))
        self.open()

    def begin_turn(self) -> None:
        """A turn begins: its own budget is whole, and what was refused may be asked again."""
        self._turn = Pot(self._turn.budget, self._turn.title, hard=False)
        self.open()

    def open(self) -> None:
        """Forget that a call was refused: limits have changed."""
        self._no = None
        self._pots.wake()

    def _bound(self) -> list[Pot]:
        return [self._turn, self._own, *self._pots.of(self.terms.scopes)]

    @property
    def capped(self) -> bool:
        """Whether any limit on money or tokens binds, so that calls must be estimated."""
        return any(pot.budget.money is not None or pot.budget.tokens is not None for pot in self._bound())

    @property
    def exhausted(self) -> str | None:
        """Why no call leaves any more: which budget is spent; None while calls may leave."""
        return self._no or next((_spent(pot) for pot in self._bound() if pot.full()), None)

    @property
    def refused(self) -> str | None:
        """Why a call was refused since limits changed or the turn began; None where none was."""
        return self._no

    @property
    def turn_standing(self) -> Standing:
        """How near the turn's budget is to its end."""
        return self._turn.standing()

    async def reserve(self, money: int | None, tokens: int) -> Reservation:
        """Reserve for one call in every pot at once, as the module says; returns what to hand to `settle`.

        Args:
            money: upper cost in nano-dollars; None where the model has no price.
            tokens: upper count of tokens.

        Raises:
            BudgetSpentError: a cap is reached, or the call cannot fit.
        """
        ticket, lines = object(), set[Pot]()
        try:
            while True:
                bound = self._bound()
                await self._admit(bound, money or 0, tokens)  # gives way to others only when it refuses
                if all(pot.fits(money or 0, tokens, ticket) for pot in bound):
                    return Reservation(tuple((pot, pot.hold(money or 0, tokens)) for pot in bound))
                for pot in bound:
                    if pot not in lines:
                        lines.add(pot)
                        pot.line.append(ticket)
                await self._pots.change()
        finally:
            for pot in lines:
                pot.line.remove(ticket)
            if lines:
                self._pots.wake()

    async def _admit(self, bound: Sequence[Pot], money: int, tokens: int) -> None:
        """Refuse what no wait can help.

        Raises:
            BudgetSpentError: a cap is reached, or the call cannot fit.
            Exception: it cannot be written down that a cap is reached.
        """
        if self._no is not None:
            raise BudgetSpentError(self._no)
        for pot in bound:
            if not pot.loading and pot.hopeless(money, tokens):
                why = _spent(pot) if pot.full() else _no_room(pot, money, tokens)
                if pot.hard and (pot.full() or pot.standing().share >= WRAP_UP):
                    await self._pots.close(pot)
                self._no = why
                raise BudgetSpentError(why)

    def settle(self, reserved: Reservation, call: ModelCall) -> None:
        """The call has ended: what it used takes the place of what was reserved."""
        held = dict(reserved.holds)
        money, tokens = call.cost or 0, call.input_tokens + call.output_tokens
        for pot in self._bound():
            pot.settle(held.pop(pot, None), money, tokens)
        for pot, hold in held.items():  # the turn is over, or the budget was replaced meanwhile
            pot.settle(hold, money, tokens)
        self._untold.append(call)
        self._pots.wake()

    def settling(self, task: asyncio.Task[None]) -> None:
        """`task` is about to settle an ended call; no further call is admitted before it has."""
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def settled(self, *, told: bool = False) -> None:
        """Wait until every ended call is settled, and the ledger knows of all where that is promised.

        Args:
            told: wait for the ledger in any case.

        Raises:
            Exception: whatever the ledger raised. The call is kept and told again the next time.
        """
        current = asyncio.current_task()
        while others := [task for task in self._settling if task is not current]:
            await asyncio.wait(others)
        if told or self._refused or len(self._untold) >= BEHIND or any(pot.near() for pot in self._bound()):
            await self.tell()

    async def tell(self) -> None:
        """Tell the ledger of the calls that it does not know yet.

        Raises:
            Exception: whatever the ledger raised. The call is kept and told again the next time.
        """
        async with self._telling:
            while self._untold:
                try:
                    await self._on_call(self._untold[0])
                except BaseException:
                    self._refused = True
                    raise
                self._refused = False
                self._untold.popleft()

    def cut(self) -> None:
        """End every request under way."""
        for task in self.calls:
            task.cancel()


def _spent(pot: Pot) -> str:
    if not pot.hard:
        return f"{pot.title} of {dollars(pot.budget.money or 0)} is spent"
    return f"{pot.title} is spent ({pot.standing().text.partition(f' of {pot.title}')[0]})"


def _no_room(pot: Pot, money: int, tokens: int) -> str:
    limit = pot.budget
    if limit.money is not None and money > limit.money - pot.money:
        left, wanted = dollars(limit.money - pot.money), f"may cost up to {dollars(money)}"
    else:
        left, wanted = f"{(limit.tokens or 0) - pot.tokens:,} tokens", f"may use up to {tokens:,}"
    spent = "is spent but for" if pot.standing().share >= WRAP_UP else "has only"
    rest = ", and" if spent != "has only" else " left, and"
    return f"{pot.title} {spent} {left}{rest} this call {wanted}"
