"""Posting JSON to one URL, for the small processes beside an agent: Handrail's own agent and the MCP bridge.

On the standard library's client. httpx2 was passed over here: every agent is a process that starts anew, and importing
httpx2 and making its client costs 150 ms of CPU, more than all else that a start takes.
"""

from __future__ import annotations

import json
import select
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from handrail import tls
from handrail.text import loads

_CONNECT = 10.0
"""seconds"""
_CHUNK = 1 << 16
_LARGEST = 64 << 20
"""bytes of one event or answer; OpenAI's last event repeats all that was said"""


class DoorError(Exception):
    """The other side could not be reached, broke off, or does not speak as it should; the message says which."""


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
        parts = urlsplit(url)
        self._path = f"{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}"
        self._line, self._idle = _line(parts), idle
        self.headers = {"content-type": "application/json", "user-agent": "handrail", **headers}

    @contextmanager
    def post(self, body: bytes, check: Callable[[], object] = bool) -> Iterator[HTTPResponse]:
        """The answer, still open.

        Args:
            body: JSON.
            check: called once there is a connection that `stop` can end; may raise.

        Raises:
            DoorError: there is none, or it broke off while it was read within the context.
        """
        line, answer = self._line, None
        try:
            if line.sock and select.select([line.sock], [], [], 0)[0]:
                line.close()  # the other side has ended it while nobody looked
            if not line.sock:
                line.connect()
                line.sock.settimeout(self._idle)
            check()
            line.request("POST", self._path, body, self.headers)
            answer = line.getresponse()
            yield answer
            if answer.length == 0:  # all was read, which `read1` alone does not notice
                answer.close()
        except (OSError, HTTPException) as error:
            raise DoorError(str(error) or type(error).__name__) from error
        finally:
            if answer is None or not answer.isclosed():
                line.close()

    def stop(self) -> None:
        """Break off the call under way. From any thread."""
        # Closing would not wake the thread that reads; shutting down does.
        if found := self._line.sock:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection; a later call makes a new one."""
        self._line.close()


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

    def post(self, message: Mapping[str, object], check: Callable[[], object] = bool) -> list[Any]:
        """Send a message; the messages that came back.

        Raises:
            DoorError: it was refused, or whether it arrived is unknown: do not send it twice.
        """
        with self.door.post(json.dumps(message).encode(), check) as answer:
            if session := answer.headers.get("mcp-session-id"):
                self.door.headers["mcp-session-id"] = session
            if answer.status >= 400:
                raise DoorError(f"the server refused it, HTTP {answer.status}")
            stream = "event-stream" in answer.headers.get("content-type", "")
            said = [*events(answer)] if stream else [answer.read(_LARGEST).decode("utf-8", "replace")]
        try:
            return [loads(text) for text in said if text.strip()]
        except ValueError as error:
            raise DoorError("the answer is not JSON") from error


def events(answer: HTTPResponse) -> Iterator[str]:
    """The data of each server-sent event, as it comes (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    Raises:
        DoorError: one is too large; OSError or HTTPException where the answer breaks off, which `post` turns into it.
    """
    held: list[bytes] = []
    data: list[bytes] = []
    while piece := answer.read1(_CHUNK):
        held.append(piece)
        if sum(map(len, held)) > _LARGEST:
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


def _line(url: SplitResult) -> HTTPConnection:
    """A connection to the server of `url`, not opened yet; into the world by the proxy that the environment names."""
    host, port = url.hostname or "", url.port
    if url.scheme != "https":
        return HTTPConnection(host, port, timeout=_CONNECT)
    known = getproxies()
    proxy = urlsplit("" if proxy_bypass(host) else known.get("https") or known.get("all") or "")
    if not proxy.hostname:
        return HTTPSConnection(host, port, timeout=_CONNECT, context=tls.context())
    line = HTTPSConnection(proxy.hostname, proxy.port or 80, timeout=_CONNECT, context=tls.context())
    secret = b64encode(f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}".encode()).decode()
    line.set_tunnel(host, port or 443, {"proxy-authorization": f"Basic {secret}"} if proxy.username else {})
    return line
