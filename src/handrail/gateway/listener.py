"""The inner HTTP side: what agents connect to. An asyncio protocol on httptools; HTTP/1.1, one request at a time.

A client that goes away ends its request at once (the task is cancelled), so nothing is bought for nobody. What is not
HTTP or too long is refused and the connection closed; of several requests in one piece the first is answered and the
connection closed. Agents send none of it.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

import httptools
from msgspec import Struct

Header = tuple[bytes, bytes]
_HEAD_LIMIT = 320 << 10
"""bytes read before a head is whole; one read (256 KB) may hold a head and the start of its body"""
BODY_LIMIT = 64 << 20
"""bytes; Anthropic takes 32 MB, the others less"""


class Request(Struct):
    """One request, read in full. Header names are lower-case."""

    method: str
    target: str
    headers: list[Header]
    body: bytes
    table: dict[str, str] = {}

    def __post_init__(self) -> None:
        self.table = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query as it came."""
        return self.target.partition("?")[2]


Handler = Callable[[Request, "Connection"], Awaitable[None]]


class _Incoming:
    """The request that is being read: httptools calls back for each part of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[Header] = []
        self._body: list[bytes] = []
        self._size = 0
        self._in_body = False

    def feed(self, data: bytes) -> None:
        """Parse; refuse what is no HTTP."""
        if not self._in_body:
            self._size += len(data)
            if self._size > _HEAD_LIMIT:
                self._connection.fail(431, "the request's head is too long")
                return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._connection.fail(400, "this is not an HTTP/1.1 request that the gateway understands")

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._connection.busy:
            self._connection.close_after()
            return
        self._target, self._headers, self._body = b"", [], []

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_body, self._size = True, 0
        if any(name == b"expect" for name, _ in self._headers):
            self._connection.invite()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._size += len(body)
        if self._size <= BODY_LIMIT:
            self._body.append(body)
            return
        self._body = []
        self._connection.fail(413, f"the request's body is longer than {BODY_LIMIT >> 20} MB")

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_body, self._size = False, 0
        if self._connection.busy:
            return
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, self._target.decode("latin-1"), self._headers, b"".join(self._body))
        self._body = []
        version = self._parser.get_http_version()
        self._connection.take(request, keep_alive=self._parser.should_keep_alive(), chunked=version != "1.0")


class Connection(asyncio.Protocol):
    """One agent's connection. The handler answers by `respond`, or by `begin`, `send` and `end`."""

    def __init__(self, handler: Handler, open_connections: set[Connection]) -> None:
        self._handler = handler
        self._open = open_connections
        self._incoming = _Incoming(self)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._ready.set()
        self._early: list[bytes] = []
        """what came while a request was under way: the next one, from a client that has seen the end of its answer"""
        self._outbox: list[bytes] = []
        self._closing = False
        self._head_only = False
        self._chunked = False
        self.begun = False
        """whether an answer's head has been sent"""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the new connection."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """The agent went away: end what it asked for."""
        self._open.discard(self)
        self._ready.set()
        if self._task:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The agent reads slowly."""
        self._ready.clear()

    def resume_writing(self) -> None:
        """The agent has caught up."""
        self._ready.set()

    def data_received(self, data: bytes) -> None:
        """Read on, or keep it until the request under way is answered."""
        if self._task:
            self._early.append(data)
            if sum(map(len, self._early)) > BODY_LIMIT:
                self.abort()
            return
        self._incoming.feed(data)

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._task is not None

    def close_after(self) -> None:
        """Close once the request under way is answered."""
        self._closing = True

    def invite(self) -> None:
        """The client waits before it sends a body: let it."""
        if self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def take(self, request: Request, *, keep_alive: bool, chunked: bool) -> None:
        """A request is whole: hand it over."""
        if self._closing:
            return
        self._closing = not keep_alive
        self._head_only = request.method == "HEAD"
        self._chunked = chunked
        self.begun = False
        self._task = asyncio.get_running_loop().create_task(self._run(request))

    async def _run(self, request: Request) -> None:
        try:
            await self._handler(request, self)
        except ConnectionError:
            self.abort()
        self._task = None
        if self._closing and self._transport:
            self._transport.close()
        elif self._early:
            data, self._early = b"".join(self._early), []
            self.data_received(data)

    async def respond(self, status: int, body: bytes, headers: Iterable[Header] = ()) -> None:
        """Send a whole JSON answer, or another with the `content-type` among its headers."""
        given = [*headers] or [(b"content-type", b"application/json")]
        await self.begin(status, [*given, (b"content-length", str(len(body)).encode())])
        if not self._head_only:
            await self.send(body)
        self.end()

    async def begin(self, status: int, headers: list[Header]) -> None:
        """Send the head. Without a `content-length` the body goes out in chunks (or until the close, for HTTP/1.0)."""
        sized = self._head_only or status in (204, 304) or any(name == b"content-length" for name, _ in headers)
        lines = [b"HTTP/1.1 %d %b" % (status, _phrase(status)), *(b"%b: %b" % header for header in headers)]
        if sized:
            self._chunked = False
        elif self._chunked:
            lines.append(b"transfer-encoding: chunked")
        else:
            self._closing = True
        if self._closing:
            lines.append(b"connection: close")
        self.begun = True
        await self._write(b"\r\n".join([*lines, b"\r\n"]))

    async def send(self, data: bytes) -> None:
        """Send a part of the body at once; waits only if the agent does not read.

        Raises:
            ConnectionError: the agent is gone.
        """
        if data:
            await self._write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """The body is whole."""
        if self._chunked:
            self._outbox.append(b"0\r\n\r\n")
        self._flush()

    def abort(self) -> None:
        """Cut the connection, so that the agent sees that the answer is broken."""
        self._flush()
        if self._transport:
            self._transport.abort()

    async def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the agent is gone")
        if not self._outbox:
            # Pieces that arrived together leave together, with one system call, in this turn of the loop.
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append(data)
        if not self._ready.is_set():
            await self._ready.wait()

    def _flush(self) -> None:
        data, self._outbox = b"".join(self._outbox), []
        if data and self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def fail(self, status: int, text: str) -> None:
        """Refuse what never became a request, and close."""
        self._closing = True
        if self._transport is None or self._transport.is_closing():
            return
        error = {"error": {"message": f"Handrail: {text}", "type": "invalid_request_error", "code": None}}
        body = json.dumps(error).encode()
        head = b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % (status, _phrase(status), len(body)) + body)
        self._transport.close()

    async def gone(self) -> None:
        """Wait until the request under way has ended, once the connection is cut."""
        if self._task:
            await asyncio.wait({self._task})


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Status"


class Entrance:
    """Makes the protocol of each new connection, and knows which are open.

    Args:
        handler: of their requests.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._connections: set[Connection] = set()

    def connection(self) -> asyncio.Protocol:
        """The protocol of one new connection."""
        return Connection(self._handler, self._connections)

    async def close(self) -> None:
        """Cut what is open."""
        cut = list(self._connections)
        for connection in cut:
            connection.abort()
        for connection in cut:
            await connection.gone()


async def serve(sock: socket.socket, handler: Handler) -> Callable[[], Awaitable[None]]:
    """Serve a listening socket (TCP or unix) until the returned closer is awaited, which cuts what is open."""
    entrance = Entrance(handler)
    server = await asyncio.get_running_loop().create_server(entrance.connection, sock=sock)

    async def close() -> None:
        server.close()
        await entrance.close()
        await server.wait_closed()

    return close
