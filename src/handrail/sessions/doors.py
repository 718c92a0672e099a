"""The door of a session that may reach the network: one port inside, behind it the gateway and the egress proxy.

The first bytes of a connection tell whose it is. `GET /v1/models` is for the gateway; `GET http://host/` and `CONNECT`
are for the proxy; from then on the connection is that room's alone. Agents that send their model calls through a proxy
too, whatever NO_PROXY says, ask it for a tunnel to the door itself: they are led to the gateway.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from handrail.egress import OnDecision, Rules
from handrail.egress.proxy import Egress
from handrail.gateway.server import Gateway
from handrail.sandbox import Closer, Door

_GATEWAY = re.compile(rb"[A-Z-]{1,20} [/*]")
_PROXY = re.compile(rb"[A-Z-]{1,20} [^/*]")
_UNDECIDED = re.compile(rb"[A-Z-]{0,20} ?")
_TUNNEL = re.compile(rb"CONNECT ([^ \r\n]{1,300}) HTTP/1\.[01]\r\n")
_HEAD = 8 << 10
"""bytes of a tunnel's head"""
_PATIENCE = 15.0
"""seconds for a connection to say whose it is"""
_MOST = 128
"""connections that have not said it yet"""
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""where Debian and its like keep what the machine trusts; visible inside"""

Make = Callable[[], asyncio.Protocol]


def door(gateway: Gateway, egress: Egress, rules: Rules, on_decision: OnDecision, url: str) -> Door:
    """A door that leads to both.

    Args:
        gateway: takes the model calls.
        egress: takes what goes to the network.
        rules: what may go there.
        on_decision: told of each decision.
        url: the door's own address, as it is seen inside.
    """
    own = urlsplit(url).netloc.encode()

    async def serve(sock: socket.socket) -> Closer:
        inner, outer = gateway.entrance(), egress.entrance(rules, on_decision)
        waiting: set[Fork] = set()
        server = await asyncio.get_running_loop().create_server(
            lambda: Fork(inner.connection, outer.connection, own, waiting), sock=sock
        )

        async def close() -> None:
            server.close()
            for fork in list(waiting):
                fork.cut()
            await outer.close()
            await inner.close()
            await server.wait_closed()

        return close

    return serve


class Fork(asyncio.Protocol):
    """A connection until it has said whose it is.

    Args:
        gateway: makes the gateway's protocol.
        proxy: makes the proxy's.
        own: the door's own `host:port`.
        waiting: those that have not said it yet.
    """

    def __init__(self, gateway: Make, proxy: Make, own: bytes, waiting: set[Fork]) -> None:
        self._gateway = gateway
        self._proxy = proxy
        self._own = own
        self._waiting = waiting
        self._data = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the new connection."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._waiting.add(self)
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self.cut)
        if len(self._waiting) > _MOST:
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """It went away without a word."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Read until it is clear whose it is."""
        self._data += data
        if _GATEWAY.match(self._data):
            self._lead(self._gateway)
        elif self._data.startswith(b"CONNECT "):
            self._tunnel()
        elif _PROXY.match(self._data):
            self._lead(self._proxy)
        elif not _UNDECIDED.fullmatch(self._data):
            self._lead(self._gateway)  # which refuses what is no HTTP

    def cut(self) -> None:
        """End it."""
        self._leave()
        if self._transport is not None:
            self._transport.abort()

    def _tunnel(self) -> None:
        if b"\r\n" not in self._data and len(self._data) < _HEAD:
            return
        asked = _TUNNEL.match(self._data)
        if asked is None or asked[1] != self._own:
            self._lead(self._proxy)
            return
        _, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            if len(self._data) > _HEAD:
                self.cut()
            return
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self._data = rest
        self._lead(self._gateway)

    def _lead(self, make: Make) -> None:
        """Hand the connection over, with what was read of it."""
        self._leave()
        transport, data = self._transport, self._data
        if transport is None or transport.is_closing():
            return
        protocol = make()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if data:
            protocol.data_received(data)

    def _leave(self) -> None:
        self._waiting.discard(self)
        if self._timer is not None:
            self._timer.cancel()


def environment(url: str) -> Mapping[str, str]:
    """What tells programs inside of the proxy, and of the certificates that this machine trusts.

    Args:
        url: the door's own address, as it is seen inside.
    """
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    direct = "127.0.0.1,localhost"
    told = dict.fromkeys(names, url) | {"NO_PROXY": direct, "no_proxy": direct, "NODE_USE_ENV_PROXY": "1"}
    if CERTIFICATES.is_file():
        # pip, requests and Node bring lists of their own, and would not know a company's authority.
        bundles = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
        told |= dict.fromkeys((*bundles, "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO"), str(CERTIFICATES))
    return told
