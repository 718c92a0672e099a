"""The price list of `genai-prices`. Imported on first use, in a thread: it takes a quarter of a second."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot

from handrail.gateway.routes import Format

_FLAVOURS = {
    Format.ANTHROPIC: ("anthropic", "default"),
    Format.RESPONSES: ("openai", "responses"),
    Format.CHAT: ("openai", "chat"),
    Format.GEMINI: ("google", "default"),
}


def price(
    url: str, form: Format, *, model: str, usage: Usage, time: datetime, context: Mapping[str, str]
) -> Decimal | None:
    """US dollars for `usage` of `model` at the provider whose API has this base URL; None where it is not listed.

    Behind a URL that the list does not know (a company's proxy, a local gateway) a model that the maker of the wire
    format sells costs what its maker asks: too high a figure stops a budget early, none would never stop it.
    `context` are terms of the call that change its price: `service_tier`, `speed`.
    """
    for where in ({"provider_api_url": url}, {"provider_id": _FLAVOURS[form][0]}):
        try:
            found = calc_price(usage, model, genai_request_timestamp=time, price_context=context, **where)
        except (LookupError, ValueError):
            continue
        return found.total_price
    return None


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
