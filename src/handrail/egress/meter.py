"""What one connection may use up: bytes each way, silence, time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from handrail.egress import Limits, Refused

PIECE = 1 << 16
"""bytes moved at a time"""
_STEP = 1.0
"""seconds; the clock is set again at most this often, since setting it costs as much as a small piece"""


class Meter:
    """Counts what passes and keeps the clock. `async with` it round everything that waits for either side.

    Args:
        limits: of one connection.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + limits.seconds
        self._clock = asyncio.timeout(None)
        self._set = self._loop.time()
        self.up = 0
        """bytes that the client sent"""
        self.down = 0
        """bytes that it was sent"""

    def _next(self) -> float:
        return min(self._end, self._loop.time() + self._limits.idle)

    async def __aenter__(self) -> Self:
        await self._clock.__aenter__()
        self._clock.reschedule(self._next())
        return self

    async def __aexit__(self, *raised: object) -> None:
        try:
            await self._clock.__aexit__(*raised)  # type: ignore[arg-type]  # passed on as it came
        except TimeoutError:
            if not self._clock.expired():
                raise
            late = self._loop.time() >= self._end
            what = f"lasted {self._limits.seconds:.0f} s" if late else f"was silent for {self._limits.idle:.0f} s"
            raise Refused(f"the connection {what}: it is cut", 504) from None

    def sent(self, size: int) -> None:
        """The client sent something.

        Raises:
            Refused: that is too much.
        """
        self.up += size
        self._moved()
        if self.up > self._limits.up_bytes:
            raise Refused(f"the connection sent more than {self._limits.up_bytes} bytes: it is cut", 413)

    def received(self, size: int) -> None:
        """The other side sent something.

        Raises:
            Refused: that is too much.
        """
        self.down += size
        self._moved()
        if self.down > self._limits.down_bytes:
            raise Refused(f"the connection received more than {self._limits.down_bytes} bytes: it is cut", 502)

    def _moved(self) -> None:
        now = self._loop.time()
        if now - self._set > min(_STEP, self._limits.idle / 4):
            self._set = now
            self._clock.reschedule(self._next())


async def move(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[int], None]) -> None:
    """Pass everything on until the end, and then pass the end on.

    Raises:
        Refused: `count` had enough.
        OSError: a side broke off.
    """
    while data := await reader.read(PIECE):
        count(len(data))
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
