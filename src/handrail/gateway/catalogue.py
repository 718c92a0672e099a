"""The price list of `genai-prices`. Imported on first use, in a thread: it takes a quarter of a second."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, calc_unit_price

from handrail.gateway.routes import Format

_FLAVOURS = {
    Format.ANTHROPIC: ("anthropic", "default"),
    Format.RESPONSES: ("openai", "responses"),
    Format.CHAT: ("openai", "chat"),
    Format.GEMINI: ("google", "default"),
}
_TOKENS = {
    "input_tokens": "input_mtok",
    "cache_read_tokens": "cache_read_mtok",
    "cache_write_tokens": "cache_write_mtok",
    "output_tokens": "output_mtok",
}
"""figures of nearly every call → their prices, each for a million"""
_WITHIN = {"cache_write_5m_tokens": "cache_write_tokens", "output_reasoning_tokens": "output_tokens"}
"""figures that are part of one of those → of which; hardly any model has a price for them"""


def price(
    url: str, form: Format, *, model: str, usage: Usage, time: datetime, context: Mapping[str, str]
) -> Decimal | None:
    """US dollars for `usage` of `model` at the provider whose API has this base URL; None where it is not listed.

    Behind a URL that the list does not know (a company's proxy, a local gateway) a model that the maker of the wire
    format sells costs what its maker asks: too high a figure stops a budget early, none would never stop it.
    `context` are terms of the call that change its price: `service_tier`, `speed`.
    """
    snapshot = get_snapshot()
    for where in ((None, url), (_FLAVOURS[form][0], None)):
        try:
            provider, found = snapshot.find_provider_model(model, None, *where)
            listed = any(found is one for one in provider.models)
            asked = found.get_prices(time, dict(context) if listed else None)
            if (quick := total(asked, usage)) is not None:
                return quick
            return found.calc_price(usage, provider, genai_request_timestamp=time, price_context=context).total_price
        except (LookupError, ValueError):
            continue
    return None


def total(asked: ModelPrice, usage: Usage) -> Decimal | None:
    """What the list's own sum is for the usual figures; None where there are others, for the list to tell.

    It goes through all its units for each sum, which is ten times as dear: a tenth of what a server does in a step.
    """
    prices = {name: price for name, price in vars(asked).items() if price is not None}
    figures = {name: count for name, count in vars(usage).items() if count}
    parts = figures.keys() - _TOKENS.keys()
    wholes = {"input_tokens", "output_tokens", *(_WITHIN.get(part, "") for part in parts)}
    priced = {"requests_kcount", *(part.replace("_tokens", "_mtok") for part in parts)} & prices.keys()
    if priced or not wholes <= vars(usage).keys():
        return None
    counts = {price: figures.get(name, 0) for name, price in _TOKENS.items() if price in prices}
    if "input_mtok" in counts:
        counts["input_mtok"] -= counts.get("cache_read_mtok", 0) + counts.get("cache_write_mtok", 0)
    if min(counts.values(), default=0) < 0:
        return None
    given = usage.input_tokens
    return sum((calc_unit_price(prices[price], n, given, 1_000_000) for price, n in counts.items()), Decimal(0))


def read(form: Format, raw: dict[str, Any]) -> Usage | None:
    """A provider's own usage object in the words of the list; None where it does not fit."""
    provider, flavour = _FLAVOURS[form]
    holder = {"usageMetadata" if form is Format.GEMINI else "usage": raw, "model": "", "modelVersion": ""}
    try:
        # The snapshot's own method would look the model up first, at a provider that may not know it.
        return get_snapshot().find_provider(None, provider, None).extract_usage(holder, api_flavor=flavour)[1]
    except (LookupError, ValueError, TypeError):
        return None


def load() -> None:
    """Build the tables now."""
    get_snapshot()


def plain(*, given: int, cached: int, written: int, made: int) -> Usage:
    """Usage by its four figures."""
    return Usage(input_tokens=given, cache_read_tokens=cached, cache_write_tokens=written, output_tokens=made)
