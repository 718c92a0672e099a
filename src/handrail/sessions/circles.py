"""Whether an agent goes round in circles: the same calls with the same answers, time after time.

Only an unbroken row counts, of one call or of up to `LONGEST` calls in turn: whoever does something else in between, or
gets another answer (a log that grows, a build that goes on), makes progress. A call whose answer nobody told is never
taken for the same.
"""

from __future__ import annotations

import hashlib
from collections import deque

LONGEST = 3
"""calls in turn that make a circle, at the most"""


class Circles:
    """The calls of one turn.

    Args:
        most: how often the same calls may give the same answers; below 2 they always may.
    """

    def __init__(self, most: int) -> None:
        self._most = most if most > 1 else 0
        self._ends: deque[bytes | None] = deque(maxlen=max(1, LONGEST * self._most))

    def clear(self) -> None:
        """A new turn begins."""
        self._ends.clear()

    def note(self, tool: str | None, given: object, status: str, answer: str | None) -> int | None:
        """One call has ended.

        Args:
            tool: its kind.
            given: what it was called with.
            status: how it ended.
            answer: what it gave; None where nobody told.

        Returns:
            After how many times the circle is complete, None where there is none.
        """
        words = repr((tool, given, status, answer)).encode("utf-8", "replace")
        self._ends.append(None if answer is None else hashlib.blake2b(words, digest_size=16).digest())
        if not self._most or self._ends[-1] is None:
            return None
        ends = list(self._ends)
        for length in range(1, LONGEST + 1):
            row = ends[-length * self._most :]
            if len(row) == length * self._most and None not in row and row == row[:length] * self._most:
                return self._most
        return None
