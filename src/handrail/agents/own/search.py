"""Searches files where ripgrep is not installed. A program of its own, so that any pattern can be stopped.

`python -m handrail.agents.own.search PATTERN GLOB FOLDER` prints `path:line:text`, or paths for an empty pattern, and
exits with 0, 1 for no match, 2 for a bad pattern, as `rg` does.
"""

from __future__ import annotations

import fnmatch
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_SKIP = {".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", ".tox", ".mypy_cache", ".ruff_cache"}
_LARGEST = 2 << 20
"""bytes of a file that is still looked into"""


def _files(root: Path, glob: str) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, names, files in os.walk(root):
        names[:] = sorted(set(names) - _SKIP)
        for name in sorted(files):
            path = Path(folder, name)
            relative = str(path.relative_to(root))
            if not glob or fnmatch.fnmatch(name, glob) or fnmatch.fnmatch(relative, glob.replace("**/", "*")):
                yield path


def _lines(path: Path, wanted: re.Pattern[str]) -> Iterator[str]:
    try:
        raw = path.read_bytes() if path.stat().st_size <= _LARGEST else b"\0"
    except OSError:
        return
    if b"\0" not in raw[:1024]:
        for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
            if wanted.search(line):
                yield f"{path}:{number}:{line}"


def main(pattern: str, glob: str, root: str) -> int:
    """Print what is found; the exit status."""
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        print(f"not a regular expression: {error}", file=sys.stderr)  # noqa: T201  # a program
        return 2
    found = False
    for path in _files(Path(root), glob):
        for line in _lines(path, wanted) if pattern else (str(path),):
            found = True
            sys.stdout.buffer.write(line.encode("utf-8", "replace") + b"\n")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
