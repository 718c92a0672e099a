"""The fake's HTTP side: one asyncio protocol on httptools, no framework: a call has to cost next to nothing."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httptools

from tests.fake_provider import anthropic, gemini, openai_chat, openai_responses
from tests.fake_provider.answer import Pieces, Wire, dumps
from tests.fake_provider.model import Model, Reply
from tests.fake_provider.script import Script

_GEMINI = re.compile(r"/models/([^/:]+):(generateContent|streamGenerateContent|countTokens)$")


@dataclass(slots=True)
class Call:
    """One request that the fake has read. Times are seconds of `time.monotonic`, the same in every process."""

    method: str
    path: str
    """with the query"""
    headers: dict[str, str]
    """lower-cased names"""
    raw: bytes
    status: int = 0
    """0 until answered, or when it never was"""
    arrived: float = 0.0
    answered: float = 0.0
    disconnected: bool = False
    """the client went away before the answer was whole"""

    @property
    def body(self) -> Any:
        """The body as parsed JSON."""
        return json.loads(self.raw)


class FakeProvider:
    """The provider. Use it as an async context manager.

    Args:
        port: TCP port on 127.0.0.1; 0 takes a free one.
        unix: a unix socket to listen on as well.
        keep: keep `calls` (switch it off in benchmarks with long histories).
        on_call: told of each call when it was answered, or was abandoned.
        key: if given, calls with another key are answered 401.
        script: used where no prompt carries one.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        unix: Path | None = None,
        keep: bool = True,
        on_call: Callable[[Call], None] | None = None,
        key: str | None = None,
        script: Script | None = None,
    ) -> None:
        self.port = port
        self.unix = unix
        self.keep = keep
        self.on_call = on_call
        self.key = key
        self.quota: int | None = None
        """seconds until it is reset; while it is set, every call of the model is refused"""
        self.calls: list[Call] = []
        self.model = Model(default=script)
        self.connections: set[_Connection] = set()
        self._servers: list[asyncio.Server] = []

    @property
    def url(self) -> str:
        """Base URL without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def model_calls(self) -> list[Call]:
        """The calls that asked for an answer of the model (no look-ups, no counting)."""
        return [call for call in self.calls if _route(call.method, call.path.split("?")[0])[0] is not None]

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._servers.append(server)
        if self.unix:
            self._servers.append(await loop.create_unix_server(lambda: _Connection(self), str(self.unix)))

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.abort()
        for server in self._servers:
            await server.wait_closed()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def note(self, call: Call) -> None:
        """A call is over."""
        if self.on_call:
            self.on_call(call)


def _route(method: str, path: str) -> tuple[Wire | None, str | None]:
    """The wire format of a path, and the model that it names. Prefixes before the known part are allowed."""
    if method != "POST":
        return None, None
    if path.endswith("/messages"):
        return anthropic, None
    if path.endswith("/responses"):
        return openai_responses, None
    if path.endswith("/chat/completions"):
        return openai_chat, None
    match = _GEMINI.search(path)
    return (gemini, match[1]) if match and match[2] != "countTokens" else (None, None)


_MODELS = ("fake-model", "gpt-fake", "claude-fake", "gemini-fake")


def _plain(method: str, path: str, size: int) -> dict[str, Any] | None:
    """Answers that need no model: lists, counts, liveness. None for an unknown path."""
    if path == "/" and method in ("GET", "HEAD"):
        return {}
    if method == "POST" and path.endswith("/count_tokens"):
        return {"input_tokens": size // 4}
    if method == "POST" and path.endswith(":countTokens"):
        return {"totalTokens": size // 4}
    if method == "GET" and path.endswith("/v1beta/models"):
        return {"models": [{"name": f"models/{name}", "displayName": name} for name in _MODELS]}
    if method == "GET" and path.endswith("/models"):
        common = {"object": "model", "type": "model", "created": 1, "created_at": "2026-01-01T00:00:00Z"}
        data = [{"id": name, "display_name": name, "owned_by": "fake", **common} for name in _MODELS]
        return {"object": "list", "data": data, "has_more": False, "first_id": _MODELS[0], "last_id": _MODELS[-1]}
    return None


class _Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time, as HTTP clients do."""

    transport: asyncio.Transport

    def __init__(self, fake: FakeProvider) -> None:
        self._fake = fake
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._call: Call | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._fake.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._fake.connections.discard(self)
        if self._task:
            self._task.cancel()
        if self._call:
            self._call.disconnected = True
            self._fake.note(self._call)
            self._call = None

    def abort(self) -> None:
        """Cut the connection."""
        if self._task:
            self._task.cancel()
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", {}, []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        call = Call(method, self._url.decode(), self._headers, b"".join(self._body), arrived=time.monotonic())
        self._call = call
        if self._fake.keep:
            self._fake.calls.append(call)
        path, _, query = call.path.partition("?")
        if self._fake.key and self._fake.key not in _keys(call.headers, query):
            shape = _route("POST", path)[0] or openai_chat
            self._json(401, shape.error(401, "wrong key"))
            return
        wire, named = _route(method, path)
        if wire is None:
            plain = _plain(method, path, len(call.raw))
            self._json(200 if plain is not None else 404, plain or {})
            return
        if self._fake.quota is not None:
            refusal = dumps(wire.error(429, "your quota is used up")).encode()
            self._whole(429, refusal, {"retry-after": str(self._fake.quota)})
            return
        stream = path.endswith(":streamGenerateContent") if wire is gemini else None
        self._reply(self._fake.model.reply(wire, call.raw, model=named, stream=stream))

    def _reply(self, reply: Reply) -> None:
        if reply.fault == "no_answer":
            return
        if isinstance(reply.body, dict):
            raw = dumps(reply.body).encode()
            if reply.fault == "broken_sse":
                raw = raw[: len(raw) // 2]
            if reply.fault in ("stall", "drop"):
                self._begin(reply.status, f"content-type: application/json\r\ncontent-length: {len(raw)}\r\n")
                self.transport.write(raw[: len(raw) // 2])
                self._break(reply.fault)
            elif reply.delay:
                self._task = asyncio.create_task(self._later(reply.delay, reply.status, raw))
            else:
                self._whole(reply.status, raw, reply.headers)
            return
        if reply.fault is None and not any(delay for delay, _ in reply.body):
            head = _head(200, _SSE)
            body = b"".join([b"%x\r\n%b\r\n" % (len(data), data) for _, data in reply.body])
            self.transport.write(head + body + b"0\r\n\r\n")
            self._done(200)
            return
        self._task = asyncio.create_task(self._trickle(reply.body, reply.fault))

    async def _later(self, delay: float, status: int, raw: bytes) -> None:
        await asyncio.sleep(delay)
        self._whole(status, raw, {})

    async def _trickle(self, pieces: Pieces, fault: str | None) -> None:
        self._begin(200, _SSE)
        if fault:
            pieces = pieces[: max(2, len(pieces) // 2)]
        for delay, data in pieces:
            if delay:
                await asyncio.sleep(delay)
            self._chunk(data)
        if fault == "broken_sse":
            self._chunk(b'data: {"type": "broken\n\n')
        if fault in ("stall", "drop"):
            self._break(fault)
            return
        self.transport.write(b"0\r\n\r\n")
        self._done(200)

    def _break(self, fault: str) -> None:
        if fault == "drop":
            self.transport.close()

    def _chunk(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _json(self, status: int, body: dict[str, Any]) -> None:
        self._whole(status, dumps(body).encode(), {})

    def _whole(self, status: int, raw: bytes, headers: dict[str, str]) -> None:
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = _head(status, f"content-type: application/json\r\ncontent-length: {len(raw)}\r\n{extra}")
        self.transport.write(head if self._call and self._call.method == "HEAD" else head + raw)
        self._done(status)

    def _begin(self, status: int, headers: str) -> None:
        self.transport.write(_head(status, headers))
        if self._call:
            self._call.status = status

    def _done(self, status: int) -> None:
        call, self._call = self._call, None
        if call:
            call.status, call.answered = status, time.monotonic()
            self._fake.note(call)


def _head(status: int, headers: str) -> bytes:
    return f"HTTP/1.1 {status} {_PHRASES.get(status, 'Status')}\r\n{headers}request-id: fake\r\n\r\n".encode()


_SSE = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
_PHRASES = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


def _keys(headers: dict[str, str], query: str) -> set[str]:
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    named = dict(part.split("=", 1) for part in query.split("&") if "=" in part)
    return {bearer, headers.get("x-api-key", ""), headers.get("x-goog-api-key", ""), named.get("key", "")} - {""}
