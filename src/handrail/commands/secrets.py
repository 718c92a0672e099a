"""Secrets that tasks need: set, listed, removed. Values go in and never come out."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from msgspec import Struct

from handrail.commands import values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.egress import Broker, Permit, rules
from handrail.egress.vault import Vault, broker_name
from handrail.errors import HandrailError, InvalidInput, NotFound
from handrail.gateway.keys import seal, unseal
from handrail.store import secrets as rows
from handrail.store.engine import Store
from handrail.store.secrets import SecretRow
from handrail.types import now

LOG = logging.getLogger("handrail.secrets")
LONGEST = 8192
MOST_PERMITS = 50
_NAME = re.compile(r"[A-Z](?:[A-Z0-9_]{0,30}[A-Z0-9])?")
_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,63}): ?(?:([!-z|~]{1,40}) )?\{\}")
_OURS = re.compile(r"LD_.*|HANDRAIL.*|.*_PROXY|PATH|HOME|LANG|TERM|TMPDIR|SHELL|USER|BASH_ENV|ENV|IFS|.*_URL")
"""variables that mean something to programs inside, or to us"""


class Listed(Struct, frozen=True):
    """A secret as it may be shown."""

    name: str
    host: str
    header: str
    permits: tuple[str, ...]


async def listed(desk: Desk, actor: Actor) -> list[Listed]:
    """Every secret, by name."""
    authorise(actor, Permission.SECRETS_READ)
    return [_shown(row) for row in await rows.everything(desk.store)]


async def put(
    desk: Desk, actor: Actor, name: str, *, host: str, header: str, value: str, permits: Sequence[str] = ()
) -> Listed:
    """Set a secret, in place of the one of that name; the next request with it carries the new value.

    Raises:
        InvalidInput: a part of it cannot be used; the value is never shown.
    """
    authorise(actor, Permission.SECRETS_WRITE)
    if not _NAME.fullmatch(name) or _OURS.fullmatch(name):
        mend = (
            "give the variable that stands inside: up to 32 capitals, digits and _, such as SEARCH_KEY, no URL or PATH"
        )
        raise InvalidInput("name", name, mend)
    if len(permits) > MOST_PERMITS:
        raise InvalidInput("permits", f"{len(permits)} of them", f"give at most {MOST_PERMITS}")
    if len(value) > LONGEST:
        raise InvalidInput("value", f"{len(value)} characters", f"give at most {LONGEST}")
    place = _place(host)
    row = SecretRow(name, place, values.text("header", header, 200).strip(), tuple(permits), b"", now())
    broker = _broker(row, value.strip())
    sealed = seal(desk.shelf.master, _bound(row), broker.secret)
    await rows.put(desk.store, SecretRow(name, place, row.header, row.permits, sealed, row.created))
    desk.vault.put(name, broker)
    return _shown(row)


async def remove(desk: Desk, actor: Actor, name: str) -> None:
    """Forget a secret; no request carries it any more, in no session.

    Raises:
        NotFound: there is none of that name.
    """
    authorise(actor, Permission.SECRETS_WRITE)
    if await rows.get(desk.store, name) is None:
        raise NotFound(f"there is no secret {name!r}")
    desk.vault.drop(name)
    await desk.store.log.write(guard=rows.remove(name))


async def load(store: Store, master: bytes) -> Vault:
    """All secrets, opened. One that cannot be (another master key) is left out and told to the log."""
    vault = Vault()
    for row in await rows.everything(store):
        try:
            vault.put(row.name, _broker(row, unseal(master, _bound(row), row.value)))
        except HandrailError as error:
            LOG.warning("the secret %s is left out: %s", row.name, error.message)
    return vault


def _bound(row: SecretRow) -> str:
    """What the sealed value is bound to: with another host or header in its row it cannot be opened."""
    return "\n".join((f"secret {row.name}", row.host, row.header, *row.permits))


def _place(host: str) -> str:
    if host.startswith("*."):
        raise InvalidInput("host", host, "name one host, such as api.example.com or api.example.com:8443")
    try:
        places = rules.places(host)
    except InvalidInput as error:
        raise InvalidInput("host", host, "name one host, such as api.example.com or api.example.com:8443") from error
    if len(places) != 1:
        raise InvalidInput("host", host, "name one host, such as api.example.com or api.example.com:8443")
    return str(places[0])


def _broker(row: SecretRow, value: str) -> Broker:
    """The broker of a secret.

    Raises:
        InvalidInput: header, value or a permit cannot be used.
    """
    found = _HEADER.fullmatch(row.header)
    if found is None:
        raise InvalidInput("header", row.header, "write it as 'Authorization: Bearer {}' or 'X-Api-Key: {}'")
    permits = tuple(_permit(text) for text in row.permits) or (Permit("*", "/"),)
    broker = Broker(broker_name(row.name), f"https://{row.host}", found[1], value, found[2] or "", permits)
    rules.parse((), (broker,))
    return broker


def _permit(text: str) -> Permit:
    method, blank, path = text.strip().partition(" ")
    if not blank:
        method, path = "*", method
    return Permit(method, path.strip())


def _shown(row: SecretRow) -> Listed:
    return Listed(row.name, row.host, row.header, tuple(row.permits))
