"""What a session changed, read from the host's own results repository."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec import Struct

from handrail.workspaces import Change, FileChange
from handrail.workspaces.flags import LINK, flag
from handrail.workspaces.git import attempt, failure, git

PATCH_LIMIT = 2 << 20
LIST_LIMIT = 64 << 20
LINK_LIMIT = 1 << 16
TIMEOUT = 60.0

# No program is run for a file, whatever its attributes say: https://git-scm.com/docs/git-diff
PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--find-renames", "--ignore-submodules=none")
STATUS = {"A": "added", "M": "modified", "D": "deleted", "R": "renamed", "T": "modified", "C": "added"}


class _Raw(Struct, frozen=True):
    mode: str
    blob: str
    status: str
    path: bytes


async def change(results: Path, base: str, head: str, *, limit: int = PATCH_LIMIT) -> Change:
    """The difference between two commits of the results repository.

    Args:
        results: the results repository (`Workspace.results`).
        base: where the session, or the turn, began.
        head: a snapshot.
        limit: bytes of the patch that are kept; it is cut at the end of a line.

    Raises:
        HandrailError: the results hold no such commit.
    """
    if base == head:  # a session that changed nothing gets the snapshot before again
        return Change(base=base, head=head, files=(), patch="", truncated=False)
    listed, patch = await asyncio.gather(
        git("diff", *PLAIN, "--raw", "--numstat", "-z", "--no-abbrev", base, head, "--",
            cwd=results, limit=LIST_LIMIT, timeout=TIMEOUT),
        attempt(["diff", *PLAIN, "--patch", base, head, "--"], cwd=results, limit=limit, timeout=TIMEOUT),
    )  # fmt: skip
    if patch.code != 0 and not patch.truncated:
        raise failure("reading the change", patch.err)
    text = patch.out if not patch.truncated else patch.out[: patch.out.rfind(b"\n") + 1]
    raw, counts = _parse(listed)
    targets = await _link_targets(results, [item.blob for item in raw if item.mode == LINK])
    return Change(
        base=base,
        head=head,
        files=tuple(_file(item, counts.get(item.path), targets) for item in raw),
        patch=text.decode("utf-8", "replace"),
        truncated=patch.truncated,
    )


def _file(item: _Raw, counts: tuple[bytes, bytes] | None, targets: dict[str, str]) -> FileChange:
    added, removed = counts or (b"0", b"0")
    binary = added == b"-"
    path = item.path.decode("utf-8", "surrogateescape")
    return FileChange(
        path=item.path.decode("utf-8", "replace"),
        status=STATUS.get(item.status, "modified"),
        added=0 if binary else int(added),
        removed=0 if binary else int(removed),
        binary=binary,
        flag=flag(path, item.mode, targets.get(item.blob)),
    )


def _parse(listed: bytes) -> tuple[list[_Raw], dict[bytes, tuple[bytes, bytes]]]:
    """Read `--raw --numstat -z` (https://git-scm.com/docs/diff-format): names are ended by NUL, a rename has two."""
    fields = iter(listed.split(b"\0"))
    raw: list[_Raw] = []
    counts: dict[bytes, tuple[bytes, bytes]] = {}
    for field in fields:
        if field.startswith(b":"):
            _, mode, _, blob, status = field.decode("ascii").split(" ")
            path = next(fields)
            if status[0] in "RC":
                path = next(fields)
            raw.append(_Raw(mode, blob, status[0], path))
        elif field:
            added, removed, path = field.split(b"\t", 2)
            if not path:
                next(fields)
                path = next(fields)
            counts[path] = (added, removed)
    return raw, counts


async def _link_targets(results: Path, blobs: list[str]) -> dict[str, str]:
    """What symbolic links point at; one with a monstrous target points at `/`, which is outside."""
    if not blobs:
        return {}
    asked = "".join(f"{blob}\n" for blob in blobs).encode()
    sizes = await git("cat-file", "--batch-check=%(objectname) %(objectsize)", cwd=results, stdin=asked)
    targets = {}
    small = []
    for line in sizes.decode("ascii").splitlines():
        blob, _, size = line.partition(" ")
        if size.isdigit() and int(size) <= LINK_LIMIT:
            small.append((blob, int(size)))
        else:
            targets[blob] = "/"
    asked = "".join(f"{blob}\n" for blob, _ in small).encode()
    contents = await git("cat-file", "--batch", cwd=results, stdin=asked) if small else b""
    at = 0
    for blob, length in small:
        begin = contents.index(b"\n", at) + 1
        targets[blob] = contents[begin : begin + length].decode("utf-8", "surrogateescape")
        at = begin + length + 1
    return targets
