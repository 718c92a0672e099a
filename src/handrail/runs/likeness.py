"""Which tasks ended alike, so that forty results are read as three: by outcome, cause, and what failed in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from msgspec import Struct

from handrail.store.tasks import TaskRow
from handrail.types import Outcome

_LINES = 12
_TELLING = re.compile(r"error|fail|exception|assert|not found|no module|cannot|denied|refused|conflict", re.IGNORECASE)
_RULES = (
    (re.compile(r"\x1b\[[0-9;]*[A-Za-z]"), ""),
    (re.compile(r"0x[0-9a-fA-F]+"), "#"),
    (re.compile(r"\b[0-9a-f]{7,64}\b"), "#"),
    (re.compile(r"(?:/[\w.+-]+)+/([\w.+-]+)"), r"\1"),  # a path: its last part
    (re.compile(r"\d+(?:\.\d+)*"), "#"),
    (re.compile(r"[-=_.~*]{3,}"), ""),
    (re.compile(r"\s+"), " "),
)


class Group(Struct, frozen=True):
    """Tasks that ended alike, or are not there yet."""

    label: str
    """a sentence's worth: what they have in common"""
    outcome: Outcome | None
    tasks: tuple[TaskRow, ...]


def likeness(
    outcome: Outcome, cause: str, *, names: Iterable[str], output: str = "", files: Iterable[tuple[str, str]] = ()
) -> str:
    """A short key, equal for tasks that ended alike.

    Args:
        outcome: of the task.
        cause: its stable word.
        names: what differs from one repository to the next by nature (its name); taken out of `output`.
        output: what the failing check printed.
        files: status and path of each file of the change, for tasks that made one.
    """
    shape = "\n".join(sorted({f"{status} *{PurePosixPath(path).suffix}" for status, path in files}))
    said = normalised(output, names)
    whole = f"{outcome}\n{cause}\n{said or shape}"
    return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:16]


def normalised(output: str, names: Iterable[str] = ()) -> str:
    """The telling lines of an output, without what differs from one machine, run or repository to the next."""
    for name in sorted({name for name in names if len(name) > 2}, key=len, reverse=True):  # "a" says nothing
        output = re.sub(
            re.escape(name).replace(r"\-", "[-_]").replace("_", "[-_]"), "REPOSITORY", output, flags=re.IGNORECASE
        )
    lines: list[str] = []
    for raw in output.splitlines():
        line = raw
        if not _TELLING.search(line):
            continue
        for pattern, put in _RULES:
            line = pattern.sub(put, line)
        line = line.strip()
        if line and line not in lines:
            lines.append(line)
    return "\n".join(lines[-_LINES:])


def grouped(tasks: Sequence[TaskRow]) -> list[Group]:
    """Tasks by likeness: what needs a person first, then the rest, the larger groups first."""
    found: dict[tuple[str, str], list[TaskRow]] = {}
    for task in tasks:
        if task.outcome is None:
            key = (task.state.value, task.cause or "")
        else:
            key = (task.outcome.value, task.likeness or task.cause or "")
        found.setdefault(key, []).append(task)
    groups = [Group(_label(several), several[0].outcome, tuple(several)) for several in found.values()]
    good = (Outcome.DONE, Outcome.NOTHING_TO_DO)
    return sorted(groups, key=lambda group: (group.outcome in good, group.outcome is None, -len(group.tasks)))


def _label(tasks: Sequence[TaskRow]) -> str:
    first = tasks[0]
    if first.outcome is None:
        return f"{first.state}: {first.reason}" if first.reason else first.state.value
    word = first.outcome.replace("_", " ")
    return f"{word} ({first.cause}): {first.reason}" if first.reason else word
