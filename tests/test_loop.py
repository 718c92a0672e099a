from __future__ import annotations

import asyncio
import logging

import pytest

from handrail.errors import Unavailable
from handrail.loop import Loop


class Looks:
    """Counts, and fails as told first."""

    def __init__(self, *faults: Exception, wait: float = 60) -> None:
        self.faults, self.wait, self.count = list(faults), wait, 0
        self.done = asyncio.Event()

    async def __call__(self) -> float:
        self.count += 1
        self.done.set()
        if self.faults:
            raise self.faults.pop(0)
        return self.wait

    async def reached(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.count < count:
                self.done.clear()
                await self.done.wait()


async def test_it_looks_at_once_again_when_it_is_time_and_when_it_is_woken() -> None:
    looks = Looks()
    loop = Loop("things", looks, retry=60)
    loop.start()
    await looks.reached(1)
    looks.wait = 0.01
    loop.wake()
    await looks.reached(5)
    await loop.stop()
    await loop.stop()
    before = looks.count
    await asyncio.sleep(0.05)
    assert looks.count == before


async def test_a_first_look_that_is_put_off_comes_when_it_is_woken() -> None:
    looks = Looks()
    loop = Loop("things", looks, retry=60, first=60)
    loop.start()
    await asyncio.sleep(0)
    assert looks.count == 0
    loop.wake()
    await looks.reached(1)
    await loop.stop()


async def test_nothing_that_fails_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    several = ExceptionGroup("several", [Unavailable("the one is down"), Unavailable("the other too")])
    looks = Looks(Unavailable("the disk is away"), several, RuntimeError("odd"))
    loop = Loop("things", looks, retry=0.01)
    with caplog.at_level(logging.ERROR):
        loop.start()
        await looks.reached(4)
        await loop.stop()
    assert [record.getMessage() for record in caplog.records] == [
        "things wait: the disk is away", "things wait: the one is down; the other too",
        "looking after things failed; it is tried again",
    ]  # fmt: skip
