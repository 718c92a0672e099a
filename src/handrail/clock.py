"""The clock that deadlines and periods go by: the wall's, of which a jump is believed once it has stood for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from handrail.types import now

JUMP = timedelta(seconds=10)
"""the wall clock may part from the running one by so much at once, and is followed"""
PROOF = 600.0
"""seconds that a jump has to stand before it is believed"""

_log = logging.getLogger(__name__)


def running() -> float:
    """Seconds by a clock that is never set, and that goes on while the machine is suspended."""
    # macOS has no CLOCK_BOOTTIME, and its CLOCK_MONOTONIC counts sleep
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Clock:
    """Tells the time, and is not led astray by a wall clock that is set wrong and soon set right again.

    A jump is followed after `PROOF` seconds: a virtual machine that was frozen wakes up hours later, and is right.
    Until then time goes on from where it was. A restart believes the wall at once.

    Args:
        wall: the clock that can be set.
        steady: seconds by one that cannot.
    """

    def __init__(self, wall: Callable[[], datetime] = now, steady: Callable[[], float] = running) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = self._apart()
        self._doubted: timedelta | None = None
        self._since = 0.0

    def __call__(self) -> datetime:
        """The time, aware and in UTC."""
        offset, at = self._apart(), self._steady()
        if abs(offset - self._offset) <= JUMP:
            self._offset, self._doubted = offset, None
        elif self._doubted is None or abs(offset - self._doubted) > JUMP:
            self._doubted, self._since = offset, at
            _log.warning("the clock of this machine jumped by %s: it is believed if it stays", offset - self._offset)
        elif at - self._since >= PROOF:
            self._offset, self._doubted = offset, None
        return _EPOCH + self._offset + timedelta(seconds=at)

    def _apart(self) -> timedelta:
        return self._wall() - _EPOCH - timedelta(seconds=self._steady())


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
