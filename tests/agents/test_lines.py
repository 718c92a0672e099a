from __future__ import annotations

import asyncio
import json

import pytest

from handrail.agents.lines import Asked, Lines, parse
from handrail.types import Json


@pytest.mark.parametrize(
    "line",
    [
        b"[1,2]",
        b"true",
        b"nonsense",
        b"\xff\xfe",
        b'{"jsonrpc":"2.0"}',
        b'{"method":7}',
        b'{"id":[1],"result":{}}',
        b'{"id":true,"result":{}}',
        b'{"id":{"a":1},"method":"x"}',
        b'{"a":' * 50_000,
        b"1" * 5000,
    ],
)
def test_what_is_no_message(line: bytes) -> None:
    assert parse(line) is None


def test_what_is_one() -> None:
    assert parse(b'{"id":1,"result":null}') == {"id": 1, "result": None}
    assert parse(b'{"id":"a","method":"x"}') == {"id": "a", "method": "x"}
    assert parse(b'{"id":1,"error":"no"}') == {"id": 1, "error": {"code": -32603, "message": "no"}}
    mended = parse(b'{"method":"x","params":{"a\\ud800":["\\udfff"]}}')
    assert mended == {"method": "x", "params": {"a\ufffd": ["\ufffd"]}}
    pair = parse(b'{"method":"x","params":{"a":"\\ud83d\\ude00"}}')
    assert pair == {"method": "x", "params": {"a": "\N{GRINNING FACE}"}}


class Sink:
    """Where nothing is sent to."""


def lines(reader: asyncio.StreamReader, told: list[tuple[str, Json]], limit: int = 1000) -> Lines:
    writer: asyncio.StreamWriter = Sink()  # type: ignore[assignment]
    return Lines(reader, writer, on_notification=lambda method, params: told.append((method, params)), limit=limit)


async def test_notifications_are_told_in_order_before_the_next_request() -> None:
    reader = asyncio.StreamReader()
    told: list[tuple[str, Json]] = []
    for number in range(3):
        reader.feed_data(json.dumps({"method": "n", "params": {"number": number}}).encode() + b"\r\n")
    reader.feed_data(b'\n{"method":"odd","params":[1]}\n{"id":5,"method":"ask","params":{"a":1}}\n{"id":0,"resul')
    reader.feed_data(b't":2}\nrest without an end')
    reader.feed_eof()
    under = lines(reader, told)
    asked = await under.receive()
    assert asked == {"id": 5, "method": "ask", "params": Asked(5, {"a": 1})}
    assert told == [("n", {"number": 0}), ("n", {"number": 1}), ("n", {"number": 2}), ("odd", {})]
    assert await under.receive() == {"id": 0, "result": 2}
    assert await under.receive() is None
    assert under.skipped == 0


async def test_too_long_a_message_ends_the_stream_and_what_follows_is_thrown_away() -> None:
    reader = asyncio.StreamReader()
    under = lines(reader, [])
    reader.feed_data(b"x" * 2000)
    assert await under.receive() is None
    assert "more than 0 MB" in str(under.failure)
    reader.feed_data(b"y" * 5000)
    reader.feed_eof()
    while not reader.at_eof():  # noqa: ASYNC110  # the discarding task empties it
        await asyncio.sleep(0.01)
    await under.close()


async def test_a_reader_that_breaks_ends_the_stream() -> None:
    reader = asyncio.StreamReader()
    reader.set_exception(OSError("broken"))
    under = lines(reader, [])
    assert await under.receive() is None
    assert under.failure == "its output broke off: broken"
