"""Posting JSON to one URL, for the small processes beside an agent: Handrail's own agent and the MCP bridge."""

from __future__ import annotations

import encodings.idna  # noqa: F401  # else imported by the first call: once for all in a kiln
import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import httpcore2  # noqa: F401  # httpx2's own: else imported by its first transport
import httpx2
from msgspec import Struct

from handrail import tls
from handrail.lazy import Later
from handrail.text import loads

_environment = Later("urllib.request")
"""what knows the environment's proxies; only the world outside needs them"""
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""for connections without: a transport wants a context, and OpenSSL's first takes 15 ms: once for all in a kiln"""
_CONNECT = 10.0
"""seconds"""
_LARGEST = 64 << 20
"""bytes of one event or answer; OpenAI's last event repeats all that was said"""


class DoorError(Exception):
    """The other side could not be reached, broke off, or does not speak as it should; the message says which."""


class RefusedError(DoorError):
    """The other side answered a request with an error, which is kept as it came."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message")))
        self.error = error


class Answer(Struct, frozen=True):
    """The head of an answer, and the pieces of its body as they come."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]

    def read(self) -> str:
        """The whole body."""
        return b"".join(self.pieces).decode("utf-8", "replace")


class Door:
    """One URL that is posted to, one call at a time, over a connection that is kept.

    Args:
        url: http or https; for https the environment's proxy is taken.
        headers: of each call; more may be put into `headers` later.
        idle: the longest silence of an answer, in seconds.

    Raises:
        ValueError: it is no such URL.
    """

    def __init__(self, url: str, headers: Mapping[str, str], idle: float) -> None:
        try:
            self._url = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise ValueError(str(error)) from error
        self._transport = _transport(url)
        self._patience = {"connect": _CONNECT, "read": idle, "write": idle, "pool": idle}
        self._socket: socket.socket | None = None
        fixed = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "handrail"}
        self.headers = {**fixed, **headers}

    @contextmanager
    def post(self, body: bytes, check: Callable[[], object] = bool) -> Iterator[Answer]:
        """The answer, still open.

        Args:
            body: JSON.
            check: called once there is a connection that `stop` can end; may raise.

        Raises:
            DoorError: there is none, or it broke off while it was read within the context.
        """

        def watch(event: str, told: Mapping[str, Any]) -> None:
            if event.endswith(("connect_tcp.complete", "start_tls.complete")):
                self._socket = told["return_value"].get_extra_info("socket")
                check()

        check()
        more = {"trace": watch, "timeout": self._patience}
        request = httpx2.Request("POST", self._url, headers=self.headers, content=body, extensions=more)
        try:
            # a client's redirects, cookies and authentication, of which none is wanted here, would cost as much again
            found = self._transport.handle_request(request)
            with closing(found):
                yield Answer(found.status_code, found.headers, found.iter_raw())
        except httpx2.TransportError as error:
            raise DoorError(str(error) or type(error).__name__) from error

    def stop(self) -> None:
        """Break off the call under way. From any thread."""
        # Closing would not wake the thread that reads; shutting down does.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        self._transport.close()


class Remote:
    """An MCP server over HTTP (https://modelcontextprotocol.io/specification/2025-06-18/basic/transports).

    Args:
        url: where it is.
        headers: what lets a call in.
        idle: the longest silence of an answer, in seconds.

    Raises:
        ValueError: it is no such URL.
    """

    def __init__(self, url: str, headers: Mapping[str, str], idle: float) -> None:
        self.door = Door(url, {"accept": "application/json, text/event-stream", **headers}, idle)
        self._numbers = count(1)

    def ask(self, method: str, params: Mapping[str, object], check: Callable[[], object] = bool) -> Any:
        """The result of a request, which is never sent twice.

        Args:
            method: its name.
            params: what it is given.
            check: as of `Door.post`.

        Raises:
            RefusedError: the server said no.
            DoorError: there is no answer; whether the request arrived, nobody here knows.
        """
        number = next(self._numbers)
        for answer in self._post({"id": number, "method": method, "params": params}, check):
            match answer:
                case {"id": known, "result": result} if known == number:
                    return result
                case {"id": known, "error": dict(error)} if known == number:
                    raise RefusedError(error)
        raise DoorError("the server gave no answer")

    def tell(self, method: str, params: Mapping[str, object]) -> None:
        """Send a notification. Raises DoorError."""
        self._post({"method": method, "params": params})

    def _post(self, message: Mapping[str, object], check: Callable[[], object] = bool) -> list[Any]:
        """Send a message; the messages that came back."""
        with self.door.post(json.dumps({"jsonrpc": "2.0", **message}).encode(), check) as answer:
            if session := answer.headers.get("mcp-session-id"):
                self.door.headers["mcp-session-id"] = session
            if answer.status >= 400:
                raise DoorError(f"the server refused it, HTTP {answer.status}")
            stream = "event-stream" in answer.headers.get("content-type", "")
            said = [*events(answer)] if stream else [answer.read()]
        try:
            return [loads(text) for text in said if text.strip()]
        except ValueError as error:
            raise DoorError("the answer is not JSON") from error


def events(answer: Answer) -> Iterator[str]:
    """The data of each server-sent event, as it comes (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    Raises:
        DoorError: one is too large, or the answer breaks off.
    """
    held, size, data = list[bytes](), 0, list[bytes]()
    for piece in answer.pieces:
        held.append(piece)
        size += len(piece)
        if size > _LARGEST:
            raise DoorError(f"an event has more than {_LARGEST >> 20} MB")
        if b"\n" not in piece:
            continue
        *lines, rest = b"".join(held).split(b"\n")
        held = [rest]
        for line in lines:
            name, _, value = line.rstrip(b"\r").partition(b":")
            if name == b"data":
                data.append(value.removeprefix(b" "))
            elif data and not line.strip():
                yield b"\n".join(data).decode("utf-8", "replace")
                data = []
        size = len(rest) + sum(map(len, data))


def _transport(url: str) -> httpx2.HTTPTransport:
    """Connections for `url`, into the world by the proxy that the environment names."""
    if url.startswith("http://"):  # reading the certificates takes 20 ms: not for a gateway on loopback
        return httpx2.HTTPTransport(verify=_NO_TLS)
    known, certificates = _environment.load(), tls.context()
    proxies = {} if known.proxy_bypass(urlsplit(url).netloc) else known.getproxies()
    named = proxies.get("https") or proxies.get("all")
    if not named:
        return httpx2.HTTPTransport(verify=certificates)
    named = named if "://" in named else f"http://{named}"
    proxy = httpx2.Proxy(named, ssl_context=certificates if named.startswith("https:") else None)
    return httpx2.HTTPTransport(verify=certificates, proxy=proxy)
