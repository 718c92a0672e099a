"""The proxy itself: takes connections, judges each, tells what it decided, and fails closed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import ssl
from collections.abc import AsyncIterator

from handrail.egress import (
    Broker,
    Closer,
    Decision,
    HostPort,
    OnDecision,
    Refused,
    Resolver,
    Rules,
    Verdict,
    heads,
    names,
)
from handrail.egress.addresses import Dialler, Guard
from handrail.egress.brokers import Scrubber, upstream_of, with_secret
from handrail.egress.exchange import Exchange, Outgoing, Streams
from handrail.egress.heads import Field, Head
from handrail.egress.meter import Meter
from handrail.egress.rules import admitted, broker_of
from handrail.egress.tunnel import Tunnel

_LOG = logging.getLogger(__name__)
_BY_POLICY = "allowed by this session's policy (network)"
_LINGER = 1.0
"""seconds in which a refused client may go on sending, so that it gets to read why"""
_FLUSH = 5.0
"""seconds for a client to take the last of its answer"""
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


class Egress:
    """The proxy of one server; each door is served with the rules of its session.

    Args:
        guard: which addresses may be dialled; no private one by default.
        resolver: asked for names that the rules allow; the system's own where None.
        trust: which certificates brokers' upstreams may show; those that the system trusts where None.
    """

    def __init__(
        self, guard: Guard | None = None, resolver: Resolver | None = None, trust: ssl.SSLContext | None = None
    ) -> None:
        self._dialler = Dialler(guard or Guard(), resolver)
        self._trust = trust
        self._entrances: set[Entrance] = set()

    async def serve(self, sock: socket.socket, rules: Rules, on_decision: OnDecision) -> Closer:
        """Serve a listening socket until the returned closer is awaited."""
        entrance = self.entrance(rules, on_decision)
        server = await asyncio.get_running_loop().create_server(entrance.connection, sock=sock)

        async def close() -> None:
            server.close()
            await entrance.close()
            await server.wait_closed()

        return close

    def entrance(self, rules: Rules, on_decision: OnDecision) -> Entrance:
        """What makes the protocol of each connection, for a port that is shared with something else."""
        entrance = Entrance(self, rules, on_decision)
        self._entrances.add(entrance)
        return entrance

    def forget(self, entrance: Entrance) -> None:
        """An entrance was closed."""
        self._entrances.discard(entrance)

    @contextlib.asynccontextmanager
    async def dialled(
        self, place: HostPort, seconds: float, limit: int, *, tls: bool = False
    ) -> AsyncIterator[Streams]:
        """A connection to an allowed place.

        Args:
            place: where to.
            seconds: until it must stand.
            limit: bytes of one head that come from there.
            tls: whether the proxy itself is the client of TLS.

        Raises:
            Refused: it leads where nothing may lead, or cannot be reached.
        """
        sock = await self._dialler.dial(place, seconds)
        try:
            async with asyncio.timeout(seconds):
                streams = await asyncio.open_connection(
                    sock=sock,
                    limit=limit,
                    ssl=self._context() if tls else None,
                    server_hostname=place.host if tls else None,
                )
        except (OSError, TimeoutError) as error:
            sock.close()
            why = f"{place} is allowed, but its TLS failed: {error}"
            raise Refused(why, 502, place.host, place.port, Verdict.FAILED) from None
        except BaseException:
            sock.close()
            raise
        try:
            yield streams
        finally:
            streams[1].transport.abort()

    async def close(self) -> None:
        """Cut everything. Idempotent."""
        for entrance in list(self._entrances):
            await entrance.close()
        self._dialler.close()

    def _context(self) -> ssl.SSLContext:
        if self._trust is None:
            self._trust = ssl.create_default_context()
        return self._trust


class Entrance:
    """One session's way in: its rules, and the connections that are open.

    Args:
        egress: the proxy.
        rules: of the session.
        on_decision: told of every decision.
    """

    def __init__(self, egress: Egress, rules: Rules, on_decision: OnDecision) -> None:
        self.egress = egress
        self.rules = rules
        self.on_decision = on_decision
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def connection(self) -> asyncio.Protocol:
        """The protocol of one new connection."""
        reader = asyncio.StreamReader(limit=self.rules.limits.head_bytes)
        return asyncio.StreamReaderProtocol(reader, self._connected)

    async def close(self) -> None:
        """Cut what is open. Idempotent."""
        self.egress.forget(self)
        cut = dict(self._open)
        for task, writer in cut.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*cut, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(self, (reader, writer), full=len(self._open) >= self.rules.limits.connections)
        task = asyncio.get_running_loop().create_task(visit.run())
        self._open[task] = writer
        task.add_done_callback(self._open.pop)


class Visit:
    """One client's connection, from its first byte to its end.

    Args:
        entrance: the session's.
        client: its streams.
        full: there are too many connections already.
    """

    def __init__(self, entrance: Entrance, client: Streams, *, full: bool) -> None:
        self._egress = entrance.egress
        self._rules = entrance.rules
        self._limits = entrance.rules.limits
        self._on_decision = entrance.on_decision
        self._client = client
        self._full = full
        self._place: HostPort | None = None
        self._meter = Meter(entrance.rules.limits)
        self._stands = False
        """an allowed connection was told"""
        self._answered = False
        """an answer has begun, so that none of ours can be given any more"""

    async def run(self) -> None:
        """Serve it to its end, whatever comes."""
        try:
            await self._serve()
            if self._stands:
                self._tell(Verdict.ENDED, _BY_POLICY)
        except Refused as refused:
            await self._refuse(refused)
        except OSError as error:
            self._tell(Verdict.FAILED, f"the connection broke off: {(error.strerror or str(error)).lower()}")
            self._client[1].transport.abort()
        except Exception:  # noqa: BLE001  # the edge of a connection: what nobody foresaw must not leave it open
            _LOG.exception("a connection failed inside the egress proxy")
            await self._refuse(Refused("the proxy failed at this request; the server's log says why", 500))
        finally:
            await _close(self._client[1])

    async def _serve(self) -> None:
        if self._full:
            raise Refused(f"{self._limits.connections} connections are open already: use fewer at a time", 503)
        head = await heads.read(self._client[0], self._limits.head_seconds)
        if head is None:
            return
        if head.method == "CONNECT":
            await self._tunnel(names.authority(head.target))
        elif head.method == "TRACE":
            raise Refused("TRACE is not passed on", 405)
        else:
            await self._plain(head)

    async def _tunnel(self, place: HostPort) -> None:
        self._place = place
        if broker_of(self._rules, place.host) is not None:
            raise Refused(f"{place.host} is a broker: call it as http://{place.host}/")
        await admitted(self._rules, place)
        async with self._meter, self._dialled(place) as upstream:
            self._allowed(_BY_POLICY)
            self._client[1].write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._answered = True
            await self._client[1].drain()
            await Tunnel(place, self._limits, self._meter).run(self._client, upstream)

    async def _plain(self, head: Head) -> None:
        self._place, target = heads.absolute(head)
        asked = [word.strip().lower() for value in head.values("upgrade") for word in value.split(",")]
        if "websocket" in asked:
            raise Refused("no connection is upgraded over plain http: use wss, which goes by CONNECT")
        fields = heads.end_to_end(list(head.fields))
        broker = broker_of(self._rules, self._place.host)
        if broker is not None:
            await self._brokered(broker, head, target, fields)
            return
        await admitted(self._rules, self._place)
        await self._exchange(head, self._place, Outgoing(_host(self._place, 80), target, fields), _BY_POLICY)

    async def _brokered(self, broker: Broker, head: Head, target: str, fields: list[Field]) -> None:
        to = upstream_of(broker, head, target)
        host = _host(to.place, 443 if to.tls else 80)
        outgoing = Outgoing(host, to.target, with_secret(broker, fields), Scrubber(broker))
        await self._exchange(head, to.place, outgoing, f"allowed by broker {broker.name}", tls=to.tls)

    async def _exchange(
        self, head: Head, place: HostPort, outgoing: Outgoing, reason: str, *, tls: bool = False
    ) -> None:
        exchange = Exchange(head, outgoing, self._limits, self._meter)
        try:
            async with self._meter, self._dialled(place, tls=tls) as upstream:
                self._allowed(reason)
                await exchange.run(self._client, upstream)
        finally:
            self._answered = exchange.begun

    def _dialled(self, place: HostPort, *, tls: bool = False) -> contextlib.AbstractAsyncContextManager[Streams]:
        return self._egress.dialled(place, self._limits.connect_seconds, self._limits.head_bytes, tls=tls)

    async def _refuse(self, refused: Refused) -> None:
        """Tell why, to those who watch and to the client; cut it where its answer has begun."""
        self._tell(refused.verdict, refused.reason, refused)
        reader, writer = self._client
        if self._answered:
            writer.transport.abort()
            return
        text = _UNPRINTABLE.sub("?", f"Handrail: {refused.reason.removesuffix('.')}.")
        # Many clients show of a refused CONNECT the status line alone, so it holds the whole sentence.
        head = f"HTTP/1.1 {refused.status} {text}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(text) + 1}\r\n\r\n{text}\n".encode())
        with contextlib.suppress(OSError, TimeoutError):
            writer.write_eof()
            async with asyncio.timeout(_LINGER):
                while await reader.read(1 << 16):
                    pass

    def _allowed(self, reason: str) -> None:
        self._stands = True
        self._tell(Verdict.ALLOWED, reason)

    def _tell(self, verdict: Verdict, reason: str, refused: Refused | None = None) -> None:
        host, port = (self._place.host, self._place.port) if self._place is not None else ("", 0)
        if refused is not None and refused.host and not host:
            host, port = refused.host, refused.port
        self._on_decision(Decision(host, port, verdict, reason, self._meter.up + self._meter.down))


def _host(place: HostPort, default: int) -> str:
    return str(place).removesuffix(f":{default}")


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close, once what was written has left; a client that does not take it is cut."""
    writer.close()
    try:
        async with asyncio.timeout(_FLUSH):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()
