"""Repositories and effects of this machine: checkouts by their path, branches in them, reports kept here."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Protocol

from handrail.automation import EffectKind
from handrail.errors import HandrailError, InvalidInput
from handrail.runs.plan import Target
from handrail.runs.proposals import place
from handrail.runs.rooms import Brought, Carried, Carrier, Refused
from handrail.store.effects import EffectRow
from handrail.workspaces.collect import branch


class Brings(Protocol):
    """Brings a repository of a forge here: see `Sources`."""

    async def bring(self, target: Target) -> Brought:
        """See `Sources.bring`."""
        ...


class LocalSources:
    """Checkouts by their absolute path; what is named otherwise is brought by `forges`.

    Args:
        forges: brings the repositories of forges and URLs.
    """

    def __init__(self, forges: Brings | None = None) -> None:
        self._forges = forges

    async def bring(self, target: Target) -> Brought:
        """See `Sources`."""
        if target.repository.startswith("/"):
            return Brought(Path(target.repository), target.ref)
        if self._forges is None:
            raise InvalidInput("repository", target.repository, "give the absolute path of a checkout")
        return await self._forges.bring(target)


class LocalCarrier:
    """Carries out what stays on this machine; the rest is carried by `forges`.

    Args:
        forges: carries out the effects at forges, and messages.
    """

    def __init__(self, forges: Carrier | None = None) -> None:
        self._forges = forges

    async def carry(self, effect: EffectRow, source: Path) -> Carried | Refused:
        """See `Carrier`."""
        if effect.kind is EffectKind.REPORT:
            said = json.dumps(effect.body, sort_keys=True).encode("utf-8", "surrogatepass")
            return Carried({"kept": effect.id, "hash": hashlib.sha256(said).hexdigest()})
        forge, where = place(effect.target)
        if forge is None and where.startswith("/") and effect.kind in (EffectKind.PUSH, EffectKind.PULL_REQUEST):
            return await _branch(effect, source, Path(where))
        if self._forges is None:
            return Refused("no_forge", f"no forge is set up that could carry out a {effect.kind.replace('_', ' ')}")
        return await self._forges.carry(effect, source)


def kept_at(effect: EffectRow) -> str:
    """The ref of the results that keeps the commit of an effect."""
    return f"refs/handrail/effects/{effect.id}" if effect.task is None else f"refs/handrail/tasks/{effect.task}"


async def _branch(effect: EffectRow, source: Path, checkout: Path) -> Carried | Refused:
    """A checkout of this machine takes a branch; a pull request into it is that branch."""
    name = str(effect.body.get("branch") or effect.body.get("head"))
    commit, given, more = str(effect.body["commit"]), effect.body.get("expected"), effect.body.get("replaces")
    expected = (given if isinstance(given, str) else None, *(more if isinstance(more, list) else ()))
    try:
        made = await branch(source, checkout, commit=commit, ref=kept_at(effect), name=name, expected=expected)
    except HandrailError as error:
        return Refused("conflict", error.message)
    return Carried({"repository": str(checkout), "branch": made.branch, "commit": made.commit, "found": made.found})
