from __future__ import annotations

import asyncio
import time

import pytest

from handrail.egress import Limits, Refused
from handrail.egress.meter import Meter


async def test_bytes_are_counted_and_capped_each_way() -> None:
    async with Meter(Limits(up_bytes=10, down_bytes=20)) as meter:
        meter.sent(10)
        meter.received(20)
        assert (meter.up, meter.down) == (10, 20)
        with pytest.raises(Refused, match="sent more than 10"):
            meter.sent(1)
        with pytest.raises(Refused, match="received more than 20"):
            meter.received(1)


async def test_silence_ends_a_connection() -> None:
    begun = time.monotonic()

    async def fall_silent() -> None:
        async with Meter(Limits(idle=0.2)) as meter:
            for _ in range(6):
                await asyncio.sleep(0.08)
                meter.sent(1)
            await asyncio.sleep(10)

    with pytest.raises(Refused, match="silent"):
        await fall_silent()
    assert 0.5 < time.monotonic() - begun < 3


async def test_no_connection_lasts_for_ever() -> None:
    async def go_on() -> None:
        async with Meter(Limits(idle=0.2, seconds=0.4)) as meter:
            while True:
                await asyncio.sleep(0.03)
                meter.received(1)

    with pytest.raises(Refused, match="lasted"):
        await go_on()


async def test_a_timeout_of_something_else_passes_through() -> None:
    with pytest.raises(TimeoutError):
        async with Meter(Limits()):
            raise TimeoutError
