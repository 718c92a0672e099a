"""One session's money: what it has spent, what is reserved for calls under way, and what the ledger was not told yet.

**What the cap promises.** Before a call leaves, an upper estimate of its cost is reserved: a token for each 4 bytes of
the request, and the output it allows (4,096 tokens where it sets no maximum), at list price. After it, the true cost
takes the reservation's place. While other calls are under way, a call leaves only if its whole estimate fits into what
is left, and waits otherwise; alone, it leaves as long as anything is left, and reserves all of that if its estimate is
larger, since most calls cost far less than their estimate. So spending passes the cap only by what calls cost above
their own reservation: a lone last call beyond what was left, a text that has more tokens than a quarter of its bytes,
or an output beyond 4,096 tokens that no maximum was set for. Calls to a model without a price cannot be counted: they
leave unreserved, and are recorded as unpriced.

**What the ledger promises.** A call is counted here, in memory, before the session's next call is admitted, so the cap
holds whatever the disk does. The ledger is told at once, in order, and the next call does not wait for its answer
unless the cap is near (a tenth of it is left, or less), the ledger refused a call, or `BEHIND` calls are not told yet.
So a crash of the whole server can leave out of the ledger, beside the calls under way, the last `BEHIND` ended ones at
the most, and only what ended within the time of one commit.
"""

from __future__ import annotations

import asyncio
from collections import deque

from handrail.gateway import ModelCall, OnCall
from handrail.types import SessionId

BEHIND = 8
"""ended calls that the ledger may be behind before the next call waits for it"""


class BudgetSpentError(Exception):
    """No call may leave any more."""


class Account:
    """The account of one session. All methods belong to one event loop.

    Args:
        session: whose it is.
        token: what its agent calls with.
        budget: the cap over all that is `spent`, what was spent before included; None is no cap.
        spent: what the ledger already holds.
        on_call: told of each ended call, in the order of their ends, one at a time.
        provider: name of the provider that the session asked for, if any.
    """

    def __init__(
        self,
        session: SessionId,
        token: str,
        *,
        budget: int | None,
        spent: int,
        on_call: OnCall,
        provider: str | None,
    ) -> None:
        self.session = session
        self.token = token
        self.spent = spent
        self.provider = provider
        self.calls: set[asyncio.Task[None]] = set()
        """requests under way; cut when the session's door closes"""
        self._budget = budget
        self._reserved = 0
        self._on_call = on_call
        self._untold: deque[ModelCall] = deque()
        self._refused = False
        self._telling = asyncio.Lock()
        self._settling: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def budget(self) -> int | None:
        """The cap in nano-dollars; setting it lets waiting calls look again."""
        return self._budget

    @budget.setter
    def budget(self, value: int | None) -> None:
        self._budget = value
        self._wake()

    @property
    def exhausted(self) -> bool:
        """Whether the cap is reached."""
        return self._budget is not None and self.spent >= self._budget

    async def reserve(self, estimate: int | None) -> int:
        """Reserve for one call, as the module says; returns the amount to hand to `settle`.

        Args:
            estimate: upper cost in nano-dollars; None where the model has no price.

        Raises:
            BudgetSpentError: the cap is reached.
        """
        while True:
            if self.exhausted:
                raise BudgetSpentError
            if self._budget is None or estimate is None:
                return 0
            left = self._budget - self.spent - self._reserved
            if self._reserved == 0 or estimate <= left:
                amount = min(estimate, left)
                self._reserved += amount
                return amount
            await self._change()

    def settle(self, reserved: int, call: ModelCall) -> None:
        """The call has ended: its cost takes the place of what was reserved."""
        self._reserved -= reserved
        self.spent += call.cost or 0
        self._untold.append(call)
        self._wake()

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
        if told or self._refused or self._near or len(self._untold) >= BEHIND:
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

    @property
    def _near(self) -> bool:
        return self._budget is not None and 10 * (self._budget - self.spent - self._reserved) <= self._budget

    def cut(self) -> None:
        """End every request under way."""
        for task in self.calls:
            task.cancel()

    async def _change(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


def dollars(amount: int) -> str:
    """Nano-dollars for people: `$2.00`, or as many digits as there are below a cent."""
    cents, rest = divmod(amount, 10_000_000)
    return f"${cents // 100}.{cents % 100:02d}" + (f"{rest:07d}".rstrip("0") if rest else "")
