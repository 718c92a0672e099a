from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import Any

import pytest

from handrail.gateway import Provider, Wire
from handrail.gateway.prices import Price, Prices
from handrail.gateway.routes import Format
from handrail.gateway.usage import Reader, Reading
from handrail.types import now


def stream(*events: dict[str, Any] | str) -> bytes:
    lines = [f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events]
    return "".join(lines).encode()


START = {
    "type": "message_start",
    "message": {"model": "claude-x", "usage": {"input_tokens": 5, "cache_read_input_tokens": 70, "output_tokens": 1}},
}
DELTA = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": 'say "usage" aloud'}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 42}}
STOP = {"type": "message_stop"}
FULL = (75, 70, 0, 42)


def figures(reading: Reading) -> tuple[int, int, int, int]:
    return reading.input, reading.cached, reading.cache_written, reading.output


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_anthropic_stream_is_read_however_it_is_cut(size: int) -> None:
    data = stream(START, DELTA, END, STOP)
    reader = Reader(Format.ANTHROPIC, sse=True)
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    reading = reader.result(request=400)
    assert figures(reading) == FULL
    assert (reading.model, reading.partial) == ("claude-x", False)


def test_a_stream_that_ends_early_keeps_what_it_said() -> None:
    reader = Reader(Format.ANTHROPIC, sse=True)
    reader.feed(stream(START, DELTA, DELTA, DELTA))
    reading = reader.result(request=400)
    assert reading.partial
    assert figures(reading) == (75, 70, 0, 4)  # four events of output were seen


@pytest.mark.parametrize("form", list(Format))
def test_a_stream_that_says_nothing_is_estimated(form: Format) -> None:
    reader = Reader(form, sse=True)
    reader.feed(stream(DELTA, DELTA, "not json"))
    assert figures(reader.result(request=400)) == (100, 0, 0, 3)
    assert reader.result(request=400).partial


def test_responses_tell_at_the_end() -> None:
    usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 6}
    reader = Reader(Format.RESPONSES, sse=True)
    reader.feed(stream({"type": "response.created", "response": {"model": "gpt-x", "usage": None}}))
    reader.feed(stream({"type": "response.incomplete", "response": {"model": "gpt-x-1", "usage": usage}}))
    reading = reader.result(request=400)
    assert (figures(reading), reading.model, reading.partial) == ((10, 4, 0, 6), "gpt-x-1", False)


def test_gemini_counts_thoughts_as_output_and_tools_as_input() -> None:
    usage = {"promptTokenCount": 10, "toolUsePromptTokenCount": 3, "candidatesTokenCount": 5, "thoughtsTokenCount": 7}
    early = {"candidates": [{"content": {}}], "usageMetadata": {"promptTokenCount": 10}, "modelVersion": "g-1"}
    last = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage, "modelVersion": "g-1"}
    reader = Reader(Format.GEMINI, sse=True)
    reader.feed(stream(early, last))
    assert figures(reader.result(request=400)) == (13, 0, 0, 12)
    assert not reader.result(request=400).partial
    array = Reader(Format.GEMINI, sse=False)
    array.feed(json.dumps([early, last]).encode())
    assert figures(array.result(request=400)) == (13, 0, 0, 12)


def test_terms_of_the_price_are_read() -> None:
    body = {
        "object": "response",
        "model": "m",
        "service_tier": "flex",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    reader = Reader(Format.RESPONSES, sse=False)
    reader.feed(json.dumps(body).encode())
    assert reader.result(request=4).terms == {"service_tier": "flex"}


def test_compressed_answers_are_read_where_we_can() -> None:
    body = json.dumps({"model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 2}}).encode()
    packed = Reader(Format.CHAT, sse=False, encoding="gzip")
    packed.feed(gzip.compress(body))
    assert figures(packed.result(request=400)) == (9, 0, 0, 2)
    for encoding, data in (("br", b"??"), ("gzip", b"no gzip")):
        reader = Reader(Format.CHAT, sse=False, encoding=encoding)
        reader.feed(data)
        assert figures(reader.result(request=400)) == (100, 0, 0, 0)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "5",
        '{"usage": 5}',
        '{"usage": {"prompt_tokens": "many", "completion_tokens": -1, "prompt_tokens_details": []}}',
        '{"usage": {"prompt_tokens": true}}',
    ],
)
def test_odd_answers_harm_nothing(body: str) -> None:
    for form in Format:
        for sse in (False, True):
            reader = Reader(form, sse=sse)
            reader.feed(stream(body) if sse else body.encode())
            assert figures(reader.result(request=400))[:3] == (100, 0, 0) or not reader.result(request=400).partial


IMPOSSIBLE: dict[Format, list[dict[str, Any]]] = {
    Format.ANTHROPIC: [
        {"usage": {"input_tokens": -(10**9), "output_tokens": -5}},
        {"usage": {"input_tokens": 10, "output_tokens": 10**30}},
    ],
    Format.RESPONSES: [
        {"usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 10**9}, "output_tokens": 1}},
        {"usage": {"input_tokens": 10**25, "output_tokens": -1}},
    ],
    Format.CHAT: [
        {"usage": {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 10**9}, "completion_tokens": 1}},
        {"usage": {"prompt_tokens": 10, "completion_tokens": -(10**12)}},
    ],
    Format.GEMINI: [
        {"usageMetadata": {"promptTokenCount": 10, "cachedContentTokenCount": 10**9, "candidatesTokenCount": 1}},
        {"usageMetadata": {"promptTokenCount": -4, "candidatesTokenCount": 1e308}},
    ],
}
"""what a provider may say, and no call can have used"""
MODELS = {
    Format.ANTHROPIC: "claude-sonnet-4-5",
    Format.RESPONSES: "gpt-4o",
    Format.CHAT: "gpt-4o",
    Format.GEMINI: "gemini-2.5-pro",
}


@pytest.mark.parametrize("form", list(Format))
async def test_impossible_figures_give_no_money_back_and_fit_the_ledger(form: Format) -> None:
    own, listed = Prices({"*": Price(Decimal(3), Decimal(15), Decimal("0.3"))}), Prices()
    await listed.ready()
    for body in IMPOSSIBLE[form]:
        reader = Reader(form, sse=False)
        reader.feed(json.dumps({"model": MODELS[form], "modelVersion": MODELS[form], **body}).encode())
        reading = reader.result(request=400)
        assert 0 <= reading.cached + reading.cache_written <= reading.input <= 10**10
        assert 0 <= reading.output <= 10**10
        for prices in (own, listed):
            provider = Provider("any", Wire.OPENAI, "https://api.openai.com/v1", "key")
            cost = prices.known(provider, form, (MODELS[form],), reading, now())
            assert cost is None or 0 <= cost < 1 << 63
    await listed.close()
