"""The battery against the real walls, and beside it without walls, where each attempt must be seen to bite."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handrail.sandbox import Box
from handrail.sandbox.bubblewrap import BubblewrapBackend
from handrail.sandbox.none import NoneBackend
from tests.sandbox.conftest import Place

ROOT = Path(__file__).parents[2]
PROCESSES = 60
LIMITS: dict[str, int] = {"processes": PROCESSES, "open_files": 256, "file_bytes": 8 << 20, "tmp_bytes": 16 << 20}
VARIABLE = "PATH_OF_HANDRAIL_BATTERY"

MACHINE = frozenset(
    {
        "enter_namespace_of_init",
        "hypervisor_socket",
        "io_ring",
        "kernel_module",
        "list_root_home",
        "memory_of_others",
        "raise_process_limit",
        "read_disk",
        "read_kernel_log",
        "read_through_pid1_root",
        "sysrq",
        "read_kernel_memory",
        "route_to_metadata",
        "type_into_terminal",
        "use_inherited_descriptors",
        "dump_core",
    }
)
"""attempts that some machines stop without our walls (kernel options, hardware, what happens to be installed)"""


@contextmanager
def listeners(top: Path) -> Iterator[dict[str, Any]]:
    """Services outside that must not be reached."""
    kinds = [socket.SOCK_STREAM, socket.SOCK_DGRAM]
    stream, datagram = (socket.socket(socket.AF_INET, kind) for kind in kinds)
    abstract, path = (socket.socket(socket.AF_UNIX) for _ in range(2))
    name = f"handrail-battery-{os.getpid()}"
    with stream, datagram, abstract, path:
        for endpoint in (stream, datagram):
            endpoint.bind(("127.0.0.1", 0))
        abstract.bind("\0" + name)
        path.bind(str(top / "socket"))
        for endpoint in (stream, abstract, path):
            endpoint.listen(8)
        yield {
            "port": stream.getsockname()[1],
            "datagram": datagram.getsockname()[1],
            "abstract": name,
            "socket": str(top / "socket"),
            "_servers": (stream, datagram),
        }


@asynccontextmanager
async def serving(stream: socket.socket, datagram: socket.socket) -> AsyncIterator[None]:
    async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    class Echo(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: Any) -> None:
            datagram.sendto(data, address)

    for endpoint in (stream, datagram):
        endpoint.setblocking(False)
    server = await asyncio.start_server(hello, sock=stream)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, sock=datagram)
    try:
        yield
    finally:
        transport.close()
        server.close()
        await asyncio.sleep(0)


def open_directory(path: Path) -> None:
    """A directory that the mode alone would let anybody write."""
    path.mkdir()
    path.chmod(0o777)


async def assault(box: Box, place: Place, *, walled: bool) -> dict[str, tuple[str, bool, str]]:
    other = place.top / "other-session"
    other.mkdir()
    (other / "secret").write_text("of another session")
    outside = place.top / "outside"
    open_directory(outside)
    (outside / "canary").write_text("canary")
    (place.top / "private").write_text("private")
    (place.top / "private").chmod(0o600)
    tools = place.top / "tools"
    word = f"canary-{os.getpid()}"
    canary = await asyncio.create_subprocess_exec("/bin/sh", "-c", "sleep 300; :", word, env={VARIABLE: "secret"})
    with listeners(outside) as targets:
        servers = targets.pop("_servers")
        targets |= {
            "canary": str(outside / "canary"),
            "private": str(place.top / "private"),
            "outside": str(outside),
            "other": str(other),
            "tools": str(tools),
            "protected": str(place.workspace / ".git" / "config"),
            "workspace": str(place.workspace),
            "home": str(place.home),
            "scratch": "/tmp" if walled else str(tools),
            "process": canary.pid,
            "process_word": word,
            "variable": VARIABLE,
            "processes": PROCESSES,
        }
        env = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **({} if walled else {VARIABLE: "secret"})}
        try:
            async with serving(*servers):
                done = await box.run(
                    [sys.executable, "-S", "-m", "tests.sandbox.battery", json.dumps(targets)], env=env, timeout=50
                )
        finally:
            canary.kill()
            await canary.wait()
    assert done.stdout, done.stderr.decode()
    assert sorted(path.name for path in outside.iterdir() if walled) == (["canary", "socket"] if walled else [])
    return {name: (group, bool(got), said) for name, (group, got, said) in json.loads(done.stdout).items()}


async def test_nothing_gets_through(bubblewrap: BubblewrapBackend, place: Place) -> None:
    open_directory(place.top / "tools")
    walls = place.walls(**LIMITS)
    box = await bubblewrap.open(replace(walls, read_only=(*walls.read_only, ROOT / "tests", place.top / "tools")))
    answers = await assault(box, place, walled=True)
    assert len(answers) >= 80
    assert {name: said for name, (_, got, said) in answers.items() if got} == {}
    assert (place.workspace / ".git" / "config").read_text() == "[core]\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="as an ordinary user the machine itself stops many attempts")
async def test_every_attempt_bites_without_walls(bare: NoneBackend, place: Place) -> None:
    open_directory(place.top / "tools")
    box = await bare.open(place.walls())
    answers = await assault(box, place, walled=False)
    blunt = {name: said for name, (_, got, said) in answers.items() if not got and name not in MACHINE}
    assert blunt == {}
    for left in Path("/dev/shm").glob("handrail-fill-*"):
        left.unlink()
