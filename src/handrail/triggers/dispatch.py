"""Stored events are matched one after the other, apart from whoever sent them, and start what waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from handrail.automation import ArrivalState
from handrail.errors import Conflict, HandrailError
from handrail.loop import Loop
from handrail.store import arrivals
from handrail.store.arrivals import ArrivalRow
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.triggers.delivered import Tell, consequences
from handrail.triggers.match import Verdict, Wanted, judge
from handrail.types import RunId

_log = logging.getLogger("handrail.triggers")
_RETRY = 5.0
"""seconds until an event is tried again whose run could not be started for a fault of this machine"""
_LOOK = 30.0
"""seconds after which the table is looked at unasked: another server may have stored an event"""
_CALM = 0.02
"""seconds without a new event after which a burst is over: taking in goes before working off"""
_LONGEST_BURST = 1.0
"""seconds that working off lets taking in go before, at the most"""


class Listener(Struct, frozen=True):
    """A workflow that waits for events."""

    workflow: str
    wanted: tuple[Wanted, ...]


Listeners = Callable[[], Awaitable[Sequence[Listener]]]
Start = Callable[[str, ArrivalRow], Awaitable[RunId]]
"""Start a workflow for an event: once, however often it is asked. Raises InvalidInput where the event lacks what the
workflow needs."""


def verdicts(listener: Listener, arrived: ArrivalRow) -> Verdict:
    """Whether any of a workflow's triggers wants the event; if none does, why the one that came furthest does not."""
    judged = [judge(wanted, arrived) for wanted in listener.wanted]
    return next((verdict for verdict in judged if verdict.matched), None) or max(
        judged, key=_reach, default=Verdict(False, "it waits for no event")
    )


def _reach(verdict: Verdict) -> int:
    order = ("the source", "the event", "the action", "the repository", "the filter")
    return next((at for at, begin in enumerate(order) if verdict.why.startswith(begin)), -1)


class Dispatcher:
    """Works off stored events.

    Args:
        store: where they are.
        listeners: the enabled workflows that wait for events, asked for each batch.
        start: starts a run.
        tell: tells people of a workflow that is trusted less.
    """

    def __init__(self, store: Store, listeners: Listeners, start: Start, tell: Tell) -> None:
        self._store = store
        self._listeners = listeners
        self._start = start
        self._tell = tell
        self._loop = Loop("events", self._look, retry=_RETRY)
        self._woken = 0.0

    async def start(self) -> None:
        """Take up what an earlier server left, and go on."""
        self._loop.start()

    async def stop(self) -> None:
        """Stop; what is not worked off stays stored."""
        await self._loop.stop()

    def wake(self) -> None:
        """Look at the table now: something was stored."""
        self._woken = time.monotonic()
        self._loop.wake()

    async def _look(self) -> float:
        while await self.work_off():
            pass
        return _LOOK

    async def work_off(self) -> int:
        """Match one batch of stored events; returns how many there were."""
        batch = await arrivals.waiting(self._store)
        if not batch:
            return 0
        listeners = await self._listeners()
        nothing: list[tuple[ArrivalRow, str]] = []
        try:
            for row in batch:
                reason = await self._work(row, listeners)
                if reason is not None:
                    nothing.append((row, reason))
                await self._let_in()
        finally:
            await asyncio.gather(*(self._settle(row, reason) for row, reason in nothing))
        return len(batch)

    async def _let_in(self) -> None:
        """Wait while events pour in: whoever sends them waits for an answer, nobody waits for this."""
        until = time.monotonic() + _LONGEST_BURST
        while (at := time.monotonic()) < until and at - self._woken < _CALM:  # noqa: ASYNC110  # calm is no event
            await asyncio.sleep(_CALM)

    async def _work(self, row: ArrivalRow, listeners: Sequence[Listener]) -> str | None:
        """Start what wants the event, then note it: a crash in between starts nothing twice, by the run's key.

        Returns:
            Why nothing came of it, where nothing did: that is still to be noted, in one transaction with others.
        """
        said: list[str] = []
        matched = False
        for listener in listeners:
            verdict = verdicts(listener, row)
            if not verdict.matched:
                said.append(f"{listener.workflow}: no, {verdict.why}")
                continue
            matched = True
            try:
                run = await self._start(listener.workflow, row)
            except HandrailError as error:
                if error.exit_code != 2:  # a fault of this machine: the event waits for its mend
                    raise
                said.append(f"{listener.workflow}: it matches and could not start: {error.message}")
            else:
                said.append(f"{listener.workflow}: started {run}")
        reason = "; ".join(said) or "no enabled workflow waits for events"
        also = await consequences(self._store, row, self._tell)
        if not matched and not also:
            return reason
        await self._settle(row, reason, *also)
        return None

    async def _settle(self, row: ArrivalRow, reason: str, *also: Write) -> None:
        with contextlib.suppress(Conflict):  # another server settled it; the run's key kept the run single
            await self._store.log.write(*also, guard=arrivals.settle(row.id, ArrivalState.WORKED, reason))
