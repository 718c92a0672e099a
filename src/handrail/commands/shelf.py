"""The model providers that a person set up (kept in the store, keys sealed) or that the environment names."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar

from handrail.errors import InvalidInput
from handrail.gateway import Provider, Wire, environment
from handrail.gateway.keys import unseal
from handrail.gateway.providers import Providers, validate
from handrail.store import providers as rows
from handrail.store.engine import Store
from handrail.types import Veiled

LOG = logging.getLogger("handrail.providers")


class Shelf(Veiled, frozen=True):
    """The providers at hand.

    `registry` is what the gateway reads; `master` opens stored keys; `environment` are those that the variables name.
    """

    veiled: ClassVar = frozenset({"master", "environment", "registry"})
    registry: Providers
    master: bytes
    environment: Mapping[str, Provider]


async def load(store: Store, master: bytes, environ: Mapping[str, str]) -> Shelf:
    """All providers; a stored one takes the place of the environment's of the same name.

    One whose key cannot be opened (another master key, an address that it was not given for) is left out and told to
    the log: the server still starts.
    """
    named = {provider.name: provider for provider in environment.providers(environ)}
    shelf = Shelf(Providers(tuple(named.values())), master, named)
    for row in await rows.everything(store):
        try:
            key = unseal(master, row.name, row.key, to=row.base_url)
            provider = Provider(row.name, Wire(row.wire), row.base_url, key, row.model)
            validate(provider)
        except InvalidInput as error:
            LOG.warning("the provider %s is left out: %s", row.name, error.message)
            continue
        shelf.registry.add(provider)
    return shelf
