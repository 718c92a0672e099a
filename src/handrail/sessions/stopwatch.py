"""Counts the time that a session works towards its goal, by a clock that nobody sets."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator


class Stopwatch:
    """Runs while a session works, and stands while a person is waited for and while no server runs.

    Args:
        seconds: what was counted before.
        running: tells seconds by a clock that is never set.
    """

    def __init__(self, seconds: float = 0.0, running: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._running = running
        self._since: float | None = None
        self._works = False
        self._waits = 0

    @property
    def seconds(self) -> float:
        """What is counted by now."""
        return self._seconds + (0.0 if self._since is None else self._running() - self._since)

    def reset(self) -> None:
        """Count from 0."""
        self._seconds = 0.0
        if self._since is not None:
            self._since = self._running()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """The session works."""
        self._works = True
        self._turn()
        try:
            yield
        finally:
            self._works = False
            self._turn()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """A person is waited for; waits that overlap count once."""
        self._waits += 1
        self._turn()
        try:
            yield
        finally:
            self._waits -= 1
            self._turn()

    def _turn(self) -> None:
        """Run or stand, as it is now."""
        self._seconds, runs = self.seconds, self._works and not self._waits
        self._since = self._running() if runs else None
