"""Cancelling a turn from another thread, at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock


class Cancelled(Exception):
    """The turn was cancelled."""


class Cancel(Event):
    """Set once for one turn; whatever the turn waits for is stopped then."""

    def __init__(self) -> None:
        super().__init__()
        self._lock, self._stops = Lock(), list[Callable[[], None]]()

    def set(self) -> None:
        """Cancel, and stop what is under way. Idempotent."""
        with self._lock:
            super().set()
            for stop in self._stops:
                stop()

    def check(self, patience: float = 0.0) -> None:
        """Raise `Cancelled` if it was set, or is within `patience` seconds."""
        if self.wait(patience):
            raise Cancelled

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """While inside, a cancellation calls `stop` (from the other thread; it must neither block nor raise)."""
        with self._lock:
            self.check()
            self._stops.append(stop)
        try:
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)
