"""The server process: `python -m handrail.web --data DIR [--host ADDRESS] [--port N]`.

Exit status 0 after an orderly end, 2 when it was told something that cannot be (another server, a taken port, a data
directory that cannot be used, a damaged database), 1 when something failed that another start may find mended.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvicorn
from msgspec import Struct
from msgspec.structs import replace

from handrail import __version__
from handrail.agents import _sdk
from handrail.agents.bytecode import compiled
from handrail.commands.desk import Running
from handrail.config import DEFAULT_PORT, Config, data_directory, load
from handrail.errors import HandrailError, StorageFull, Unavailable
from handrail.lazy import Later
from handrail.types import SandboxKind, now
from handrail.web import listen, views, wiring
from handrail.web.app import create_app
from handrail.web.stream import Closing

LOG = logging.getLogger("handrail.server")
_sockets = Later("uvicorn.protocols.websockets.websockets_sansio_impl")
_SOON = (Later("handrail.web.bodies"), Later("handrail.workflows.shape"))
"""what no start needs and the first request may: loaded once nobody waits for the server"""
SETTLED_AFTER = 0.5
"""seconds from ready to the one look through all that a start left in memory, a tenth of a second of CPU"""
HTTP_GRACE = 2
"""whole seconds for requests under way, once the server ends"""
LONGEST_MESSAGE = 1 << 20
"""bytes of one message of a WebSocket: what was typed, or pasted"""
LAST_GRACE = 10.0
"""seconds after which the process ends, whatever still holds it"""


class Place(Struct, frozen=True):
    """Where this server listens."""

    unix: socket.socket
    unix_path: Path
    tcp: socket.socket

    @property
    def sockets(self) -> list[socket.socket]:
        """Both."""
        return [self.unix, self.tcp]


class Server(uvicorn.Server):
    """uvicorn without its own signals: this process ends in its own order."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, and say so."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`."""
        yield


async def serve(config: Config, token: str, place: Place) -> None:
    """Answer until a signal or a request to stop.

    Raises:
        HandrailError: the data directory cannot be used.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    url = listen.url_of(place.tcp)
    running = Running(__version__, os.getpid(), url, str(place.unix_path), now(), stop.set)
    closing = Closing()
    async with wiring.desk(config, running, os.environ) as desk:
        server = Server(_uvicorn(create_app(desk, token, closing)))
        answering = asyncio.create_task(server.serve(place.sockets), name="http")
        await server.ready.wait()
        listen.announce(config.data, _facts(config, running, token))
        LOG.info("ready at %s and %s", url, place.unix_path)
        with contextlib.suppress(TimeoutError):  # whoever waited for the server to be ready is served first
            await asyncio.wait_for(stop.wait(), SETTLED_AFTER)
        if not stop.is_set():
            desk.probes.start(SandboxKind(config.sandbox))  # the first session begins it as well, and waits for it
            await asyncio.to_thread(_rest)
        gc.enable()  # see `handrail.web.__main__`
        gc.collect()
        gc.freeze()  # what a server keeps for its whole life is not looked through again
        await stop.wait()
        LOG.info("ends")
        _insist()
        closing.tell()
        server.should_exit = True
        await answering
        listen.withdraw(config.data, place.unix_path)


def _rest() -> None:
    """What was left for later, on a thread."""
    compiled()
    for module in _SOON:
        module.load()
    _sdk.load()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    os.umask(0o077)  # every file that the server makes is its owner's alone
    try:
        return _run(_parse(arguments))
    except HandrailError as error:
        sys.stderr.write(f"handrail: {error.message}\n")
        return 1 if isinstance(error, StorageFull | Unavailable) else 2
    except Exception:
        LOG.exception("the server failed")
        sys.stderr.write("handrail: the server failed in a way that nobody foresaw; the lines above say where.\n")
        return 1


def _run(options: argparse.Namespace) -> int:
    data = data_directory(os.environ, options.data)
    listen.prepare(data)
    config = load(data)
    explicit = options.port is not None or config.port != DEFAULT_PORT
    config = replace(
        config, host=options.host or config.host, port=config.port if options.port is None else options.port
    )
    lock = listen.lock(data)
    token = listen.token(data)
    tcp = listen.listen_tcp(config.host, config.port, explicit=explicit)
    unix, path = listen.listen_unix(data, os.environ)
    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):  # else each process that git is costs a thread too
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    try:
        asyncio.run(serve(config, token, Place(unix, path, tcp)))
    finally:
        listen.withdraw(data, path)
        lock.release()
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="handrail.web", description="Run the server of a data directory.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="data directory")
    parser.add_argument("--host", metavar="ADDRESS", help="loopback address to listen on")
    parser.add_argument("--port", type=int, metavar="N", help="TCP port to listen on; 0 takes a free one")
    return parser.parse_args(arguments)


def _facts(config: Config, running: Running, token: str) -> dict[str, object]:
    facts: dict[str, object] = {
        "pid": running.pid,
        "url": running.url,
        "socket": running.socket,
        "token": token,
        "version": running.version,
        "started": views.moment(running.started),
    }
    if config.port and not running.url.endswith(f":{config.port}"):
        LOG.warning("port %d is taken by another program: listening at %s", config.port, running.url)
        facts["wanted_port"] = config.port
    return facts


def _uvicorn(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI application by its shape
        interface="asgi3",
        http="httptools",
        ws=_websocket,  # type: ignore[arg-type]  # what makes one, as the class does
        ws_max_size=LONGEST_MESSAGE,
        ws_per_message_deflate=False,
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=HTTP_GRACE,
    )


def _websocket(**options: object) -> object:
    """The protocol of one WebSocket. Imported with the first one: most servers of a laptop never see any."""
    return _sockets.load().WebSocketsSansIOProtocol(**options)


def _insist() -> None:
    """End the process even when a thread or an agent holds it up: agents die with it, and the log knows the rest."""
    timer = threading.Timer(LAST_GRACE, os._exit, (0,))  # it was told to end: the keeper must not start it again
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    sys.exit(main())
