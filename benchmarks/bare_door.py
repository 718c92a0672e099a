"""The bare door: what taking in a signed event costs when nothing is around it.

One Starlette endpoint on the same uvicorn: the signature is checked, the JSON is read, and what came at once goes into
SQLite (WAL, synchronous NORMAL) in one commit before it is answered. No sources, no guard, no second meaning of an
event, nothing that works it off. Run as a program: `python -m benchmarks.bare_door SECRET DATABASE`; it prints its URL.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
import sqlite3
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Door:
    """The endpoint and what it writes to.

    Args:
        secret: what the sender signs with.
        database: a file that is made.
    """

    def __init__(self, secret: str, database: str) -> None:
        self._secret = secret.encode()
        self._queue: list[tuple[tuple[str, bytes], asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._log = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self._log.execute("PRAGMA journal_mode=WAL")
        self._log.execute("PRAGMA synchronous=NORMAL")
        self._log.execute("CREATE TABLE arrivals (delivery TEXT PRIMARY KEY, body TEXT)")

    async def take(self, request: Request) -> Response:
        """Verify, keep, answer."""
        body = await request.body()
        wanted = "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers["x-hub-signature-256"], wanted):
            return Response(status_code=401)
        json.loads(body)
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(((request.headers["x-github-delivery"], body), kept))
        self._wake.set()
        await kept
        return JSONResponse({"taken": "stored"}, 202)

    async def write(self) -> None:
        """Commit what has queued up, again and again."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(0)
            self._wake.clear()
            batch, self._queue = self._queue, []
            await asyncio.to_thread(self._commit, [row for row, _ in batch])
            for _, kept in batch:
                kept.set_result(None)

    def _commit(self, rows: list[tuple[str, bytes]]) -> None:
        self._log.execute("BEGIN IMMEDIATE")
        self._log.executemany("INSERT OR IGNORE INTO arrivals VALUES (?, ?)", rows)
        self._log.execute("COMMIT")


async def main(secret: str, database: str) -> None:
    """Answer until the process is ended."""
    door = Door(secret, database)
    # asyncio turns Nagle off only on sockets that name their protocol
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    app = Starlette(routes=[Route("/hooks/{source}", door.take, methods=["POST"])])
    config = uvicorn.Config(app, http="httptools", loop="asyncio", log_config=None, access_log=False, lifespan="off")
    writing = asyncio.create_task(door.write())
    await uvicorn.Server(config).serve([listening])
    writing.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
