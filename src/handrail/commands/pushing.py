"""Pushes for effects: the git of `workspaces`, its refusals told as `forges` tells them."""

from __future__ import annotations

from pathlib import Path

from handrail.forges import Remote, faults
from handrail.workspaces import push as git


class Pushing:
    """See `handrail.forges.Push`."""

    async def head(self, source: Path, remote: Remote, branch: str) -> str | None:
        """See `Push.head`."""
        found = await git.head(source, remote.url, remote.settings, branch)
        if isinstance(found, git.Refused):
            raise faults.of_git(f"looking for {branch} at {remote.url}", found.said)
        return found

    async def push(self, source: Path, remote: Remote, *, commit: str, branch: str, expected: str | None) -> None:
        """See `Push.push`."""
        refused = await git.push(source, remote.url, remote.settings, commit=commit, branch=branch, expected=expected)
        if refused is not None:
            raise faults.of_git(f"pushing {branch} to {remote.url}", refused.said)
