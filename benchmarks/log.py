"""The event log: appending, and the first page of a long one."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from pathlib import Path

from benchmarks import stage
from benchmarks.figures import Figure
from benchmarks.start import fill
from handrail.kinds import Kind
from handrail.store.engine import Store
from handrail.store.log import Draft
from handrail.types import SessionId

EVENTS = 10_000
SESSION = SessionId("s-bench")


def run(folder: Path) -> list[Figure]:
    """Append in process; read the page through the API, as a face does."""
    data = folder / "log"
    data.mkdir()
    append = asyncio.run(_append(data / "handrail.db"))
    bare = _bare(folder / "bare-log.db")
    with stage.provider(folder) as provider, stage.server(data, provider.url) as server:
        pages = []
        for _ in range(5):
            began = time.perf_counter()
            page = server.get(f"/sessions/{SESSION}/events?limit=500")
            pages.append(1000 * (time.perf_counter() - began))
            assert len(page["events"]) == 500
    return [
        Figure("log_append", append, "ms", bare, "< 1 ms"),
        Figure(f"log_first_page_of_{EVENTS}", pages[0], "ms", None, "< 100 ms"),
        Figure(f"log_page_of_{EVENTS}_warm", statistics.median(pages), "ms"),
    ]


async def _append(path: Path) -> float:
    times = []
    async with await Store.open(path) as store:
        await fill(store, SESSION)
        for number in range(EVENTS):
            began = time.perf_counter()
            await store.log.append(SESSION, [Draft(Kind.AGENT_TEXT, {"text": f"some words of an answer {number}"}, 1)])
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def _bare(path: Path) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, data TEXT)")
    times = []
    for number in range(EVENTS):
        began = time.perf_counter()
        connection.execute("INSERT INTO events (data) VALUES (?)", (f'{{"text":"some words {number}"}}',))
        times.append(1000 * (time.perf_counter() - began))
    connection.close()
    return statistics.median(times)
