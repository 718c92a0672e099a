"""Bringing a repository of a forge here: a checkout of Handrail's own, made once and fetched before each use."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from handrail.workspaces.git import attempt, git
from handrail.workspaces.push import Refused, run

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BRANCHES = "+refs/heads/*:refs/remotes/origin/*"
_FETCH = ("fetch", "-q", "--force", "--no-tags")
_PLACES: dict[Path, asyncio.Lock] = {}
"""one fetch at a time into one checkout"""


async def bring(place: Path, url: str, settings: Mapping[str, str], refs: tuple[str, ...]) -> str | Refused:
    """Fetch, and check out what was asked for.

    Args:
        place: where the checkout is, or shall be.
        url: http, https or an absolute path.
        settings: git settings for this process alone, such as a header that lets it in; they are not kept.
        refs: the first of these that the far side has is taken, a branch, a tag or a whole commit; none is its default
            branch.

    Returns:
        The commit.
    """
    async with _PLACES.setdefault(place, asyncio.Lock()):
        if not (place / ".git").is_dir():
            place.mkdir(parents=True, exist_ok=True)
            await git("init", "-q", "--initial-branch=main", ".", cwd=place)
        # the address alone is kept; it tells which forge the repository lies under
        await git("config", "remote.origin.url", url, cwd=place)
        commit = next((ref for ref in refs if _COMMIT.fullmatch(ref)), None)
        got = await _fetch(place, url, settings, refs) if commit is None else await _named(place, url, settings, commit)
        if isinstance(got, str):
            await git("checkout", "-q", "--force", "--detach", got, cwd=place, timeout=300.0)
        return got


async def _fetch(place: Path, url: str, settings: Mapping[str, str], refs: tuple[str, ...]) -> str | Refused:
    """Fetch all branches, and the first of `refs` that is there."""
    listed = await run(place, settings, ["ls-remote", "--", url])
    if isinstance(listed, Refused):
        return listed
    there = {line.partition("\t")[2] for line in listed.splitlines()}
    wanted = next((name for ref in refs for name in _names(ref) if name in there), None)
    if refs and wanted is None:
        return Refused(f"fatal: couldn't find remote ref {refs[0]}: not found")
    taken = wanted or "HEAD"
    fetched = await run(place, settings, [*_FETCH, "--", url, _BRANCHES, f"+{taken}:refs/handrail/taken"])
    if isinstance(fetched, Refused):
        return fetched
    return (await git("rev-parse", "refs/handrail/taken^{commit}", cwd=place)).decode().strip()


async def _named(place: Path, url: str, settings: Mapping[str, str], commit: str) -> str | Refused:
    """Have one commit of a branch; it never changes, so that it is fetched once.

    It is not asked for by its name: a forge gives those of other people's forks too.
    """
    for fetch in (False, True):
        if fetch and isinstance(said := await run(place, settings, [*_FETCH, "--", url, _BRANCHES]), Refused):
            return said
        if (await attempt(["cat-file", "-e", f"{commit}^{{commit}}"], cwd=place)).code == 0:
            return commit
    return Refused(f"fatal: couldn't find remote ref {commit}: not found")


def _names(ref: str) -> tuple[str, ...]:
    return (ref,) if ref.startswith("refs/") else (f"refs/heads/{ref}", f"refs/tags/{ref}")
