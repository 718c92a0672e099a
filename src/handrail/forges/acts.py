"""Which act of a forge carries out which kind of effect: one table for all that have an API."""

from __future__ import annotations

from typing import Protocol

from handrail.forges import Receipt, faults
from handrail.forges import effects as e


class Acts(Protocol):
    """What a forge with an API does. Each act looks first whether it was done: by `key`, or by what is there."""

    async def pull_request(self, effect: e.PullRequest, key: str) -> Receipt:
        """Open one, or bring the open one of the same branches up to date."""
        ...

    async def comment(self, effect: e.Comment, key: str) -> Receipt:
        """Comment on an issue or pull request."""
        ...

    async def review(self, effect: e.Review, key: str) -> Receipt:
        """Review, with comments on lines."""
        ...

    async def label(self, effect: e.Label) -> Receipt:
        """Add and remove labels."""
        ...

    async def status(self, effect: e.Status) -> Receipt:
        """Set the status of a commit."""
        ...

    async def merge(self, effect: e.Merge) -> Receipt:
        """Merge at the head that was looked at."""
        ...

    async def issue(self, effect: e.Issue, key: str) -> Receipt:
        """Open an issue."""
        ...


async def act(acts: Acts, name: str, effect: e.Effect, key: str) -> Receipt:
    """Carry out an effect by the act that is meant for its kind.

    Args:
        acts: the forge's.
        name: the forge in words.
        effect: what.
        key: as for `Forge.act`.

    Raises:
        ForgeError: refused or failed; `Unsupported` where a forge carries out no such kind.
    """
    match effect:
        case e.PullRequest():
            return await acts.pull_request(effect, key)
        case e.Comment():
            return await acts.comment(effect, key)
        case e.Review():
            return await acts.review(effect, key)
        case e.Label():
            return await acts.label(effect)
        case e.Status():
            return await acts.status(effect)
        case e.Merge():
            return await acts.merge(effect)
        case e.Issue():
            return await acts.issue(effect, key)
        case _:
            raise faults.Unsupported(f"{name} does not carry out an effect of the kind {effect.kind}")
