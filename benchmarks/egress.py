"""What the egress proxy adds to a request, and what one core of it carries."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.egress.lab import GREASE, hello, record, sni

from benchmarks.figures import Figure
from handrail.egress.addresses import Guard
from handrail.egress.proxy import Egress
from handrail.egress.rules import parse

NAME = "api.example.com"
COUNT = 400
SIZE = 64 << 20
"""bytes of the download"""
HELLO = record(hello(GREASE, sni(NAME.encode())))
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def run(folder: Path) -> list[Figure]:
    """Requests one after the other, through the proxy and straight; then many at once, and one large download."""
    del folder  # nothing is written
    return asyncio.run(_run())


async def _upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers a request with five bytes, a ClientHello with one, `big` with a large body."""
    data = await reader.read(1 << 16)
    if data[:1] == b"\x16":
        writer.write(b"\x15\x03\x03\x00\x02\x02\x28")
    elif data.startswith(b"GET /big"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        piece = bytes(1 << 20)
        for _ in range(SIZE // len(piece)):
            writer.write(piece)
            await writer.drain()
    else:
        writer.write(ANSWER)
    await writer.drain()
    writer.close()


async def _whole(port: int, *pieces: bytes) -> int:
    """Send `pieces`, each after the first once something came back; returns the bytes of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = 0
    for number, piece in enumerate(pieces):
        if number:
            got += len(await reader.read(1 << 16))
        writer.write(piece)
    while data := await reader.read(1 << 18):
        got += len(data)
    writer.close()
    return got


async def _median(act: Callable[[], Awaitable[int]]) -> float:
    """Milliseconds of one call."""
    times = []
    for number in range(COUNT + 20):
        begun = time.perf_counter()
        await act()
        if number >= 20:
            times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


async def _run() -> list[Figure]:
    async def resolve(host: str, port: int) -> list[str]:
        del host, port
        return ["127.0.0.1"]

    server = await asyncio.start_server(_upstream, "127.0.0.1", 0)
    upstream = int(server.sockets[0].getsockname()[1])
    egress = Egress(Guard((ipaddress.ip_network("127.0.0.0/8"),)), resolve)
    sock = socket.create_server(("127.0.0.1", 0), backlog=200)
    port = int(sock.getsockname()[1])
    close = await egress.serve(sock, parse([f"{NAME}:{upstream}"]), lambda _: None)
    straight = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    plain = f"GET http://{NAME}:{upstream}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    connect = f"CONNECT {NAME}:{upstream} HTTP/1.1\r\n\r\n".encode()
    denied = b"GET http://denied.example.org/ HTTP/1.1\r\nHost: x\r\n\r\n"
    try:
        bare = await _median(lambda: _whole(upstream, straight))
        http = await _median(lambda: _whole(port, plain))
        tunnel = await _median(lambda: _whole(port, connect, HELLO))
        refused = await _median(lambda: _whole(port, denied))
        rate = await _rate(lambda: _whole(port, plain))
        direct = await _speed(upstream, straight.replace(b"GET /", b"GET /big"))
        through = await _speed(port, plain.replace(b"/ HTTP", b"/big HTTP"))
    finally:
        await close()
        await egress.close()
        server.close()
    return [
        Figure("egress_http", http, "ms", bare, "< 2 ms more than straight"),
        Figure("egress_connect", tunnel, "ms", bare, "< 2 ms more than straight"),
        Figure("egress_refused", refused, "ms", bare),
        Figure("egress_rate", rate, "requests/s"),
        Figure("egress_download", through, "MB/s", direct),
    ]


async def _rate(act: Callable[[], Awaitable[int]]) -> float:
    """Requests a second with 20 clients of the same process."""

    async def client() -> None:
        for _ in range(40):
            await act()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(20)))
    return 800 / (time.perf_counter() - begun)


async def _speed(port: int, request: bytes) -> float:
    """Megabytes a second of one large download."""
    begun = time.perf_counter()
    got = await _whole(port, request)
    return got / (time.perf_counter() - begun) / 1e6
