"""The files of a snapshot, read from the host's own results repository: no file of the agent's tree is opened.

Names are bytes to git; here they are text with `surrogateescape`, as `os.fsdecode` gives them.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from handrail.errors import InvalidInput, NotFound
from handrail.workspaces.changes import LINK_LIMIT
from handrail.workspaces.flags import LINK, SUBMODULE, flag
from handrail.workspaces.git import attempt, failure

FILE_LIMIT = 1 << 20
"""bytes of a file that are shown"""
RAW_LIMIT = 64 << 20
"""bytes of a file that can be fetched whole"""
MOST_ENTRIES = 5000
"""entries of one folder that are listed"""
LONGEST_PATH = 4096
_LIST_LIMIT = 8 << 20
_SNIFFED = 8000
"""bytes that git itself looks at to tell whether a file is text"""


class Entry(Struct, frozen=True):
    """One entry of a folder: a `folder`, `file`, `link` or `repository` (a submodule)."""

    name: str
    path: str
    """from the top of the repository"""
    kind: str
    size: int | None
    """bytes; None for folders"""
    flag: str | None = None
    """why a person must look at it (it configures agents or tools), else None"""


class Folder(Struct, frozen=True):
    """One folder. `more` says that it has entries beyond those listed."""

    path: str
    entries: tuple[Entry, ...]
    more: bool = False


class File(Struct, frozen=True):
    """One file. `text` is None for what is no text; it is cut at the limit, and `truncated` says so."""

    entry: Entry
    text: str | None
    truncated: bool = False


async def look(results: Path, commit: str, path: str) -> Folder | File:
    """What stands at `path` in a snapshot.

    Args:
        results: the results repository.
        commit: a snapshot.
        path: from the top of the repository; the top itself where it is empty.

    Raises:
        InvalidInput: no path can be that.
        NotFound: nothing stands there.
    """
    path = checked(path)
    if not path:
        return await _folder(results, commit, "")
    entry = await _entry(results, commit, path)
    if entry.kind == "folder":
        return await _folder(results, commit, path)
    if entry.kind == "repository":
        return File(entry, None)
    limit = LINK_LIMIT if entry.kind == "link" else FILE_LIMIT
    content = await _blob(results, commit, path, limit)
    if b"\0" in content[:_SNIFFED]:
        return File(entry, None)
    if entry.kind == "link":
        entry = replace(entry, flag=flag(path, LINK, content.decode("utf-8", "surrogateescape")))
    return File(entry, content.decode("utf-8", "replace"), truncated=(entry.size or 0) > limit)


async def raw(results: Path, commit: str, path: str) -> bytes:
    """A file of a snapshot as it is.

    Raises:
        InvalidInput: no path can be that, or the file is too large.
        NotFound: no file stands there.
    """
    path = checked(path)
    entry = await _entry(results, commit, path) if path else None
    if entry is None or entry.kind != "file":
        raise NotFound(f"there is no file {path!r} in this snapshot")
    if (entry.size or 0) > RAW_LIMIT:
        raise InvalidInput("path", path, f"files above {RAW_LIMIT >> 20} MB come with `handrail apply`")
    return await _blob(results, commit, path, RAW_LIMIT)


def checked(path: str) -> str:
    """`path` as git has it.

    Raises:
        InvalidInput: it leads out, or nowhere.
    """
    parts = path.strip("/").split("/")
    if len(path) > LONGEST_PATH or "\0" in path or (parts != [""] and {"", ".", ".."} & set(parts)):
        raise InvalidInput("path", path[:200], "give a path from the top of the repository, without . and ..")
    return "/".join(parts)


async def _entry(results: Path, commit: str, path: str) -> Entry:
    above = path.rpartition("/")[0]
    found = next((one for one in (await _listed(results, commit, above))[0] if one.path == path), None)
    if found is None:
        raise NotFound(f"there is nothing at {path!r} in this snapshot")
    return found


async def _folder(results: Path, commit: str, path: str) -> Folder:
    entries, more = await _listed(results, commit, path)
    entries.sort(key=lambda one: (one.kind != "folder", one.name))
    return Folder(path, tuple(entries[:MOST_ENTRIES]), more or len(entries) > MOST_ENTRIES)


async def _listed(results: Path, commit: str, path: str) -> tuple[list[Entry], bool]:
    """The entries of one folder (https://git-scm.com/docs/git-ls-tree), and whether there are more."""
    ran = await attempt(["ls-tree", "-z", "-l", "--full-tree", f"{commit}:{path}"], cwd=results, limit=_LIST_LIMIT)
    if ran.code != 0 and not ran.truncated:
        if "Not a valid object name" in ran.err or "not a tree object" in ran.err:
            raise NotFound(f"there is no folder {path!r} in this snapshot")
        raise failure("reading the snapshot", ran.err)
    lines = ran.out.split(b"\0")[:-1]
    return [_read(line, path) for line in lines], ran.truncated


def _read(line: bytes, above: str) -> Entry:
    facts, _, name = line.partition(b"\t")
    mode, kind, _, size = facts.decode("ascii").split()
    told = name.decode("utf-8", "surrogateescape")
    path = f"{above}/{told}" if above else told
    kind = {"tree": "folder", "commit": "repository"}.get(kind, "link" if mode == LINK else "file")
    reason = flag(path, SUBMODULE if kind == "repository" else mode) if kind != "folder" else None
    return Entry(told, path, kind, int(size) if size.isdigit() else None, reason)


async def _blob(results: Path, commit: str, path: str, limit: int) -> bytes:
    ran = await attempt(["cat-file", "blob", f"{commit}:{path}"], cwd=results, limit=limit)
    if ran.code != 0 and not ran.truncated:
        raise failure("reading the snapshot", ran.err)
    return ran.out
