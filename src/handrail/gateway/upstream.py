"""Connections to providers: HTTP/1.1 (https://www.rfc-editor.org/rfc/rfc9112) on an asyncio protocol and httptools.

It does what a relay needs and no more: no redirects, no proxies, no cookies, no decoding; an answer's bytes come as
they arrive. Handrail's own because every model call of every agent passes here, and because what a provider sends
behind an answer must not become the answer to the next session's request. What was tried in its place, one run of all
(November 2026, a machine under load, streams of eight pieces; CPU of one call, fifty at once):

- ours: 0.15 ms; through the whole gateway with the asking client 1.2 ms a call.
- httpcore2 2.16 (under httpx2): 1.8 ms; through the gateway 4.9 ms, which is 200 calls/s of a core where 300 are asked
  for, and a third of ours side by side. Bytes behind an answer are read as the next one (`test_upstream.py`, "two
  answers").
- httpx2 2.16: 2.5 ms. The same parser and pool.
- aiohttp 3.14: 0.33 ms and careful with its connections, but 15 MB and 0.27 s of CPU to import, where the server may
  have 90 MB and has 84.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from time import monotonic

import httptools
from msgspec import Struct

from handrail.gateway.listener import Header
from handrail.tls import context

_HEAD_LIMIT = 1 << 20
"""bytes of an answer before its head is whole"""
_BUFFER_LIMIT = 1 << 20
"""bytes of an answer that are held for a slow reader"""
_KEEP = 30.0
"""seconds that an unused connection is kept"""
_LEAVE = 0.5
"""seconds that connections under way are given when all is closed"""
_MOST = 100
"""unused connections that are kept for one provider"""


class Timeouts(Struct, frozen=True):
    """Seconds. `idle` is the longest silence of a provider, before its answer and within it."""

    connect: float = 10.0
    idle: float = 600.0
    write: float = 60.0


class Origin(Struct, frozen=True):
    """Where a connection leads."""

    host: str
    port: int
    tls: bool


class BrokenError(Exception):
    """A provider could not be reached, or broke off.

    Args:
        word: what happened, in one word.
        sent: whether it may have begun to work on the request.
    """

    def __init__(self, word: str, *, sent: bool = True) -> None:
        super().__init__(word)
        self.word = word
        self.sent = sent


class Answer:
    """A provider's answer, from its head on. `read` it to the end, or `drop` it."""

    def __init__(self, line: _Line, status: int, headers: list[Header]) -> None:
        self.status = status
        self.headers = headers
        """names in lower case"""
        self._line: _Line | None = line

    def header(self, name: bytes) -> str:
        """A header's first value, empty where there is none."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")

    async def read(self) -> bytes:
        """The bytes that have arrived, or the next ones; empty at the end.

        Raises:
            BrokenError: the answer broke off.
        """
        return await self._line.read() if self._line else b""

    def drop(self) -> None:
        """Give the connection back after the last byte; cut it before. Idempotent."""
        line, self._line = self._line, None
        if line:
            line.leave()


class Pool:
    """Connections to providers.

    Args:
        timeouts: how long they may take.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._idle: dict[Origin, list[_Line]] = {}
        self._lines: set[_Line] = set()
        self._connecting: set[asyncio.Task[_Line]] = set()
        self._tls: asyncio.Task[ssl.SSLContext] | None = None

    def open(self) -> asyncio.Task[ssl.SSLContext]:
        """Begin to read the system's certificates, in a thread: it takes its time. Else the first request does it."""
        if self._tls is None or (self._tls.done() and self._tls.exception() is not None):
            self._tls = asyncio.create_task(asyncio.to_thread(context), name="certificates")
        return self._tls

    async def request(self, origin: Origin, data: bytes) -> Answer:
        """Send a request; returns once the answer's head is there.

        Args:
            origin: where to.
            data: the whole request, head and body.

        Raises:
            BrokenError: it could not be reached, or broke off before answering.
        """
        line = self._take(origin) or await self._connected(origin)
        try:
            return await line.ask(data)
        except BaseException:
            line.leave()
            raise

    async def close(self) -> None:
        """Cut every connection. Idempotent."""
        if self._connecting:
            _, late = await asyncio.wait(self._connecting, timeout=_LEAVE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for line in list(self._lines):
            line.cut()
        if self._tls is not None:
            await asyncio.gather(self._tls, return_exceptions=True)
        while self._lines:  # noqa: ASYNC110  # what asyncio has to do yet needs no event, only its turn
            await asyncio.sleep(0)

    def _take(self, origin: Origin) -> _Line | None:
        kept = self._idle.get(origin)
        while kept:
            line = kept.pop()
            if line.wake():
                return line
        return None

    async def _connected(self, origin: Origin) -> _Line:
        """A new connection, made in a task of its own: asyncio loses the socket of who gives up at the last moment."""
        task = asyncio.create_task(self._connect(origin))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_unwanted)
            raise

    async def _connect(self, origin: Origin) -> _Line:
        kept = self._idle.setdefault(origin, [])
        try:
            tls = await asyncio.shield(self.open())  # certificates that cannot be read fail it as well
            async with asyncio.timeout(self._timeouts.connect):
                _, line = await asyncio.get_running_loop().create_connection(
                    lambda: _Line(self._timeouts, kept, self._lines),
                    origin.host,
                    origin.port,
                    ssl=tls if origin.tls else None,
                    server_hostname=origin.host if origin.tls else None,
                    happy_eyeballs_delay=0.25,
                )
        except TimeoutError as error:
            raise BrokenError("ConnectTimeout", sent=False) from error
        except (OSError, UnicodeError) as error:  # UnicodeError: a host that cannot be a name
            raise BrokenError("ConnectError", sent=False) from error
        return line


class _Incoming:
    """The answer that is being read: httptools calls back for each part of it."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.reset()

    def reset(self) -> None:
        """Make ready for the next answer."""
        self.headers: list[Header] = []
        self.status = 0
        """0 until the head of the real answer is whole"""
        self.pieces: list[bytes] = []
        self.size = 0
        """bytes of a head that is not whole, then of `pieces`"""
        self.done = False
        self.to_the_end = False
        """nothing but the connection's end says where the body ends"""
        self.lasting = False
        """the connection may serve again"""
        self._interim = False
        self._more = False

    def feed(self, data: bytes) -> bool:
        """Parse; False where it is no answer, or more than one."""
        if not self.status:
            self.size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        return not self._more and (bool(self.status) or self.size <= _HEAD_LIMIT)

    def on_message_begin(self) -> None:
        """An answer begins; a second one to the same request is passed over."""
        self._more = self.done
        if not self.done:
            self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. What comes behind the body is no header (https://www.rfc-editor.org/rfc/rfc9110#section-6.5.1)."""
        if not self.status:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """A head is whole; an interim one is passed over (https://www.rfc-editor.org/rfc/rfc9110#section-15.2)."""
        status = self._parser.get_status_code()
        self._interim = 100 <= status < 200
        if self.done or self._interim:
            return
        self.status, self.size = status, 0
        sized = {name for name, _ in self.headers} & {b"content-length", b"transfer-encoding"}
        self.to_the_end = not sized and status not in (204, 304)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if not self.done:
            self.pieces.append(body)
            self.size += len(body)

    def on_message_complete(self) -> None:
        """An answer is whole."""
        if not self._interim and not self.done:
            self.done = True
            self.lasting = self._parser.should_keep_alive()  # afterwards the parser does not know any more


class _Line(asyncio.Protocol):
    """One connection, with one request at a time. Its own callbacks never raise."""

    def __init__(self, timeouts: Timeouts, kept: list[_Line], lines: set[_Line]) -> None:
        self._timeouts = timeouts
        self._kept = kept
        self._lines = lines
        self._transport: asyncio.Transport | None = None
        self._incoming = _Incoming()
        self._waiter: asyncio.Future[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._blocked = False  # the provider does not take what we write
        self._lost = False
        self._busy = False
        self._failure: str | None = None

    # --- from asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._lines.discard(self)
        if self in self._kept:
            self._kept.remove(self)
        if self._busy and not self._incoming.done:
            if self._incoming.to_the_end and exc is None:
                self._incoming.done = True
            else:
                self._failure = self._failure or ("RemoteProtocolError" if exc is None else "ReadError")
        self._tell()

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._tell()

    def data_received(self, data: bytes) -> None:
        self._heard = monotonic()
        incoming = self._incoming
        if not self._busy or incoming.done:  # nobody asked for anything
            self.cut()
            return
        if not incoming.feed(data):
            self._fail("RemoteProtocolError")
        elif incoming.size > _BUFFER_LIMIT and not incoming.done and self._transport:
            self._transport.pause_reading()
        self._tell()

    # --- from the pool ---

    async def ask(self, data: bytes) -> Answer:
        """Send a request and wait for the head of its answer."""
        if self._transport is None or self._lost:
            raise BrokenError("ConnectError", sent=False)
        incoming = self._incoming
        incoming.reset()
        self._busy = True
        self._transport.write(data)
        if self._blocked:
            await self._wait(lambda: not self._blocked or bool(incoming.status), self._timeouts.write, "WriteTimeout")
            self._unwatch()
        await self._wait(lambda: bool(incoming.status), self._timeouts.idle, "ReadTimeout")
        return Answer(self, incoming.status, incoming.headers)

    async def read(self) -> bytes:
        """The next bytes of the answer; empty at its end."""
        incoming = self._incoming
        if not incoming.pieces and not incoming.done:
            await self._wait(lambda: bool(incoming.pieces) or incoming.done, self._timeouts.idle, "ReadTimeout")
        data, incoming.pieces = b"".join(incoming.pieces), []
        if incoming.size > _BUFFER_LIMIT and self._transport and not self._lost:
            self._transport.resume_reading()
        incoming.size = 0
        return data

    def leave(self) -> None:
        """The request is over: keep the connection if it can serve again."""
        if not self._busy:
            return
        self._busy = False
        self._unwatch()
        if not self._incoming.lasting or self._failure is not None or self._lost or len(self._kept) >= _MOST:
            self.cut()
            return
        self._kept.append(self)
        self._expiry = asyncio.get_running_loop().call_later(_KEEP, self.cut)

    def wake(self) -> bool:
        """Take the connection into use again; False where it has ended meanwhile."""
        if self._expiry:
            self._expiry.cancel()
            self._expiry = None
        return not self._lost and self._transport is not None and not self._transport.is_closing()

    def cut(self) -> None:
        """End the connection now."""
        if self._expiry:
            self._expiry.cancel()
            self._expiry = None
        if self._transport:
            self._transport.abort()

    # --- waiting ---

    async def _wait(self, ready: Callable[[], bool], patience: float, late: str) -> None:
        """Wait until `ready`, as long as the provider is not silent for `patience` seconds.

        Raises:
            BrokenError: it broke off, or was silent.
        """
        loop = asyncio.get_running_loop()
        self._heard = monotonic()
        while not ready():
            if self._failure is not None or self._lost:
                raise BrokenError(self._failure or "ReadError")
            self._waiter = loop.create_future()
            if self._watch is None:
                self._watch = loop.call_later(patience, self._look, patience, late)
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _look(self, patience: float, late: str) -> None:
        """Look whether the provider has been silent for too long; one timer serves a whole answer."""
        self._watch = None
        if self._waiter is None:
            return
        left = self._heard + patience - monotonic()
        if left <= 0:
            self._fail(late)
        else:
            self._watch = asyncio.get_running_loop().call_later(left, self._look, patience, late)

    def _unwatch(self) -> None:
        if self._watch:
            self._watch.cancel()
            self._watch = None

    def _fail(self, word: str) -> None:
        self._failure = self._failure or word
        self.cut()
        self._tell()

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _unwanted(task: asyncio.Task[_Line]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().cut()
