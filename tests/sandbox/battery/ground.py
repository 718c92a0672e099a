"""What the battery is let loose on: a user's checkout, a server's data, two sessions, and things that must stay out.

Everything that the walls must keep apart is open to everybody by its mode, so that the walls are what holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handrail.gateway.keys import load_master
from handrail.types import SessionId
from handrail.web import listen
from handrail.workspaces import Repository, Workspace
from handrail.workspaces.find import find
from handrail.workspaces.git import git
from handrail.workspaces.prepare import prepare

ROOT = Path(__file__).parents[3]
SESSION, OTHER = SessionId("battery"), SessionId("other")
UID = 200_001 if os.geteuid() == 0 else None
VARIABLE = "HANDRAIL_BATTERY_API_KEY"
PROCESSES = 60


@dataclass(slots=True)
class Ground:
    """One copy of it all."""

    top: Path
    repository: Repository
    workspace: Workspace
    home: Path
    key: str
    """the gateway's"""
    targets: dict[str, Any]

    @property
    def data(self) -> Path:
        """The data directory of the server."""
        return self.top / "data"

    @property
    def outside(self) -> Path:
        """A directory that anybody may write."""
        return self.top / "outside"

    def spoken(self) -> bytes:
        """The targets, as the programs inside read them."""
        return json.dumps(self.targets).encode()


@asynccontextmanager
async def ground(*, walled: bool) -> AsyncIterator[Ground]:
    """Lay it out, and take it away with all that the attempts left."""
    began = time.time()
    top = Path(tempfile.mkdtemp(prefix="handrail-battery-"))
    key = f"sk-battery-{secrets.token_hex(16)}"
    leave = f"handrail-left-{secrets.token_hex(8)}"
    beside = Path(tempfile.mkdtemp(prefix="handrail-beside-"))
    os.environ[VARIABLE] = key
    try:
        top.chmod(0o755)
        checkout = await asyncio.to_thread(_user, top, key)
        _outside(top)
        (top / "private").write_text("private")
        (top / "private").chmod(0o600)
        made = await _server(top, await find(checkout), key)
        word = f"canary-{secrets.token_hex(8)}"
        with contextlib.ExitStack() as stack:
            servers = stack.enter_context(_listeners(top / "outside"))
            process = stack.enter_context(_process(top, word, key))
            ports = servers.pop("_sockets")
            made.targets |= servers | {
                "since": began - 1,
                "process": process,
                "process_word": word,
                "leave": leave,
                "beside": beside.name,
                "scratch": "/tmp" if walled else str(top / "tools"),
                "listen": _free_port(),
                "ports": [servers["port"]],
                "stash": _git(checkout, "rev-parse", "stash").strip(),
            }
            async with _serving(*ports):
                yield made
    finally:
        del os.environ[VARIABLE]
        beside.rmdir()
        await asyncio.to_thread(_tidy, top, leave)


def _tidy(top: Path, leave: str) -> None:
    shutil.rmtree(top, ignore_errors=True)
    left = [Path("/tmp", leave), Path("/dev/shm", leave), *Path("/dev/shm").glob("handrail-fill-*")]
    for path in left:
        path.unlink(missing_ok=True)


def _git(cwd: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Alice", "-c", "user.email=alice@example.org", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *who, *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout


def _user(top: Path, key: str) -> Path:
    """A user's home with logins, and a checkout with a stash and a token in the address of its remote."""
    for name in (".ssh/id_ed25519", ".netrc", ".config/gh/hosts.yml"):
        path = top / "user" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"password {key}\n")
        path.chmod(0o600)
    checkout = top / "checkout"
    checkout.mkdir()
    _git(checkout, "init", "-q")
    (checkout / "a.txt").write_text("one\ntwo\n")
    _git(checkout, "add", "-A")
    _git(checkout, "commit", "-qm", "first")
    _git(checkout, "remote", "add", "origin", f"https://alice:{key}@git.example/a.git")
    (checkout / "a.txt").write_text("secret of the stash\n")
    _git(checkout, "stash", "-q")
    return checkout


def _outside(top: Path) -> None:
    outside = top / "outside"
    for directory in (outside, top / "tools"):
        directory.mkdir()
        directory.chmod(0o777)
    for name in ("canary", "victim", "victim2", "victim3"):
        (outside / name).write_text("canary")
        (outside / name).chmod(0o666)
    program = outside / "program"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)


async def _server(top: Path, repository: Repository, key: str) -> Ground:
    data = top / "data"
    data.mkdir()
    kept = [listen.token(data), load_master(data, {}) and (data / "master.key").read_text("ascii").strip(), key]
    workspace = await prepare(data, repository, SESSION, owner=UID)
    other = await prepare(data, repository, OTHER, owner=UID)
    (other.path / "secret").write_text("of another session")
    for directory in (data, data / "sessions", data / "sessions" / SESSION, data / "sessions" / OTHER):
        directory.chmod(0o755)
    home = data / "sessions" / SESSION / "home"
    home.mkdir(mode=0o700)
    blob = await git("hash-object", "-w", "--stdin", cwd=workspace.results, stdin=b"of another session")
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    targets = {
        "top": str(top),
        "canary": str(top / "outside" / "canary"),
        "program": str(top / "outside" / "program"),
        "private": str(top / "private"),
        "outside": str(top / "outside"),
        "tools": str(top / "tools"),
        "user": str(top / "user"),
        "checkout": str(repository.path),
        "data": str(data),
        "mirror": str(workspace.mirror),
        "results": str(workspace.results),
        "record": str(data / "sessions" / SESSION),
        "other": str(other.path),
        "other_blob": blob.decode().strip(),
        "workspace": str(workspace.path),
        "protected": str(workspace.path / ".git" / "config"),
        "home": str(home),
        "packages": packages,
        "source": str(ROOT / "src" / "handrail"),
        "processes": PROCESSES,
        "secrets": kept,
    }
    return Ground(top, repository, workspace, home, key, targets)


@contextmanager
def _process(top: Path, word: str, key: str) -> Iterator[int]:
    """A process outside, which holds the key in its environment and a private file open."""
    with (top / "private").open() as held:
        canary = subprocess.Popen(
            ["/bin/sh", "-c", "sleep 300; :", word, key],
            env={VARIABLE: key},
            stdin=held,
            cwd=top / "outside",
            start_new_session=True,
        )
    try:
        yield canary.pid
    finally:
        os.killpg(canary.pid, signal.SIGKILL)
        canary.wait()


@contextmanager
def _listeners(directory: Path) -> Iterator[dict[str, Any]]:
    """Services outside that must not be reached."""
    stream, datagram = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    abstract, path = (socket.socket(socket.AF_UNIX) for _ in range(2))
    name = f"handrail-battery-{secrets.token_hex(4)}"
    with stream, datagram, abstract, path, socket.socket(socket.AF_INET6) as six:
        stream.set_inheritable(True)  # a careless launcher would hand it in
        stream.bind(("0.0.0.0", 0))  # noqa: S104
        datagram.bind(("127.0.0.1", 0))
        six.bind(("::1", 0))
        abstract.bind("\0" + name)
        path.bind(str(directory / "socket"))
        (directory / "socket").chmod(0o777)
        for endpoint in (stream, six, abstract, path):
            endpoint.listen(8)
        yield {
            "port": stream.getsockname()[1],
            "port6": six.getsockname()[1],
            "address": _own_address(),
            "datagram": datagram.getsockname()[1],
            "abstract": name,
            "socket": str(directory / "socket"),
            "_sockets": (stream, six, datagram),
        }


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 53))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _serving(stream: socket.socket, six: socket.socket, datagram: socket.socket) -> AsyncIterator[None]:
    async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    class Echo(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: Any) -> None:
            datagram.sendto(data, address)

    for endpoint in (stream, six, datagram):
        endpoint.setblocking(False)
    servers = [await asyncio.start_server(hello, sock=endpoint) for endpoint in (stream, six)]
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, sock=datagram)
    try:
        yield
    finally:
        transport.close()
        for server in servers:
            server.close()
        await asyncio.sleep(0)
