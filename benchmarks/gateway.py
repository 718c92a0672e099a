"""What the gateway adds to a model call, and how many calls it carries.

The provider is the fake one, in a process of its own; the gateway, the ledger (the real store, which commits what has
queued up as one transaction) and the client that asks share this one, and one core, so what is measured is more than
the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import stage
from benchmarks.figures import Figure
from handrail.gateway import ModelCall, Provider, Wire
from handrail.gateway.providers import Providers
from handrail.gateway.server import Gateway
from handrail.store import calls as ledger
from handrail.store import sessions as rows
from handrail.store.engine import Store
from handrail.store.sessions import SessionRow
from handrail.types import NanoUSD, SandboxKind, SessionId, now

CALLS, AT_ONCE, ROUNDS = 60, 50, 5
BODY = (
    b'{"model": "claude-sonnet-4-5", "max_tokens": 100, "stream": true, "messages": [{"role": "user", "content": '
    b'"Go. @@[{\\"text\\": \\"some words in an answer\\", \\"chunks\\": 8}]@@' + b" filler" * 2000 + b'"}]}'
)


def run(folder: Path) -> list[Figure]:
    """Calls one after the other, straight and through the gateway in turn; then fifty at once."""
    with stage.provider(folder) as provider, _one_core():
        return asyncio.run(_run(provider.url, folder / "gateway.db"))


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """This process on one core, where the system lets it choose; the provider, begun before, may use all."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


async def _run(url: str, database: Path) -> list[Figure]:
    async with await Store.open(database) as store:
        return await _measured(url, store)


async def _measured(url: str, store: Store) -> list[Figure]:
    gateway = Gateway(Providers((Provider("anthropic", Wire.ANTHROPIC, url, "sk-bench"),)))
    session = SessionId("bench")
    row = SessionRow(
        id=session,
        number=1,
        title="",
        agent="handrail",
        repository="",
        repository_key="",
        workspace="",
        base="",
        branch="",
        sandbox=SandboxKind.NONE,
        created=now(),
        updated=now(),
    )
    await store.log.append(session, [], rows.insert(row))

    async def note(call: ModelCall) -> None:
        await store.log.write(ledger.insert(call))

    sock = socket.create_server(("127.0.0.1", 0), backlog=200)
    await gateway.start()
    await gateway.serve(sock)
    token = gateway.grant(session, budget=None, spent=NanoUSD(0), on_call=note).token
    ports = {"bare": int(url.rsplit(":", 1)[1]), "ours": int(sock.getsockname()[1])}
    first: dict[str, list[float]] = {name: [] for name in ports}
    for number in range(ROUNDS + 1):
        for name, port in ports.items():
            times = await _calls(port, token, CALLS if number else 10)
            first[name] += times if number else []
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_calls(ports["ours"], token, CALLS) for _ in range(AT_ONCE)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    await gateway.told(session)
    await gateway.close()
    told = (await ledger.spend(store)).total.calls
    assert told == CALLS * ROUNDS + 10 + CALLS * AT_ONCE
    bare, ours = (1000 * statistics.median(first[name]) for name in ("bare", "ours"))
    return [
        Figure("gateway_first_byte", ours - bare, "ms more", None, "<= 5 ms"),
        Figure("gateway_calls", CALLS * AT_ONCE / seconds, "calls/s", None, ">= 300 calls/s"),
        Figure("gateway_call_cpu", 1000 * cpu / (CALLS * AT_ONCE), "ms", None, "(the client's share in it)"),
    ]


async def _calls(port: int, token: str, count: int) -> list[float]:
    """Seconds to the first byte of each of `count` calls over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\ncontent-type: application/json\r\n"
    request = head % token.encode() + b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)
    times = []
    for _ in range(count):
        began = time.perf_counter()
        writer.write(request)
        answer = await reader.readline()
        times.append(time.perf_counter() - began)
        assert b" 200 " in answer, answer
        await reader.readuntil(b"0\r\n\r\n")
    writer.close()
    return times
