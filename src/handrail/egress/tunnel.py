"""`CONNECT`: bytes both ways to one allowed place, once the TLS inside asks for the very name that was allowed."""

from __future__ import annotations

import asyncio

from handrail.egress import HostPort, Limits, Refused, names
from handrail.egress.hello import Gate, NotTls, record_length
from handrail.egress.meter import PIECE, Meter, move

_HEADER = 5


class Tunnel:
    """One tunnel.

    Args:
        place: where it leads.
        limits: of its ClientHello.
        meter: what it may use up.
    """

    def __init__(self, place: HostPort, limits: Limits, meter: Meter) -> None:
        self._place = place
        self._limits = limits
        self._meter = meter
        self._gate = Gate(None if names.is_address(place.host) else place.host, limits.hello_bytes)

    async def run(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Pass bytes until both sides have ended.

        Raises:
            Refused: it is not TLS for that name, or used up what it may.
            OSError: a side broke off.
        """
        reader, out = client
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                while not self._gate.begun:
                    if not await self._record(reader, upstream[1]):
                        return
        except TimeoutError:
            raise self._refused(f"no TLS ClientHello came within {self._limits.head_seconds:.0f} s") from None
        both = (asyncio.create_task(self._up(reader, upstream[1])), asyncio.create_task(self._down(upstream[0], out)))
        try:
            await asyncio.gather(*both)
        finally:
            for way in both:
                way.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _up(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while not self._gate.open:
            if not await self._record(reader, upstream):
                upstream.write_eof()
                return
        await move(reader, upstream, self._meter.sent)

    async def _down(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        while not self._gate.open and (data := await reader.read(PIECE)):
            self._gate.server(data)
            self._meter.received(len(data))
            out.write(data)
            await out.drain()
        await move(reader, out, self._meter.received)

    async def _record(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> bool:
        """Judge and pass on one record; False at the client's end."""
        try:
            head = await reader.readexactly(_HEADER)
            record = head + await reader.readexactly(record_length(head))
            passed = self._gate.client(record)
        except asyncio.IncompleteReadError:
            return False
        except NotTls as error:
            raise self._refused(f"{error}: the connection is cut") from None
        self._meter.sent(len(passed))
        upstream.write(passed)
        await upstream.drain()
        return True

    def _refused(self, what: str) -> Refused:
        return Refused(f"{self._place}: {what}", 403, self._place.host, self._place.port)
