"""The forges at hand: those that a person set up, opened with the master key when they are needed.

Their clients are loaded with the first of them: httpx2 and what signs for an App cost a server's start 0.1 s.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any

from handrail.errors import ForgeError, NotFound
from handrail.forges import Checked, Forge, ForgeKind
from handrail.forges.setup import repository_at
from handrail.gateway.keys import unseal
from handrail.store import forges as rows
from handrail.store.engine import Store


class ForgeShelf:
    """Forges by name. A row that was changed, by whichever server, is opened anew.

    Args:
        store: where their rows are.
        master: opens their secrets.
    """

    def __init__(self, store: Store, master: bytes) -> None:
        self._store = store
        self._master = master
        self._open: dict[str, tuple[tuple[object, ...], Forge]] = {}
        self._client: Any = None

    async def close(self) -> None:
        """End its connections."""
        if self._client is not None:
            await self._client.aclose()

    async def make(self, kind: ForgeKind, url: str, secret: str, settings: Mapping[str, object]) -> Forge:
        """A forge of these values; see `handrail.forges.make`.

        Raises:
            InvalidInput: one of them cannot be used.
        """
        module = await asyncio.to_thread(importlib.import_module, "handrail.forges.make")
        if self._client is None:  # reading the machine's certificates takes its time
            made = await asyncio.to_thread(module.client)
            self._client = self._client or made
        forge: Forge = module.make(self._client, kind, url, secret, settings)
        return forge

    async def get(self, name: str) -> Forge:
        """The forge of that name.

        Raises:
            NotFound: there is none.
            InvalidInput: its secret cannot be opened with this master key.
        """
        row = await rows.get(self._store, name)
        if row is None:
            raise NotFound(f"there is no forge {name!r}: see `handrail forges set --help`")
        said = (row.kind, row.url, row.secret, tuple(sorted(row.settings.items())))
        kept = self._open.get(name)
        if kept is not None and kept[0] == said:
            return kept[1]
        sealed = row.secret
        secret = "" if sealed is None else unseal(self._master, f"forge:{name}:secret", sealed, to=row.url)
        made = await self.make(ForgeKind(row.kind), row.url, secret, row.settings)
        self._open[name] = said, made
        return made

    async def check(self, name: str, repository: str | None = None) -> Checked:
        """Try a forge's credential, and keep what was found for whoever looks later.

        Raises:
            NotFound: there is none of that name.
            ForgeError: it does not work.
        """
        try:
            found = await (await self.get(name)).check(repository)
        except ForgeError as error:
            if error.cause == "token_refused":
                await rows.note(self._store, name, account=None, ends=None, trouble=error.message)
            raise
        await rows.note(self._store, name, account=found.login, ends=found.ends, trouble=None)
        return found

    async def of_remote(self, remote: str) -> tuple[str, str] | None:
        """The forge under which a git remote lies, and the repository's name there; None where it lies under none."""
        for row in await rows.everything(self._store):
            if (name := repository_at(row.url, remote)) is not None:
                return row.name, name
        return None
