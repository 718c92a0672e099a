"""A look that is taken again and again: after as many seconds as it says, or as soon as somebody wakes it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from handrail.errors import HandrailError

_log = logging.getLogger(__name__)

Pause = Callable[[float, asyncio.Event], Awaitable[None]]
"""Waits for so many seconds, or until the event is set."""


async def by_running_clock(seconds: float, woken: asyncio.Event) -> None:
    """A `Pause` that no clock which is set disturbs; on most machines it stands still while they are suspended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):  # wait_for of Python 3.11 can lose a cancellation
            await woken.wait()


class Loop:
    """Looks in a task of its own. A look that fails is told to the log and taken again; only `stop` ends it.

    Args:
        name: of the task, and of what waits while looks fail.
        look: one look; returns the seconds until the next.
        retry: seconds until the next look after one that failed.
        first: seconds until the first.
        pause: how it waits.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], Awaitable[float]],
        *,
        retry: float,
        first: float = 0.0,
        pause: Pause = by_running_clock,
    ) -> None:
        self._name = name
        self._look = look
        self._retry = retry
        self._first = first
        self._pause = pause
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with a look at once, or after `first` seconds."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Stop, in the midst of a look if need be. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def wake(self) -> None:
        """Look now; while a look is under way, once more after it."""
        self._woken.set()

    async def _run(self) -> None:
        if self._first:
            await self._pause(self._first, self._woken)
        while True:
            self._woken.clear()
            wait = self._retry
            try:
                wait = await self._look()
            except* HandrailError as errors:
                _log.error("%s wait: %s", self._name, "; ".join(map(str, errors.exceptions)))
            except* Exception:  # noqa: BLE001  # the edge of it: one look that is broken must not be the last
                _log.exception("looking after %s failed; it is tried again", self._name)
            await self._pause(wait, self._woken)
