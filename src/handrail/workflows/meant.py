"""What words of a workflow file mean: the one that stands for an event's repository, and what a wrong one could be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EVENT = "event"
"""the repository that an event is about"""
_FEW = 12
"""names that are worth listing beside a good guess"""


def guess(word: str, known: Iterable[str]) -> str:
    """What could be meant by a word that is not among the known ones."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    if near and len(names) > _FEW:
        return f"did you mean {near[0]}?"
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}known here are {', '.join(names)}"
