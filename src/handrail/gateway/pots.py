"""Budgets that several sessions share: one pot a scope and period, in one place, so that parallel sessions add up.

A shared pot is *hard*: a call leaves only if its whole estimate fits into what is left. It waits while what others have
reserved may come back, and is refused once no wait can help. A session's own pots are *soft* (see `accounts`).

A shared pot that was once said to be *spent* is closed: nothing leaves any more, however small, until the budget is set
anew or its next period begins, and the saying is kept before anybody hears it. It is spent when it is used up, and as
well when a call does not fit in once `WRAP_UP` of it is used. Before that, a call that is larger than all that is left
is refused alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct, field

from handrail.types import Budget, NanoUSD, Period, Scope, SessionId, Used, now

WRAP_UP = 0.7
"""share of a budget from which on an agent is told to come to an end"""


class Standing(Struct, frozen=True):
    """How near one limit is: `share` is 1 at its end; `text` says it for people."""

    share: float
    text: str


_EVER = datetime.max.replace(tzinfo=UTC)
_WINDOWS = 100
"""periods that a pot remembers, for a clock that is set back"""


class _Amount(Struct):
    """What was used in one period."""

    money: int = 0
    tokens: int = 0
    seconds: float = 0.0


class Hold(Struct, frozen=True):
    """What a call under way has reserved in one pot. `window`: the period in which it was reserved."""

    money: int
    tokens: int
    window: datetime | None


class Pot:
    """One budget and what is used of it.

    Args:
        budget: the limits.
        title: what people read, such as `the budget of run:r-1`.
        used: what was used before.
        hard: whether a call must fit in as a whole.
        spent: when it was said to be spent, if it was.
        clock: tells the time that periods go by.
    """

    def __init__(
        self,
        budget: Budget,
        title: str,
        *,
        used: Used = Used(),  # noqa: B008  # a frozen value
        hard: bool = True,
        spent: datetime | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self.budget = budget
        self.title = title
        self.hard = hard
        self.loading = False
        """what was used before is not known yet: nothing may leave"""
        self.settles = 0
        """counts ended calls, so that a reader of the ledger knows whether one came meanwhile"""
        self.line: list[object] = []
        """calls that wait, first come, first served: a large one must not starve behind small ones"""
        self._clock = clock
        self._reserved_money = self._reserved_tokens = 0
        self._window = window(budget.period, clock())
        self._amounts = {self._window: _Amount(int(used.money), used.tokens, used.seconds)}
        self._sum()
        self._closed = None if spent is None else window(budget.period, spent) or _EVER
        self._kept = self._closed
        self.keeping = asyncio.Lock()
        self._working: set[SessionId] = set()
        self._since = 0.0

    @property
    def used(self) -> Used:
        """What is used up by now, without what is reserved."""
        self._roll()
        return Used(NanoUSD(self.money), self.tokens, self._elapsed())

    def replace(self, used: Used) -> None:
        """What was used, as the ledger tells it."""
        self._roll()
        self._amounts[self._window] = _Amount(int(used.money), used.tokens, used.seconds)
        self._since = time.monotonic()
        self._sum()

    def close(self) -> None:
        """It is said to be spent."""
        self._roll()
        self._closed = self._window or _EVER

    @property
    def closed(self) -> bool:
        """Whether it was said to be spent in this period, or in a later one before the clock was set back."""
        self._roll()
        return self._closed is not None and (self._window or _EVER) <= self._closed

    async def keep(self, write: Callable[[Budget], Awaitable[None]]) -> None:
        """Have the saying written down, once."""
        async with self.keeping:
            if self._kept != (closed := self._closed):
                await write(self.budget)
                self._kept = closed

    def full(self) -> bool:
        """Whether nothing may leave any more."""
        limit, used = self.budget, self.used
        return (
            self.closed
            or (limit.money is not None and used.money >= limit.money)
            or (limit.tokens is not None and used.tokens >= limit.tokens)
            or (limit.seconds is not None and used.seconds >= limit.seconds)
        )

    def hopeless(self, money: int, tokens: int) -> bool:
        """Whether a call of this size cannot leave, however long it waits."""
        if self.full():
            return True
        limit = self.budget
        over_money = limit.money is not None and money > limit.money - self.money
        return self.hard and (over_money or (limit.tokens is not None and tokens > limit.tokens - self.tokens))

    def fits(self, money: int, tokens: int, ticket: object = None) -> bool:
        """Whether a call of this size can leave now; a soft pot lets a lone one go. Those in line before it come first.

        Args:
            money: nano-dollars.
            tokens: tokens.
            ticket: what the call stands in line with.
        """
        if self.loading or (self.line and self.line[0] is not ticket):
            return False
        limit = self.budget
        if not self.hard and not self._reserved_money and not self._reserved_tokens:
            return True
        in_money = limit.money is None or money <= limit.money - self.money - self._reserved_money
        return in_money and (limit.tokens is None or tokens <= limit.tokens - self.tokens - self._reserved_tokens)

    def hold(self, money: int, tokens: int) -> Hold:
        """Reserve, a soft pot at most what is left."""
        self._roll()
        limit = self.budget
        if not self.hard and limit.money is not None:
            money = min(money, limit.money - self.money - self._reserved_money)
        self._reserved_money += money
        self._reserved_tokens += tokens
        return Hold(money, tokens, self._window)

    def settle(self, hold: Hold | None, money: int, tokens: int) -> None:
        """A call has ended: what it used takes the place of what it had reserved, and counts where it began."""
        self._roll()
        self.settles += 1
        began = self._window
        if hold is not None:
            self._reserved_money -= hold.money
            self._reserved_tokens -= hold.tokens
            began = hold.window
        amount = self._amounts.setdefault(began, _Amount())
        amount.money += money
        amount.tokens += tokens
        self._sum()

    def work(self, session: SessionId) -> None:
        """A session of the scope begins to work: time runs."""
        if not self._working:
            self._since = time.monotonic()
        self._working.add(session)

    def rest(self, session: SessionId) -> None:
        """A session of the scope works no more."""
        if session in self._working:
            self._bank()
            self._working.discard(session)

    def seconds_left(self) -> float | None:
        """Seconds of work that are left; None without such a limit."""
        if self.budget.seconds is None:
            return None
        return max(0.0, self.budget.seconds - self.used.seconds)

    def near(self) -> bool:
        """Whether a tenth of the money is left, or less."""
        cap = self.budget.money
        return cap is not None and 10 * (cap - self.money - self._reserved_money) <= cap

    def standing(self) -> Standing:
        """Its nearest limit."""
        limit, used = self.budget, self.used
        parts: list[Standing] = []
        if limit.money is not None:
            share = used.money / limit.money if limit.money else 1.0
            parts.append(Standing(share, f"{dollars(used.money)} of {dollars(limit.money)}"))
        if limit.tokens is not None:
            share = used.tokens / limit.tokens if limit.tokens else 1.0
            parts.append(Standing(share, f"{used.tokens:,} of {limit.tokens:,} tokens"))
        if limit.seconds is not None:
            share = used.seconds / limit.seconds if limit.seconds else 1.0
            parts.append(Standing(share, f"{minutes(used.seconds)} of {minutes(limit.seconds)}"))
        nearest = max(parts, key=lambda part: part.share, default=Standing(0.0, "nothing"))
        span = "" if limit.period is Period.TOTAL else f" of this {limit.period.value}"
        return Standing(nearest.share, f"{nearest.text} of {self.title}{span}")

    def _elapsed(self) -> float:
        return self._seconds + (time.monotonic() - self._since if self._working else 0.0)

    def _bank(self) -> None:
        """Count the time of those who work up to now."""
        self._roll()
        if self._working:
            at = time.monotonic()
            self._amounts[self._window].seconds += at - self._since
            self._since = at
            self._sum()

    def _roll(self) -> None:
        """Begin anew with a new period. A clock that is set back finds the period as it was, and opens nothing.

        What was used in later periods counts on top, as it does where the ledger is read: it was used by then.
        """
        if self._window is None:  # asked at every call, and most budgets have no periods
            return
        current = window(self.budget.period, self._clock())
        if current is None or current == self._window:
            return
        known = max(current, min(filter(None, self._amounts)))  # what was used before is not known here
        if known == self._window:
            return
        before, self._window = self._window, known
        if self._working:
            at = time.monotonic()
            self._amounts[before].seconds += at - self._since
            self._since = at
        self._amounts.setdefault(known, _Amount())
        while len(self._amounts) > _WINDOWS:
            del self._amounts[min(filter(None, self._amounts))]
        self._sum()

    def _sum(self) -> None:
        """What is used of the period: since it began."""
        since = self._window
        counted = [amount for began, amount in self._amounts.items() if not since or not began or began >= since]
        self.money = sum(amount.money for amount in counted)
        self.tokens = sum(amount.tokens for amount in counted)
        self._seconds = sum(amount.seconds for amount in counted)


class Pots(Struct):
    """Every shared pot of a server, and who works."""

    clock: Callable[[], datetime] = now
    keep: Callable[[Budget], Awaitable[None]] | None = None
    """writes down that a budget is spent; None: nobody does"""
    _pots: dict[Scope, dict[Period, Pot]] = field(default_factory=dict)
    _working: dict[SessionId, tuple[Sequence[Scope], float]] = field(default_factory=dict)
    """the scopes of those who work, and since when"""
    _waiting: set[asyncio.Future[None]] = field(default_factory=set)

    def of(self, scopes: Iterable[Scope]) -> list[Pot]:
        """The pots that bind these scopes."""
        return [pot for scope in scopes for pot in self._pots.get(scope, {}).values()]

    async def put(
        self, budget: Budget, read: Callable[[datetime | None], Awaitable[Used]], *, spent: datetime | None = None
    ) -> Pot:
        """Bind a scope, in place of its budget of that period. Until what was used is known, its calls wait.

        Args:
            budget: what binds.
            read: tells what the ledger holds since a time, once every ended call of the scope is in it.
            spent: when it was said to be spent, if it was.
        """
        pot = Pot(budget, f"the budget of {budget.scope}", spent=spent, clock=self.clock)
        pot.loading = True
        before = self._pots.setdefault(budget.scope, {}).get(budget.period)
        self._pots[budget.scope][budget.period] = pot
        try:
            while True:
                seen = pot.settles
                used = await read(window(budget.period, self.clock()))
                if seen == pot.settles:
                    break
        except BaseException:
            self.remove(budget.scope, budget.period)
            if before is not None:
                self._pots.setdefault(budget.scope, {})[budget.period] = before
            raise
        pot.replace(used)
        for session, (scopes, _) in self._working.items():
            if budget.scope in scopes:
                pot.work(session)
        pot.loading = False
        self.wake()
        return pot

    async def close(self, pot: Pot) -> None:
        """A shared pot is spent; returns once that is written down.

        Raises:
            Exception: whatever the writer raised; the pot is closed all the same.
        """
        pot.close()
        self.wake()
        if self.keep is not None:
            await pot.keep(self.keep)

    def remove(self, scope: Scope, period: Period | None = None) -> None:
        """Unbind a scope, or one period of it. Idempotent."""
        pots = self._pots.get(scope, {})
        for each in [period] if period is not None else list(pots):
            pots.pop(each, None)
        if not pots:
            self._pots.pop(scope, None)
        self.wake()

    def find(self, scope: Scope, period: Period) -> Pot | None:
        """The pot of a budget."""
        return self._pots.get(scope, {}).get(period)

    def work(self, session: SessionId, scopes: Sequence[Scope]) -> None:
        """A session begins to work."""
        self._working[session] = scopes, time.monotonic()
        for pot in self.of(scopes):
            pot.work(session)

    def rest(self, session: SessionId) -> None:
        """A session works no more. Idempotent."""
        scopes, _ = self._working.pop(session, ((), 0.0))
        for pot in self.of(scopes):
            pot.rest(session)

    @property
    def working(self) -> dict[SessionId, float]:
        """Sessions that work now, and for how many seconds."""
        at = time.monotonic()
        return {session: at - since for session, (_, since) in self._working.items()}

    async def change(self) -> None:
        """Wait until something was settled or a limit changed."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def wake(self) -> None:
        """Let waiting calls look again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


def window(period: Period, at: datetime) -> datetime | None:
    """When the period that `at` is in began; None for the one that has no beginning."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case Period.TOTAL:
            return None
        case Period.DAY:
            return day
        case Period.WEEK:
            return day - timedelta(days=day.weekday())
        case Period.MONTH:
            return day.replace(day=1)


def dollars(amount: int) -> str:
    """Nano-dollars for people: `$2.00`, or as many digits as there are below a cent."""
    cents, rest = divmod(amount, 10_000_000)
    return f"${cents // 100}.{cents % 100:02d}" + (f"{rest:07d}".rstrip("0") if rest else "")


def minutes(seconds: float) -> str:
    """Seconds for people: `45 s`, `12 min`, `2.5 h`."""
    if seconds < 120:  # two minutes
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"  # two hours
