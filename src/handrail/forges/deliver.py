"""Carrying an effect out so that being killed in the midst of it repeats nothing.

Every act looks first whether it was done (see `github`); so the same call is safe after a kill, a lost answer, a 500.
What fails in passing is tried again here for a short while; a longer wait is the caller's, who gets the error with it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from handrail.errors import ForgeError, InvalidInput
from handrail.forges import Forge, Push, Receipt, faults
from handrail.forges import effects as e


class Patience(Struct, frozen=True):
    """How long to go on trying. Times are seconds."""

    tries: int = 4
    first: float = 0.5
    """wait after the first failure; it doubles, give or take a half"""
    longest: float = 20.0
    """a longer wait than this that a forge asks for is left to the caller"""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


async def carry_out(
    forge: Forge,
    effect: e.Effect,
    key: str,
    *,
    push: Push,
    source: Path | None = None,
    patience: Patience | None = None,
) -> Receipt:
    """Carry out an effect, or find that it was carried out before.

    Args:
        forge: where.
        effect: what.
        key: the same for every try of one effect, another one for each effect; nobody outside can guess it.
        push: how commits are pushed.
        source: the bare repository that holds the commits to push.
        patience: how long to go on trying.

    Raises:
        ForgeError: refused, or failed for longer than `patience`; when it is passing, a later call is safe.
    """
    patience = patience or Patience()
    for number in range(1, patience.tries + 1):
        try:
            return await _once(forge, effect, key, push, source)
        except ForgeError as error:
            wait = patience.first * 2 ** (number - 1) * random.uniform(0.5, 1.5)  # noqa: S311  # spreads tries, no secret
            wait = max(wait, error.wait or 0.0)
            if not error.passing or number == patience.tries or wait > patience.longest:
                raise
            await patience.sleep(wait)
    raise AssertionError("a try ends in a receipt or an error")


async def _once(forge: Forge, effect: e.Effect, key: str, push: Push, source: Path | None) -> Receipt:
    if isinstance(effect, e.Push):
        return await _push(forge, effect, push, source)
    if isinstance(effect, e.PullRequest) and effect.commit is not None:
        branch = e.Push(effect.repository, effect.head, effect.commit, effect.expected, effect.replaces)
        await _push(forge, branch, push, source)
    return await forge.act(effect, key)


async def _push(forge: Forge, effect: e.Push, push: Push, source: Path | None) -> Receipt:
    branch, commit = effect.branch, effect.commit
    if source is None or commit is None:
        raise InvalidInput("commit", commit, "it is in no repository of Handrail, so it cannot be pushed")
    remote = await forge.remote(effect.repository)
    there = await push.head(source, remote, branch)
    if there != commit:
        if there not in (effect.expected, *effect.replaces):
            stood = "is not there any more" if there is None else f"is at {there[:12]}"
            raise faults.StaleHead(f"pushing {branch} to {effect.repository} was not done: the branch {stood}")
        await push.push(source, remote, commit=commit, branch=branch, expected=there)
    ids: dict[str, object] = {"branch": branch, "commit": commit}
    return Receipt(effect.kind, remote.url, ids, e.digest(effect), found=there == commit)
