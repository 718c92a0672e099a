"""A unified diff taken apart, to be shown unified or side by side. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from msgspec import Struct, field

MOST_LINES = 4000
"""lines of a patch that a page shows"""
_HUNK = re.compile(r"@@ -(\d{1,9})(?:,\d{1,9})? \+(\d{1,9})(?:,\d{1,9})? @@ ?(.*)")


class Line(Struct, frozen=True):
    """One line: its mark (added, removed, same), its numbers before and after, its text."""

    mark: str
    old: int | None
    new: int | None
    text: str


class Hunk(Struct):
    """Lines that stand together; `header` is what git says of the place."""

    header: str
    lines: list[Line] = field(default_factory=list)

    def pairs(self) -> Iterator[tuple[Line | None, Line | None]]:
        """The lines side by side: what was removed beside what came in its place."""
        removed: list[Line] = []
        added: list[Line] = []
        for line in [*self.lines, None]:
            if line is not None and line.mark == "removed" and not added:
                removed.append(line)
            elif line is not None and line.mark == "added":
                added.append(line)
            else:
                for at in range(max(len(removed), len(added))):
                    yield (removed[at] if at < len(removed) else None, added[at] if at < len(added) else None)
                removed, added = ([line], []) if line is not None and line.mark == "removed" else ([], [])
                if line is not None and line.mark == "same":
                    yield line, line


class FilePatch(Struct):
    """What changed in one file."""

    path: str
    notes: list[str] = field(default_factory=list)
    """what git says beside the lines: a rename, a mode, a binary file"""
    hunks: list[Hunk] = field(default_factory=list)

    @property
    def mark(self) -> str:
        """Another one as soon as the change to this file is another one, so that a tick for it falls."""
        told = "\n".join(f"{line.mark} {line.text}" for hunk in self.hunks for line in hunk.lines)
        return hashlib.sha256(f"{self.path}\n{told}".encode("utf-8", "replace")).hexdigest()[:16]


def files(patch: str) -> tuple[list[FilePatch], bool]:
    """The files of `patch`, and whether it was cut at `MOST_LINES`."""
    found: list[FilePatch] = []
    lines = patch.splitlines()
    old = new = 0
    for line in lines[:MOST_LINES]:
        if line.startswith("diff --git "):
            found.append(FilePatch(line.rpartition(" b/")[2].rstrip('"')))
        elif not found:
            continue
        elif (head := _HUNK.match(line)) is not None:
            old, new = int(head[1]), int(head[2])
            found[-1].hunks.append(Hunk(head[3]))
        elif not found[-1].hunks:
            _preamble(found[-1], line)
        else:
            old, new = _body(found[-1].hunks[-1], line, old, new)
    return found, len(lines) > MOST_LINES


def _preamble(file: FilePatch, line: str) -> None:
    if line.startswith("+++ b/"):
        file.path = line[6:].rstrip("\t")
    elif line.startswith(("rename ", "new file", "deleted file", "old mode", "new mode", "Binary")):
        file.notes.append(line)


def _body(hunk: Hunk, line: str, old: int, new: int) -> tuple[int, int]:
    if line.startswith("+"):
        hunk.lines.append(Line("added", None, new, line[1:]))
        return old, new + 1
    if line.startswith("-"):
        hunk.lines.append(Line("removed", old, None, line[1:]))
        return old + 1, new
    if line.startswith("\\"):  # "\ No newline at end of file"
        return old, new
    hunk.lines.append(Line("same", old, new, line[1:]))
    return old + 1, new + 1
