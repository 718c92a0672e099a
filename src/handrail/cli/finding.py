"""Finds the server of a data directory, starts it in the background, stops it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
from msgspec import Struct

from handrail.cli.clean import one_line
from handrail.cli.keeper import USAGE_ERROR
from handrail.errors import HandrailError, InvalidInput, StorageFull, Unavailable

START_LIMIT = 30.0
LEAST_ROOM = 1 << 20
"""bytes without which no server starts: a database, its log, its lock"""
STOP_LIMIT = 20.0
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""trusts nobody: a server is spoken to without TLS, and reading the certificates of the world costs 30 ms a command"""


class Misconfigured(Unavailable):
    """The server was told something that cannot be: its configuration, its port, its data directory. Exit status 2."""

    exit_code = 2


class Address(Struct, frozen=True):
    """Where a server listens, as its `server.json` tells."""

    pid: int
    url: str
    socket: Path | None
    token: str

    def client(self) -> httpx2.AsyncClient:
        """A client over the unix socket where there is one, else over loopback with the token."""
        timeout = httpx2.Timeout(60.0, connect=5.0)
        # a new connection for each request: one that a dead server left behind could not be told from a lost answer
        limits = httpx2.Limits(max_keepalive_connections=0)
        if self.socket is not None and self.socket.exists():
            transport = httpx2.AsyncHTTPTransport(uds=str(self.socket), limits=limits, verify=_NO_TLS)
            return httpx2.AsyncClient(transport=transport, base_url="http://handrail", timeout=timeout)
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx2.AsyncClient(
            base_url=self.url, headers=headers, timeout=timeout, limits=limits, trust_env=False, verify=_NO_TLS
        )


def read_address(data: Path) -> Address | None:
    """What `server.json` says, or None when it is missing or half-written."""
    try:
        told = json.loads((data / "server.json").read_bytes())
        socket = told.get("socket")
        return Address(int(told["pid"]), str(told["url"]), Path(socket) if socket else None, str(told["token"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


async def connect(data: Path) -> httpx2.AsyncClient | None:
    """A client of the living server of `data`, or None when nobody answers."""
    address = read_address(data)
    if address is None:
        return None
    client = address.client()
    try:
        answer = await client.get("/health", timeout=5.0)
        if answer.status_code == httpx2.codes.OK:
            return client
    except httpx2.TransportError:
        pass
    await client.aclose()
    return None


async def connect_or_start(data: Path, *, say: Callable[[str], None]) -> httpx2.AsyncClient:
    """A client of the server of `data`, which is started in the background when it does not run.

    Args:
        data: the data directory; it is made when it is missing.
        say: told once, when a server has to be started.

    Raises:
        Unavailable: it did not get ready within `START_LIMIT`; the message carries the last line of its log.
    """
    if client := await connect(data):
        return client
    keeper: subprocess.Popen[bytes] | None = None
    if not _kept(data):
        say(f"starting the server of {data}")
        keeper = start(data)
    return await _ready(data, keeper)


async def _ready(data: Path, keeper: subprocess.Popen[bytes] | None) -> httpx2.AsyncClient:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if client := await connect(data):
            return client
        # another terminal may have won the race to start it; then its keeper is there, and we go on waiting
        if keeper is not None and keeper.poll() is not None and not _kept(data):
            raise _not_started(data, keeper.returncode)
        await asyncio.sleep(0.03)
    raise Unavailable(f"the server did not get ready within {START_LIMIT:.0f} s: {last_words(data)}")


def _kept(data: Path) -> bool:
    """Whether a server lives, or a keeper that starts one."""
    return held(data / "server.lock") or held(data / "keeper.lock")


def _not_started(data: Path, code: int) -> HandrailError:
    _refuse_full(data)  # its log stands on the same disk, and may hold nothing of it
    told = f"the server did not start: {last_words(data)}"
    return Misconfigured(told) if code == USAGE_ERROR else Unavailable(told)


def start(data: Path) -> subprocess.Popen[bytes]:
    """Start the keeper of `data` in a session of its own, so that closing the terminal ends nothing."""
    log = prepare(data) / "server.log"
    with log.open("ab") as out:
        return subprocess.Popen(
            keeper_command(data),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )


def prepare(data: Path) -> Path:
    """Make the data directory (0700) with its folder of logs, which is given back.

    Raises:
        InvalidInput: it cannot be a directory of ours.
        StorageFull: the disk is full.
    """
    logs = data / "logs"
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        logs.mkdir(mode=0o700, exist_ok=True)
        (logs / "server.log").touch(mode=0o600)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _full(data) from error
        raise InvalidInput("--data", str(data), f"give a directory that can be written ({error.strerror})") from error
    _refuse_full(data)
    return logs


def _refuse_full(data: Path) -> None:
    if shutil.disk_usage(data).free < LEAST_ROOM:
        raise _full(data)


def _full(data: Path) -> StorageFull:
    return StorageFull(f"no room left on the disk of {data}: free some and try again")


def keeper_command(data: Path) -> list[str]:
    """The argument vector that keeps the server of `data`."""
    return [sys.executable, "-m", "handrail.cli.keeper", str(data)]


def last_words(data: Path) -> str:
    """The last line of the server's log that says something."""
    log = data / "logs" / "server.log"
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = [row.strip() for row in file.read().decode("utf-8", "replace").splitlines() if row.strip()]
    except OSError:
        lines = []
    told = [row for row in lines if not row.startswith("handrail keeper:")] or lines
    return (
        f"{one_line(told[-1].removeprefix('handrail: '), 400)} (log: {log})"
        if told
        else f"it said nothing (log: {log})"
    )


def held(lock: Path) -> bool:
    """True while a living process holds the lock file."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError as error:
        return error.errno in {errno.EAGAIN, errno.EACCES}
    return False


async def stop(data: Path) -> bool:
    """Stop the server of `data` and its keeper; False when none ran.

    Raises:
        HandrailError: it still runs after 20 s.
    """
    client = await connect(data)
    found = client is not None or _kept(data)
    if client is not None:
        with contextlib.suppress(httpx2.TransportError):  # it may go away in mid-answer, which is what was asked
            await client.post("/api/v1/shutdown")
        await client.aclose()
    elif found:
        _terminate(data)
    deadline = time.monotonic() + STOP_LIMIT
    while _kept(data):
        if time.monotonic() > deadline:
            address = read_address(data)
            who = f"process {address.pid}" if address else "its process"
            raise HandrailError(f"the server still runs after {STOP_LIMIT:.0f} s: {who} holds {data / 'server.lock'}")
        await asyncio.sleep(0.03)
    return found


def _terminate(data: Path) -> None:
    """Ask keeper and server by signal: for a server that does not answer, or that is between two lives."""
    pids = [address.pid] if (address := read_address(data)) and held(data / "server.lock") else []
    if held(data / "keeper.lock") and (text := (data / "keeper.lock").read_text("utf-8").strip()).isdigit():
        pids.insert(0, int(text))
    for pid in pids:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue


def left_behind(data: Path) -> list[str]:
    """Processes of this machine whose command line names something inside the data directory (Linux; else none)."""
    found, inside = [], os.fsencode(data) + b"/"
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        pid = int(entry.parent.name)
        if pid != os.getpid() and any(word.startswith(inside) for word in words[1:]):
            found.append(f"{pid} {one_line(b' '.join(words).decode('utf-8', 'replace'), 120)}")
    return found
