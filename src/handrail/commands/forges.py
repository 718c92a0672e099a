"""Forges: set up, listed, tried, removed. Credentials go in and never come out."""

from __future__ import annotations

import re

from msgspec import Struct

from handrail.commands import values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import InvalidInput, NotFound
from handrail.forges import Checked, ForgeKind
from handrail.forges.setup import place
from handrail.gateway.keys import seal
from handrail.store import forges as rows
from handrail.store import polls
from handrail.store.forges import ForgeRow
from handrail.types import Json, now

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Listed(Struct, frozen=True):
    """A forge as it may be shown."""

    name: str
    kind: ForgeKind
    url: str
    account: str | None
    settings: Json
    credential: str
    """token, app or none"""


class Given(Struct, frozen=True):
    """What a person says of a forge."""

    kind: str
    url: str | None = None
    secret: str = ""
    app_id: str | None = None
    user: str | None = None


async def listed(desk: Desk, actor: Actor) -> list[Listed]:
    """Every forge, by name."""
    authorise(actor, Permission.FORGES_READ)
    return [_shown(row) for row in await rows.everything(desk.store)]


async def put(desk: Desk, actor: Actor, name: str, given: Given) -> Listed:
    """Set a forge up, in place of the one of that name.

    Raises:
        InvalidInput: a value cannot be used; no secret is ever shown.
    """
    authorise(actor, Permission.FORGES_WRITE)
    if not _NAME.fullmatch(name):
        raise InvalidInput("name", name, "use up to 64 lower case letters, digits and . _ -")
    kind = values.choice("kind", given.kind, ForgeKind)
    url = place(kind, None if given.url is None else values.text("url", given.url, 2000))
    settings: Json = {}
    if given.app_id is not None:
        settings["app"] = values.text("app_id", given.app_id, 100)
    if given.user is not None:
        settings["user"] = values.text("user", given.user, 100)
    secret = given.secret.strip()
    await desk.forges.make(kind, url, secret, settings)
    sealed = seal(desk.shelf.master, f"forge:{name}:secret", secret, to=url) if secret else None
    row = ForgeRow(name, kind, url, None, settings, sealed, now())
    await rows.put(desk.store, row)
    return _shown(row)


async def check(desk: Desk, actor: Actor, name: str, repository: str | None) -> Checked:
    """Try the credential: whose it is, what it may do, whether it may write to `repository`.

    Raises:
        NotFound: there is none of that name.
        ForgeError: it does not work; `cause` says why.
    """
    authorise(actor, Permission.FORGES_READ)
    return await desk.forges.check(name, repository)


async def remove(desk: Desk, actor: Actor, name: str) -> None:
    """Forget a forge and its credential; nothing of it is polled any more.

    Raises:
        NotFound: there is none of that name.
    """
    authorise(actor, Permission.FORGES_WRITE)
    if await rows.get(desk.store, name) is None:
        raise NotFound(f"there is no forge {name!r}")
    await desk.store.log.write(*polls.replace(name, (), ()), guard=rows.remove(name))


def _shown(row: ForgeRow) -> Listed:
    credential = "app" if "app" in row.settings else "token" if row.secret else "none"
    return Listed(row.name, ForgeKind(row.kind), row.url, row.account, row.settings, credential)
