"""Refs as git keeps them in files: read, and written where nobody else writes, without a process each time.

What is kept in another way (a reftable, a link that leads elsewhere) is not guessed at: git is asked then.
Source: https://git-scm.com/docs/gitrepository-layout, and `files-backend.c` for what is no ref.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from handrail.errors import HandrailError, StorageFull
from handrail.files import replace_for_good

UPSTREAM = ("refs/heads", "refs/tags", "refs/remotes")
_COMMIT = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LINK = b"ref: "


def upstream(place: Path) -> bytes | None:
    """The branches, tags and remotes of a repository, one `commit ref` a line, as `git for-each-ref` orders them.

    Args:
        place: its (common) directory.

    Returns:
        None where one is kept in a way that is not read here.
    """
    spaces = tuple(os.fsencode(space) + b"/" for space in UPSTREAM)
    try:
        if (place / "reftable").exists():
            return None
        # loose ones first: git packs a ref before it takes its file away
        found = {name: said for space in UPSTREAM for name, said in _loose(place, space)}
        for name, commit in _packed(place):
            if name.startswith(spaces):
                found.setdefault(name, commit)
    except OSError:  # one went away just now, or may not be read
        return None
    whole = {name: found.get(said.removeprefix(_LINK), b"") if said.startswith(_LINK) else said
             for name, said in found.items()}  # fmt: skip
    if not all(_COMMIT.fullmatch(commit) for commit in whole.values()):
        return None
    return b"".join(commit + b" " + name + b"\n" for name, commit in sorted(whole.items()))


def one(place: Path, ref: str) -> str | None:
    """The commit of one ref of a repository; None where it has none of that name, or links to another.

    Raises:
        OSError: it cannot be read.
    """
    try:
        said = _content(place / ref)
    except FileNotFoundError:
        said = dict(_packed(place)).get(os.fsencode(ref), b"")
    return said.decode("ascii") if _COMMIT.fullmatch(said) else None


def keep(place: Path, refs: Mapping[str, str]) -> None:
    """Have refs of a bare repository of ours, which nobody else writes meanwhile, name these commits, for good.

    Raises:
        StorageFull: no room is left.
        HandrailError: they could not be written.
    """
    try:
        for ref, commit in refs.items():
            if one(place, ref) == commit:
                continue
            path = place / ref
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.with_name(f"{path.name}.lock")  # git's own name for it: no ref is called so
            replace_for_good(path, f"{commit}\n".encode("ascii"), lock)
    except OSError as error:
        kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else HandrailError
        raise kind(f"a ref of {place} could not be written: {error.strerror}") from error


def _loose(place: Path, space: str) -> Iterator[tuple[bytes, bytes]]:
    for folder, below, files in os.walk(place / space):
        below[:] = [name for name in below if not name.startswith(".")]
        for path in (Path(folder, file) for file in files if not file.startswith(".") and not file.endswith(".lock")):
            yield os.fsencode(path.relative_to(place)), _content(path)


def _packed(place: Path) -> Iterator[tuple[bytes, bytes]]:
    try:
        lines = (place / "packed-refs").read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        commit, _, name = line.partition(b" ")
        if not line.startswith((b"#", b"^")):
            yield name, commit


def _content(path: Path) -> bytes:
    """What a file of a ref says; a pipe in its place says nothing."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096).strip()
    finally:
        os.close(descriptor)
