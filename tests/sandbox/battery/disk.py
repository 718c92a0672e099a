"""Attempts to take more of the disk than is given, in a box of their own: there the limit ends what goes over.

Behind walls the one that tries stays afterwards, until it is ended; without them a moment is enough.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.sandbox.battery import Targets, attempt

LIMIT = 1 << 20
"""bytes of disk in their box"""
PIECES, PIECE = 12, 1 << 17


def fill(directory: Path, t: Targets) -> object:
    """Write half as much again as the limit, and stay."""
    directory.mkdir(exist_ok=True)
    for number in range(PIECES):
        (directory / f"part-{number}").write_bytes(bytes(PIECE))
        time.sleep(0.005)
    return stay(t)


def stay(t: Targets) -> object:
    """Be there for as long as it takes to be ended."""
    time.sleep(t.get("stay", 0))
    return "it was not ended"


def place(t: Targets, name: str) -> Path:
    """A new directory, which the host removes."""
    path = Path(t["workspace"], name)
    path.mkdir()
    return path


@attempt
def fill_the_workspace(t: Targets) -> object:
    return fill(place(t, "many"), t)


@attempt
def fill_the_home(t: Targets) -> object:
    return fill(Path(t["home"], "many"), t)


@attempt
def fill_without_a_name(t: Targets) -> object:
    kept = []
    for _number in range(PIECES):
        kept.append(os.open(t["workspace"], os.O_TMPFILE | os.O_RDWR))
        os.write(kept[-1], bytes(PIECE))
    return stay(t)


@attempt
def fill_behind_a_closed_door(t: Targets) -> object:
    directory = place(t, "closed")
    for number in range(PIECES):
        (directory / f"part-{number}").write_bytes(bytes(PIECE))
    directory.chmod(0)
    try:
        return stay(t)
    finally:
        directory.chmod(0o700)


@attempt
def fill_in_the_deep(t: Targets) -> object:
    current = os.open(place(t, "deep"), os.O_RDONLY)
    for _number in range(220):
        os.mkdir("d", dir_fd=current)
        below = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    for number in range(PIECES):
        os.write(os.open(f"part-{number}", os.O_CREAT | os.O_WRONLY, dir_fd=current), bytes(PIECE))
    return stay(t)


@attempt
def fill_with_files_of_no_size(t: Targets) -> object:
    directory = place(t, "empty")
    for number in range(1200):
        os.close(os.open(directory / str(number), os.O_CREAT | os.O_WRONLY))
    return stay(t)


@attempt
def fill_without_writing(t: Targets) -> object:
    directory = place(t, "reserved")
    for number in range(PIECES):
        descriptor = os.open(directory / str(number), os.O_CREAT | os.O_WRONLY)
        os.posix_fallocate(descriptor, 0, PIECE)
        os.close(descriptor)
    return stay(t)
