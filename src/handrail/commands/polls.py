"""Repositories whose forge is asked for news: set, listed, and asked with the forge's own credential."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from handrail.commands import values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.commands.forge_shelf import ForgeShelf
from handrail.errors import InvalidInput, NotFound
from handrail.forges import ForgeKind, News, faults
from handrail.store import arrivals
from handrail.store import forges as forge_rows
from handrail.store import polls as rows
from handrail.store.engine import Store
from handrail.store.polls import PollRow
from handrail.triggers import Settings
from handrail.types import Json, now

SHORTEST = 10.0
LONGEST = 86_400.0
"""seconds between two looks"""
MOST = 200
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}(?:/[A-Za-z0-9_.-]{1,100}){1,20}")
"""a project of GitLab's may lie in groups of groups"""


class Asking:
    """Asks forges for the poller; see `handrail.triggers.poller.Forges`.

    Args:
        store: where forges and sources are.
        forges: those that are set up.
    """

    def __init__(self, store: Store, forges: ForgeShelf) -> None:
        self._store = store
        self._forges = forges

    async def news(self, source: str, repository: str, seen: Json) -> News:
        """Ask the forge of that name.

        Raises:
            NotFound: there is none any more.
            ForgeError: it cannot be asked.
        """
        return await (await self._forges.get(source)).news(repository, seen)

    async def settings(self, source: str) -> Settings:
        """Who Handrail is there: as its webhooks were told, else whose credential it is.

        Raises:
            HandrailError: the forge is not there, or cannot be asked.
        """
        known = await arrivals.source(self._store, source)
        settings = Settings() if known is None else Settings(**known.settings)  # type: ignore[arg-type]
        if settings.account is not None:
            return settings
        row = await forge_rows.get(self._store, source)
        if row is not None and row.account is None:
            return replace(settings, account=(await self._forges.check(source)).login)
        return replace(settings, account=None if row is None else row.account)


async def listed(desk: Desk, actor: Actor) -> list[PollRow]:
    """All repositories that are polled, by source and name."""
    authorise(actor, Permission.EVENTS_READ)
    return await rows.everything(desk.store)


async def put(desk: Desk, actor: Actor, name: str, *, repositories: Sequence[str], every: float) -> list[PollRow]:
    """Poll these repositories of a forge, and no others of it; none of them ends it.

    The first look tells nothing: what was there before is not news. Repositories that are polled already go on from
    where they were.

    Args:
        desk: the rooms.
        actor: who asks.
        name: of the forge; events bear it as their source.
        repositories: as `owner/name`.
        every: seconds.

    Raises:
        NotFound: there is no such forge.
        InvalidInput: a value cannot be used, or forges of this kind are not polled.
        ForgeError: the forge cannot be asked.
    """
    authorise(actor, Permission.EVENTS_WRITE)
    forge = await forge_rows.get(desk.store, name)
    if forge is None and repositories:
        raise NotFound(f"there is no forge {name!r} to be asked: `handrail forges set {name} --kind github`")
    if forge is not None and forge.kind == ForgeKind.GIT and repositories:
        raise InvalidInput("name", name, "name a forge that tells what happens: plain git is not polled")
    wanted = list(dict.fromkeys(repositories))
    if len(wanted) > MOST:
        raise InvalidInput("repositories", f"{len(wanted)} of them", f"give at most {MOST}")
    for repository in wanted:
        nested = forge is not None and forge.kind == ForgeKind.GITLAB
        if not _REPOSITORY.fullmatch(repository) or (repository.count("/") > 1 and not nested):
            raise InvalidInput("repositories", repository, "give owner/name")
    if not values.duration("every", every, LONGEST) >= SHORTEST:
        raise InvalidInput("every", every, f"give {SHORTEST:.0f} seconds or more")
    known = await rows.everything(desk.store, name)
    for repository in wanted:
        if repository not in {row.repository for row in known}:
            try:
                await desk.forges.check(name, repository)
            except faults.NotThere as error:
                mend = f"name one that {name} has and its credential may see"
                raise InvalidInput("repositories", repository, mend) from error
    at = now()
    made = [PollRow(source=name, repository=one, every=every, due=at, seen={}, created=at) for one in wanted]
    await desk.store.log.write(*rows.replace(name, made, known))
    desk.poller.wake()
    return await rows.everything(desk.store, name)
