"""What stands behind the door: the gateway and the egress proxy as sessions have them, or a proxy that asks nothing."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from handrail.egress import Broker, Permit, rules
from handrail.egress.addresses import Guard
from handrail.egress.proxy import Egress
from handrail.gateway import ModelCall, Provider, Wire
from handrail.gateway.providers import Providers
from handrail.gateway.server import Gateway
from handrail.sandbox import Door
from handrail.sandbox.arguments import DOOR_PORT
from handrail.sessions import doors
from handrail.types import NanoUSD
from tests.sandbox.battery.ground import SESSION, Ground

NAMES = {
    "allowed.example": ["127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "rebound.example": ["127.0.0.2"],
    "private.example": ["10.0.0.1"],
    "mixed.example": ["127.0.0.1", "10.0.0.1"],
    "mapped.example": ["::ffff:10.0.0.1"],
}


@dataclass(slots=True)
class Doorway:
    """The door of one side, and what was looked up behind it."""

    door: Door | None
    looked_up: list[str] = field(default_factory=list)


@asynccontextmanager
async def upstream() -> AsyncIterator[int]:
    """Everything that is outside: answers whatever comes with `reached` and what it was sent. Gives its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(10):
                said = await reader.read(1 << 20)
                await asyncio.sleep(0.05)  # what is sent in two pieces comes together
                body = b"reached " + said
                head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
                writer.write(head + body)
                await writer.drain()
        await _shut(writer)

    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1 << 20)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


@asynccontextmanager
async def walled(ground: Ground) -> AsyncIterator[Doorway]:
    """Gateway and proxy, with the rules of one session."""
    async with upstream() as port:
        doorway = Doorway(None)

        async def resolve(host: str, _: int) -> list[str]:
            doorway.looked_up.append(host)
            return NAMES.get(host, ["127.0.0.1"])

        gateway = Gateway(Providers((Provider("p", Wire.ANTHROPIC, f"http://127.0.0.1:{port}", ground.key),)))
        await gateway.start()
        egress = Egress(Guard((ipaddress.ip_network("127.0.0.1/32"),)), resolve)
        broker = Broker(
            "api", f"http://allowed.example:{port}", "Authorization", ground.key, "Bearer", (Permit("GET", "/v1"),)
        )
        allowed = rules.parse([f"{name}:{port}" for name in NAMES] + [f"*.wild.example:{port}"], [broker])
        dead = gateway.grant(SESSION, budget=None, spent=NanoUSD(0), on_call=_told).token
        grant = gateway.grant(SESSION, budget=None, spent=NanoUSD(0), on_call=_told)
        doorway.door = doors.door(gateway, egress, allowed, lambda _: None, f"http://127.0.0.1:{DOOR_PORT}")
        ground.targets |= {"upstream": port, "door": DOOR_PORT, "token": grant.token, "dead": dead}
        ground.targets["ports"].append(port)
        try:
            yield doorway
        finally:
            await egress.close()
            await gateway.close()


@asynccontextmanager
async def plain(ground: Ground) -> AsyncIterator[Doorway]:
    """A proxy that opens whatever it is asked for, and puts the broker's secret into every request."""
    async with upstream() as port:
        doorway = Doorway(None)
        visits: list[asyncio.Task[None] | None] = []

        async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            visits.append(asyncio.current_task())
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(_shut, writer)
                stack.enter_context(contextlib.suppress(OSError, asyncio.IncompleteReadError))
                first = await reader.readuntil(b"\n")
                doorway.looked_up.append(first.decode("utf-8", "replace"))
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
                stack.push_async_callback(_shut, far_writer)
                if first.startswith(b"CONNECT"):
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    far_writer.write(first + f"Authorization: Bearer {ground.key}\r\n".encode())
                await asyncio.gather(_move(reader, far_writer), _move(far_reader, writer))

        server = await asyncio.start_server(visit, "127.0.0.1", 0, limit=1 << 20)
        ground.targets |= {
            "upstream": port,
            "door": server.sockets[0].getsockname()[1],
            "token": "x",
            "dead": "x",
        }
        ground.targets["ports"].append(port)
        async with server:
            yield doorway
        for task in visits:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in visits if task is not None), return_exceptions=True)


async def _move(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _told(_: ModelCall) -> None:
    """Calls of the battery cost nothing."""
