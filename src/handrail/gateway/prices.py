"""What a call costs, in exact nano-dollars: the user's own prices first, then the list of `genai-prices`.

The list prices by the provider's base URL; behind a URL that it does not know, a model costs what its maker asks. A
model that is in no list → None (unpriced), never 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fnmatch import fnmatchcase
from importlib import import_module
from types import ModuleType
from typing import Any

from msgspec import Struct

from handrail.gateway import Provider
from handrail.gateway.demo import DEMO
from handrail.gateway.routes import Format
from handrail.gateway.usage import Reading
from handrail.types import NanoUSD

_MILLION = Decimal(1_000_000)
_NANO = Decimal(1_000_000_000)


class Price(Struct, frozen=True):
    """A price of the user's own, in US dollars for a million tokens; what is None costs as input does."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    cache_written: Decimal | None = None

    def cost(self, reading: Reading) -> Decimal:
        """US dollars for what `reading` used."""
        cached = self.input if self.cached is None else self.cached
        written = self.input if self.cache_written is None else self.cache_written
        fresh = max(0, reading.input - reading.cached - reading.cache_written)
        total = fresh * self.input + reading.cached * cached
        return (total + reading.cache_written * written + reading.output * self.output) / _MILLION


class Prices:
    """Prices of calls.

    Args:
        overrides: by `provider/model` or by model; both may hold `*`. The first that matches wins.
    """

    def __init__(self, overrides: Mapping[str, Price] | None = None) -> None:
        self.overrides = dict(overrides or {})
        """the user's own"""
        self._catalogue: asyncio.Task[None] | None = None
        self._list: Any = None  # the module `catalogue`, once it is imported

    def warm(self) -> None:
        """Begin to load the price list in a thread; needs a running loop. Idempotent."""
        if self._catalogue is None:
            self._catalogue = asyncio.get_running_loop().create_task(self._load())

    async def _load(self) -> None:
        self._list = await asyncio.to_thread(_import)

    async def ready(self) -> None:
        """Wait until the price list is loaded, so that the first call's price is right too."""
        if self._list is None:
            self.warm()
            if self._catalogue:
                await asyncio.shield(self._catalogue)

    async def close(self) -> None:
        """Wait for a load that is under way. Idempotent."""
        if self._catalogue:
            await self._catalogue

    async def cost(
        self, provider: Provider, form: Format, models: tuple[str | None, ...], reading: Reading, time: datetime
    ) -> NanoUSD | None:
        """The price of a call, once the price list is there.

        Args: as `known`.
        """
        if any(models) and self._list is None and self._overridden(provider, models) is None:
            await self.ready()
        return self.known(provider, form, models, reading, time)

    @property
    def loaded(self) -> bool:
        """Whether `known` can answer."""
        return self._list is not None

    def known(
        self, provider: Provider, form: Format, models: tuple[str | None, ...], reading: Reading, time: datetime
    ) -> NanoUSD | None:
        """The price of a call, by the list as it is loaded.

        Args:
            provider: where it went.
            form: its wire format.
            models: names to try, best first (what the answer said, then what the request asked for).
            reading: what it used.
            time: when it was made; prices change.

        Returns:
            None where none of the names has a price.
        """
        if provider is DEMO:
            return NanoUSD(0)
        names = [name for name in models if name]
        if override := self._overridden(provider, models):
            return _nano(override.cost(reading))
        if not names or self._list is None:
            return None
        usage = self._list.read(form, reading.raw) if reading.raw and not reading.partial else None
        if usage is None:
            usage = self._list.plain(
                given=reading.input, cached=reading.cached, written=reading.cache_written, made=reading.output
            )
        for name in names:
            price = self._list.price(provider.base_url, form, model=name, usage=usage, time=time, context=reading.terms)
            if price is not None:
                return _nano(price)
        return None

    def _overridden(self, provider: Provider, models: tuple[str | None, ...]) -> Price | None:
        if not self.overrides:
            return None
        return next((price for name in models if name and (price := self._override(provider.name, name))), None)

    def _override(self, provider: str, model: str) -> Price | None:
        full = f"{provider}/{model}"
        matches = (
            price
            for pattern, price in self.overrides.items()
            if fnmatchcase(full, pattern) or fnmatchcase(model, pattern)
        )
        return next(matches, None)


def _import() -> ModuleType:
    module = import_module("handrail.gateway.catalogue")
    module.load()
    return module


def _nano(dollars: Decimal) -> NanoUSD:
    return NanoUSD(int((dollars * _NANO).to_integral_value(ROUND_HALF_UP)))
