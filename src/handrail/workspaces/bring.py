"""Bringing a repository of a forge here: a checkout of Handrail's own, made once and fetched before each use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from handrail.workspaces.git import git
from handrail.workspaces.push import Refused, run

_PLACES: dict[Path, asyncio.Lock] = {}
"""one fetch at a time into one checkout"""


async def bring(place: Path, url: str, settings: Mapping[str, str], refs: tuple[str, ...]) -> str | Refused:
    """Fetch, and check out what was asked for.

    Args:
        place: where the checkout is, or shall be.
        url: http, https or an absolute path.
        settings: git settings for this process alone, such as a header that lets it in; they are not kept.
        refs: the first of these that the far side has is taken; none is its default branch.

    Returns:
        The commit.
    """
    async with _PLACES.setdefault(place, asyncio.Lock()):
        if not (place / ".git").is_dir():
            place.mkdir(parents=True, exist_ok=True)
            await git("init", "-q", "--initial-branch=main", ".", cwd=place)
        # the address alone is kept; it tells which forge the repository lies under
        await git("config", "remote.origin.url", url, cwd=place)
        listed = await run(place, settings, ["ls-remote", "--", url])
        if isinstance(listed, Refused):
            return listed
        there = {line.partition("\t")[2] for line in listed.splitlines()}
        wanted = next((name for ref in refs for name in _names(ref) if name in there), None)
        if refs and wanted is None:
            return Refused(f"fatal: couldn't find remote ref {refs[0]}: not found")
        taken = wanted or "HEAD"
        specs = ["+refs/heads/*:refs/remotes/origin/*", f"+{taken}:refs/handrail/taken"]
        fetched = await run(place, settings, ["fetch", "-q", "--force", "--no-tags", "--", url, *specs])
        if isinstance(fetched, Refused):
            return fetched
        commit = (await git("rev-parse", "refs/handrail/taken^{commit}", cwd=place)).decode().strip()
        await git("checkout", "-q", "--force", "--detach", commit, cwd=place, timeout=300.0)
        return commit


def _names(ref: str) -> tuple[str, ...]:
    return (ref,) if ref.startswith("refs/") else (f"refs/heads/{ref}", f"refs/tags/{ref}")
