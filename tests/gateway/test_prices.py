from __future__ import annotations

import random
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot

from handrail.gateway import Provider, Wire, catalogue
from handrail.gateway.prices import Price, Prices
from handrail.gateway.routes import Format
from handrail.gateway.usage import Reading

WHEN = datetime(2026, 11, 1, tzinfo=UTC)
ANTHROPIC = Provider("anthropic", Wire.ANTHROPIC, "https://api.anthropic.com", "k")
OPENAI = Provider("openai", Wire.OPENAI, "https://api.openai.com/v1", "k")
GOOGLE = Provider("gemini", Wire.GEMINI, "https://generativelanguage.googleapis.com", "k")
LOCAL = Provider("local", Wire.OPENAI, "http://127.0.0.1:8080/v1", "k")


async def test_list_prices_are_exact_with_every_kind_of_token() -> None:
    raw: dict[str, Any] = {
        "input_tokens": 1000,
        "cache_read_input_tokens": 10_000,
        "cache_creation_input_tokens": 3000,
        "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000},
        "output_tokens": 500,
    }
    reading = Reading(input=14_000, cached=10_000, cache_written=3000, output=500, raw=raw)
    cost = await Prices().cost(ANTHROPIC, Format.ANTHROPIC, ("claude-sonnet-4-5",), reading, WHEN)
    # USD per million: 3 input, 0.30 read, 3.75 and 6 written for 5 minutes and an hour, 15 output
    assert cost == 1000 * 3000 + 10_000 * 300 + 1000 * 3750 + 2000 * 6000 + 500 * 15_000


async def test_partial_readings_are_priced_by_their_figures() -> None:
    reading = Reading(input=1000, cached=200, output=10, raw={"input_tokens": 800}, partial=True)
    cost = await Prices().cost(ANTHROPIC, Format.ANTHROPIC, ("claude-sonnet-4-5",), reading, WHEN)
    assert cost == 800 * 3000 + 200 * 300 + 10 * 15_000


@pytest.mark.parametrize(
    ("provider", "form", "model", "raw"),
    [
        (OPENAI, Format.CHAT, "gpt-4o", {"prompt_tokens": 1000, "completion_tokens": 100}),
        (OPENAI, Format.RESPONSES, "gpt-4o", {"input_tokens": 1000, "output_tokens": 100}),
        (GOOGLE, Format.GEMINI, "gemini-2.5-pro", {"promptTokenCount": 1000, "candidatesTokenCount": 100}),
    ],
)
async def test_each_format_finds_its_price(provider: Provider, form: Format, model: str, raw: dict[str, Any]) -> None:
    reading = Reading(input=1000, output=100, raw=raw)
    assert await Prices().cost(provider, form, (model,), reading, WHEN) in (3_500_000, 2_250_000)


def test_the_quick_sum_is_that_of_the_list() -> None:
    chance, quick, snapshot = random.Random(7), 0, get_snapshot()  # noqa: S311  # which are looked at
    makers = [(maker, model) for maker in snapshot.providers for model in maker.models]
    for maker, model in chance.sample(makers, 400):
        given, made = chance.choice([0, 1000, 199_999, 200_001, 1_200_000]), chance.randint(0, 9999)
        cached = chance.randint(0, given)
        written, thought = chance.randint(0, given - cached), chance.randint(0, made)
        names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
        figures = dict(zip(names, (given, cached, written, made), strict=True))
        more = {"cache_write_5m_tokens": written, "output_reasoning_tokens": thought, "input_audio_tokens": 1}
        figures |= {name: count for name, count in more.items() if chance.random() < 0.2}
        figures |= {"cache_read_tokens": given + 1} if chance.random() < 0.1 else {}
        if chance.random() < 0.1:
            del figures[chance.choice(list(figures))]
        terms = chance.choice([{}, {"service_tier": "priority"}, {"speed": "fast"}])
        try:
            told = model.calc_price(
                Usage(**figures), maker, genai_request_timestamp=WHEN, price_context=terms
            ).total_price
        except ValueError:
            told = None
        ours = catalogue.total(model.get_prices(WHEN, terms), Usage(**figures))
        assert ours in (None, told), (maker.id, model.id, figures, terms)
        quick += ours is not None
    assert quick > 250


async def test_unknown_is_unpriced_never_nothing() -> None:
    prices, reading = Prices(), Reading(input=1000, output=100)
    assert await prices.cost(OPENAI, Format.CHAT, ("mystery-model",), reading, WHEN) is None
    assert await prices.cost(LOCAL, Format.CHAT, ("llama3.2:1b-mine",), reading, WHEN) is None
    assert await prices.cost(OPENAI, Format.CHAT, (None, ""), reading, WHEN) is None
    assert await prices.cost(OPENAI, Format.CHAT, ("alias-of-today", "gpt-4o"), reading, WHEN) == 3_500_000


async def test_a_known_model_behind_an_unknown_url_costs_what_its_maker_asks() -> None:
    assert await Prices().cost(LOCAL, Format.CHAT, ("gpt-4o",), Reading(input=1000, output=100), WHEN) == 3_500_000


async def test_own_prices_win_and_need_no_list() -> None:
    price = Price(input=Decimal(1), output=Decimal(2), cached=Decimal("0.1"), cache_written=Decimal("1.25"))
    prices = Prices({"local/*": price, "gpt-4o": Price(input=Decimal(7), output=Decimal(7))})
    reading = Reading(input=1000, cached=500, cache_written=100, output=10)
    assert await prices.cost(LOCAL, Format.CHAT, ("anything",), reading, WHEN) == 400_000 + 50_000 + 125_000 + 20_000
    assert await prices.cost(OPENAI, Format.CHAT, ("gpt-4o",), reading, WHEN) == 1010 * 7000
    tenth = Price(input=Decimal("0.0005"), output=Decimal(0))
    assert await Prices({"*": tenth}).cost(LOCAL, Format.CHAT, ("m",), Reading(input=1), WHEN) == 1  # half a nano, up


def test_the_list_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, handrail.gateway.server; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
