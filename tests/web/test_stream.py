from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from handrail.commands.desk import Desk
from handrail.kinds import Kind
from handrail.store.log import Draft
from handrail.types import SessionId
from handrail.web import stream
from handrail.web.stream import Closing
from tests.commands.desks import begin


async def add(desk: Desk, session: SessionId, count: int, text: str = "x") -> None:
    await desk.store.log.append(session, [Draft(Kind.AGENT_TEXT, {"text": text}) for _ in range(count)])


def events(chunk: bytes) -> list[dict[str, Any]]:
    found = []
    for block in chunk.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            told = json.loads(fields["data"])
            assert fields["id"] == str(told["seq"])
            assert fields["event"] == told["kind"]
            found.append(told)
    return found


async def numbers(frames: AsyncIterator[bytes], count: int) -> list[int]:
    found: list[int] = []
    async with asyncio.timeout(10):
        async for chunk in frames:
            found += [told["seq"] for told in events(chunk)]
            if len(found) >= count:
                break
    return found


async def test_from_where_one_was_then_live_without_gap_or_duplicate(desk: Desk) -> None:
    alice = await begin(desk)
    await add(desk, alice, 700)
    frames = stream.frames(desk.store.log.subscribe(alice, 100), Closing())

    async def write() -> None:
        for _ in range(50):
            await add(desk, alice, 7)
            await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    assert await numbers(frames, 951) == list(range(101, 1052))
    await writing
    await frames.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_silence_is_filled_with_comments_and_loses_nothing(desk: Desk) -> None:
    alice = await begin(desk)
    frames = stream.frames(desk.store.log.subscribe(alice, 1), Closing(), heartbeat=0.05)
    assert await anext(frames) == b": connected\n\n"
    assert await anext(frames) == b": ping\n\n"
    assert await anext(frames) == b": ping\n\n"
    await add(desk, alice, 1)
    assert await numbers(frames, 1) == [2]
    await frames.aclose()  # type: ignore[attr-defined]


async def test_a_client_that_goes_leaves_nothing_behind(desk: Desk) -> None:
    alice = await begin(desk)
    before = len(asyncio.all_tasks())
    subscription = desk.store.log.subscribe(alice, 0)
    frames = stream.frames(subscription, Closing())
    await numbers(frames, 1)
    await frames.aclose()  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before
    assert await subscription.batch() == []


async def test_the_servers_end_ends_streams_at_once(desk: Desk) -> None:
    alice = await begin(desk)
    closing = Closing()
    frames = stream.frames(desk.store.log.subscribe(alice, 1), closing)
    await anext(frames)
    waiting = asyncio.create_task(anext(frames, None))
    await asyncio.sleep(0.01)
    closing.tell()
    async with asyncio.timeout(1):
        assert await waiting is None


async def test_a_slow_client_makes_nothing_grow(desk: Desk) -> None:
    alice = await begin(desk)
    frames = stream.frames(desk.store.log.subscribe(alice, 0), Closing())
    await numbers(frames, 1)
    for _ in range(30):
        await add(desk, alice, 100, "y" * 2000)  # 6 MB that nobody reads
    largest = 0
    found: list[int] = []
    async for chunk in frames:
        largest = max(largest, len(chunk))
        found += [told["seq"] for told in events(chunk)]
        if len(found) == 3000:
            break
    assert found == list(range(2, 3002))
    assert largest < stream.CHUNK + 10_000
    await frames.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb\u2028c", "data: x\n\nid: 7\n\n", "\x00\x1b[31m"])
async def test_no_text_breaks_out_of_its_frame(desk: Desk, text: str) -> None:
    alice = await begin(desk)
    await add(desk, alice, 1, text)
    chunk = b"".join(stream.encoded(await desk.store.log.read(alice, 1)))
    assert [told["data"]["text"] for told in events(chunk)] == [text]
    assert chunk.count(b"\n\n") == 1


async def test_a_place_that_cannot_be(desk: Desk, client: httpx2.AsyncClient) -> None:
    await begin(desk)
    for given in ("x", "-1", "9" * 40, "1.5"):
        answer = await client.get("/api/v1/sessions/last/stream", headers={"last-event-id": given})
        assert answer.status_code == 422, given
    assert (await client.get("/api/v1/sessions/none/stream")).status_code == 404
