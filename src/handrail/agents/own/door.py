"""A connection that is kept open and that a cancellation shuts, whatever it waits for."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import httpx2

from handrail.agents.own.cancel import Cancel
from handrail.agents.own.messages import Json


class Door:
    """Posts to one URL; `idle` is the longest silence of an answer, in seconds. One call at a time."""

    def __init__(self, url: str, headers: Mapping[str, str], idle: float) -> None:
        self._url, self._socket = url, None  # type: tuple[str, socket.socket | None]
        fixed = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "handrail"}
        # Loading the certificates takes 20 ms: not for a gateway on loopback. Proxies are for the world outside.
        world = not url.startswith("http://")
        timeout = httpx2.Timeout(60, connect=10, read=idle)
        self._client = httpx2.Client(verify=world, trust_env=world, headers={**headers, **fixed}, timeout=timeout)

    @contextmanager
    def post(self, body: bytes, cancel: Cancel, headers: Mapping[str, str] | None = None) -> Iterator[httpx2.Response]:
        """The answer, still open. Raises Cancelled, or httpx2.TransportError, which a cancellation may have caused."""

        def watch(event: str, info: Json) -> None:
            # A cancellation must find the socket to shut; a new one may be connected at any attempt.
            if event.endswith(("connect_tcp.complete", "start_tls.complete")):
                self._socket = info["return_value"].get_extra_info("socket")
                cancel.check()

        call = self._client.stream("POST", self._url, content=body, headers=headers or {}, extensions={"trace": watch})
        with cancel.stopping(self._shut), call as response:
            yield response

    def _shut(self) -> None:
        # Closing would not wake the thread that reads; shutting down does.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
