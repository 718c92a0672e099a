"""Posting JSON to one URL, for the small processes beside an agent: Handrail's own agent and the MCP bridge."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import httpx2

from handrail import tls
from handrail.text import loads

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
        # reading the certificates takes 20 ms: not for a gateway on loopback, and proxies are for the world outside
        world = not url.startswith("http://")
        timeout = httpx2.Timeout(idle, connect=_CONNECT)
        fixed = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "handrail"}
        self._client = httpx2.Client(verify=tls.context() if world else False, trust_env=world, timeout=timeout)
        self._socket: socket.socket | None = None
        self.headers = {**fixed, **headers}
        try:
            self._url = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise ValueError(str(error)) from error

    @contextmanager
    def post(self, body: bytes, check: Callable[[], object] = bool) -> Iterator[httpx2.Response]:
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
        asked = self._client.stream("POST", self._url, content=body, headers=self.headers, extensions={"trace": watch})
        try:
            with asked as answer:
                yield answer
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise DoorError(str(error) or type(error).__name__) from error

    def stop(self) -> None:
        """Break off the call under way. From any thread."""
        # Closing would not wake the thread that reads; shutting down does.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


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
            if answer.status_code >= 400:
                raise DoorError(f"the server refused it, HTTP {answer.status_code}")
            stream = "event-stream" in answer.headers.get("content-type", "")
            said = [*events(answer)] if stream else [answer.read().decode("utf-8", "replace")]
        try:
            return [loads(text) for text in said if text.strip()]
        except ValueError as error:
            raise DoorError("the answer is not JSON") from error


def events(answer: httpx2.Response) -> Iterator[str]:
    """The data of each server-sent event, as it comes (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    Raises:
        httpx2.TransportError: the answer breaks off or an event is too large, which `post` turns into DoorError.
    """
    return (event.data for event in httpx2.EventSource(answer, max_event_size=_LARGEST) if event.data)
