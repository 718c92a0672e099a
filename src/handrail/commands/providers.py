"""Model providers: set up, listed, removed. Keys go in and never come out."""

from __future__ import annotations

import re

from msgspec import Struct

from handrail.commands import values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import Conflict, InvalidInput, NotFound
from handrail.gateway import Provider, Wire
from handrail.gateway.keys import seal
from handrail.gateway.providers import validate
from handrail.store import providers as rows
from handrail.store.providers import ProviderRow
from handrail.types import now

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ADDRESSES = {
    Wire.ANTHROPIC: "https://api.anthropic.com",
    Wire.OPENAI: "https://api.openai.com/v1",
    Wire.GEMINI: "https://generativelanguage.googleapis.com",
}


class Listed(Struct, frozen=True):
    """A provider as it may be shown."""

    name: str
    wire: Wire
    base_url: str
    model: str | None
    key: str
    """set, or none where what is stored cannot be opened: it is to be set again"""
    source: str
    """stored or environment"""


async def listed(desk: Desk, actor: Actor) -> list[Listed]:
    """Every provider, by name."""
    authorise(actor, Permission.PROVIDERS_READ)
    serving = {provider.name: provider for provider in desk.shelf.registry}
    found = {}
    for row in await rows.everything(desk.store):
        given = serving.get(row.name)
        key = "none" if given is None or given is desk.shelf.environment.get(row.name) else "set"
        found[row.name] = Listed(row.name, Wire(row.wire), row.base_url, row.model, key, "stored")
    for name, given in desk.shelf.environment.items():
        if name not in found:
            found[name] = Listed(name, given.wire, given.base_url, given.model, "set", "environment")
    return [found[name] for name in sorted(found)]


async def put(
    desk: Desk, actor: Actor, name: str, *, wire: str, base_url: str | None, key: str, model: str | None
) -> Listed:
    """Set a provider up, in place of the one of that name; it serves the next call.

    Raises:
        InvalidInput: a value cannot be used; the key is never shown.
    """
    authorise(actor, Permission.PROVIDERS_WRITE)
    if not _NAME.fullmatch(name):
        raise InvalidInput("name", name, "use up to 64 lower case letters, digits and . _ -")
    format_ = values.choice("wire", wire, Wire)
    address = _ADDRESSES[format_] if base_url is None else values.text("base_url", base_url, 2000).rstrip("/")
    chosen = None if model is None else values.text("model", model, 200)
    provider = Provider(name, format_, address, key.strip(), chosen)
    validate(provider)
    sealed = seal(desk.shelf.master, name, provider.key, to=address)
    await rows.put(desk.store, ProviderRow(name, format_, address, chosen, sealed, now()))
    desk.shelf.registry.add(provider)
    return Listed(name, format_, address, chosen, "set", "stored")


async def remove(desk: Desk, actor: Actor, name: str) -> None:
    """Forget a provider; the environment's of that name, if there is one, serves again.

    Raises:
        NotFound: there is none of that name.
        Conflict: the environment names it, so only there can it be removed.
    """
    authorise(actor, Permission.PROVIDERS_WRITE)
    if await rows.get(desk.store, name) is None:
        if name in desk.shelf.environment:
            raise Conflict(f"the provider {name} comes from the environment of the server: remove its variable there")
        raise NotFound(f"there is no provider {name!r}")
    await desk.store.log.write(guard=rows.remove(name))
    desk.shelf.registry.remove(name)
    if name in desk.shelf.environment:
        desk.shelf.registry.add(desk.shelf.environment[name])
