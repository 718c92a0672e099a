"""Cancelling a turn from another thread, at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event


class Cancelled(Exception):
    """The turn was cancelled."""


class Cancel(Event):
    """Set once for one turn; what the turn waits for (one thing at a time) is stopped then."""

    def __init__(self) -> None:
        super().__init__()
        self._stop: Callable[[], object] = bool

    def set(self) -> None:
        """Cancel, and stop what is under way. Idempotent."""
        super().set()
        self._stop()

    def check(self, patience: float = 0.0) -> None:
        """Raise `Cancelled` if it was set, or is within `patience` seconds."""
        if self.wait(patience):
            raise Cancelled

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """While inside, a cancellation calls `stop` (from the other thread; it must neither block nor raise)."""
        self._stop = stop
        try:
            self.check()
            yield
        finally:
            self._stop = bool
