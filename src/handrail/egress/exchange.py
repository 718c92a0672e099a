"""One plain HTTP request and its answer, each read and written anew by h11, so that no byte of framing passes through.

A request goes on as it was understood: line and `Host` from the URL, the body in the framing that was read. The answer
is treated alike. One request a connection; nothing is upgraded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct

from handrail.egress import Limits, Refused, Verdict
from handrail.egress.brokers import Scrubber
from handrail.egress.heads import Field, Head, end_to_end
from handrail.egress.meter import PIECE, Meter
from handrail.lazy import Later

if TYPE_CHECKING:
    import h11
else:
    h11 = Later("h11")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Outgoing(Struct, frozen=True):
    """A request as it leaves: `fields` without host and framing."""

    host: str
    target: str
    fields: list[Field]
    scrubber: Scrubber | None = None


class Exchange:
    """One request and its answer.

    Args:
        head: the request as it was read.
        outgoing: as it leaves.
        limits: of the answer's head.
        meter: what it may use up.
    """

    def __init__(self, head: Head, outgoing: Outgoing, limits: Limits, meter: Meter) -> None:
        self._head = head
        self._outgoing = outgoing
        self._limits = limits
        self._meter = meter
        self._inner = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._outer = h11.Connection(h11.CLIENT, max_incomplete_event_size=limits.head_bytes)
        self.begun = False
        """whether the client was sent a part of the answer"""

    async def run(self, client: Streams, upstream: Streams) -> None:
        """Carry the request there and the answer back.

        Raises:
            Refused: a side speaks no plain HTTP/1.1, broke off, or used up what it may.
            OSError: a side broke off.
        """
        reader, out = client
        try:
            self._inner.receive_data(self._head.raw)
            self._inner.next_event()
            if self._inner.they_are_waiting_for_100_continue:
                out.write(self._inner.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            upstream[1].write(self._request())
        except (h11.RemoteProtocolError, h11.LocalProtocolError) as error:
            raise Refused(f"the request cannot be passed on: {error}", 400) from None
        sending = asyncio.create_task(self._send(reader, upstream[1]))
        answering = asyncio.create_task(self._answer(upstream[0], out))
        try:
            await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and isinstance(refused := sending.exception(), Refused):
                raise refused
            await answering  # an upstream that hung up on the body may have said why
        finally:
            for task in (sending, answering):
                task.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)

    def _request(self) -> bytes:
        fields = [(b"Host", self._outgoing.host.encode()), *self._outgoing.fields, (b"Connection", b"close")]
        if self._head.values("transfer-encoding"):
            fields.append((b"Transfer-Encoding", b"chunked"))
        return (
            self._outer.send(h11.Request(method=self._head.method, target=self._outgoing.target, headers=fields)) or b""
        )

    async def _send(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        """The body, from the client to the upstream."""
        while True:
            try:
                event = self._inner.next_event()
                if event is h11.NEED_DATA:
                    data = await reader.read(PIECE)
                    self._inner.receive_data(data)
                    continue
                if isinstance(event, h11.Data):
                    self._meter.sent(len(event.data))
                    upstream.write(self._outer.send(event) or b"")
                elif isinstance(event, h11.EndOfMessage):
                    upstream.write(self._outer.send(h11.EndOfMessage()) or b"")
            except h11.RemoteProtocolError as error:
                raise Refused(f"the request's body is broken: {error}", 400) from None
            await upstream.drain()
            if not isinstance(event, h11.Data):
                return

    async def _answer(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        """The answer, from the upstream to the client."""
        while True:
            try:
                event = self._outer.next_event()
            except h11.RemoteProtocolError as error:
                raise Refused(f"the answer is no plain HTTP/1.1: {error}", 502, verdict=Verdict.FAILED) from None
            if event is h11.NEED_DATA:
                data = await reader.read(PIECE)
                self._meter.received(len(data))
                self._outer.receive_data(data)
                continue
            if isinstance(event, h11.InformationalResponse):
                continue
            self._pass(event, out)
            await out.drain()
            if not isinstance(event, h11.Response | h11.Data):
                return

    def _pass(self, event: object, out: asyncio.StreamWriter) -> None:
        scrubber = self._outgoing.scrubber
        if isinstance(event, h11.Response):
            self._put(self._response(event), out)
        elif isinstance(event, h11.Data):
            data = bytes(event.data) if scrubber is None else scrubber.feed(bytes(event.data))
            if data:
                self._put(h11.Data(data=data), out)
        elif isinstance(event, h11.EndOfMessage):
            if scrubber is not None and (rest := scrubber.end()):
                self._put(h11.Data(data=rest), out)
            self._put(h11.EndOfMessage(), out)
        else:
            raise Refused("the other side closed before it answered", 502, verdict=Verdict.FAILED)

    def _response(self, event: h11.Response) -> h11.Response:
        chunked = any(name == b"transfer-encoding" for name, _ in event.headers)
        fields = [
            (name, value)
            for name, value in end_to_end(list(event.headers))
            if not (chunked and name == b"content-length")
        ]
        scrubber = self._outgoing.scrubber
        if scrubber is not None:
            if any(name == b"content-encoding" and value.lower() != b"identity" for name, value in fields):
                raise Refused("the broker's upstream compressed what it was asked to leave plain", 502)
            fields = [(name, scrubber.text(value)) for name, value in fields]
        return h11.Response(
            status_code=event.status_code,
            reason=b"" if scrubber is not None else event.reason,
            headers=[*fields, (b"Connection", b"close")],
        )

    def _put(self, event: h11.Response | h11.Data | h11.EndOfMessage, out: asyncio.StreamWriter) -> None:
        self.begun = True
        try:
            out.write(self._inner.send(event) or b"")
        except h11.LocalProtocolError as error:
            raise Refused(f"the answer contradicts itself: {error}", 502, verdict=Verdict.FAILED) from None
