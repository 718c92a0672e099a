"""A small project to try an agent on, for who has none at hand."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from handrail.workspaces.git import git

_README = "# Greetings\n\n`python3 greet.py Ada` greets Ada. `python3 test_greet.py` says whether it does.\n"
_GREET = '''\
"""Greets whoever is named."""

import sys


def greet(name: str) -> str:
    return "Hallo " + name


if __name__ == "__main__":
    print(greet(sys.argv[1]))
'''
_TEST = """\
from greet import greet

assert greet("Ada") == "Hello Ada", greet("Ada")
print("It greets in English.")
"""
_FILES = {"README.md": _README, "greet.py": _GREET, "test_greet.py": _TEST}


def sample_of(data: Path) -> Path:
    """Where it lies under the data directory."""
    return data / "sample"


async def sample(data: Path) -> Path:
    """The project, made where it is not there yet: a git repository with one commit and one test that fails.

    Raises:
        MissingPart: git is not installed.
        HandrailError: it cannot be written.
    """
    place = sample_of(data)
    if not place.exists():
        made = await asyncio.to_thread(_written, data)
        for words in (("init", "-q", "--initial-branch=main", "."), ("add", "-A"), ("commit", "-q", "-m", "Greet")):
            await git(*words, cwd=made)
        await asyncio.to_thread(_placed, made, place)
    return place


def _written(data: Path) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="sample-", dir=data))
    for name, text in _FILES.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def _placed(made: Path, place: Path) -> None:
    """Put it there whole, or not at all; somebody else's that came first is as good."""
    try:
        made.rename(place)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if not place.exists():
            raise
