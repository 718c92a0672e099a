"""One door for gateway and proxy; inside real walls, a session that may reach one host reaches nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.egress import Decision, OnDecision, Rules, Verdict
from handrail.egress.proxy import Egress
from handrail.egress.rules import parse
from handrail.errors import InvalidInput
from handrail.gateway.server import Gateway
from handrail.kinds import Kind
from handrail.sandbox import Box, Door, Walls
from handrail.sandbox.bubblewrap import BubblewrapBackend
from handrail.sandbox.paths import python_paths
from handrail.sessions import doors
from handrail.types import Permissions
from tests.egress.conftest import lab as lab  # noqa: PLC0414  # a fixture of that room
from tests.egress.lab import Lab, Upstream, server_tls
from tests.sessions.conftest import Open

ALIVE_ANSWER = b'{"handrail": "gateway"}'
ALIVE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    made = Gateway()
    yield made
    await made.close()


async def opened(lab: Lab, gateway: Gateway, rules: Rules, url: str = "") -> int:
    sock = socket.create_server(("127.0.0.1", 0), backlog=200)
    port = int(sock.getsockname()[1])
    door = doors.door(gateway, lab.egress, rules, lab.decisions.append, url or f"http://127.0.0.1:{port}")
    lab.closing.push_async_callback(await door(sock))
    return port


async def test_each_request_finds_its_room(lab: Lab, gateway: Gateway) -> None:
    upstream = await lab.upstream()
    port = await opened(lab, gateway, parse([f"api.example.com:{upstream.port}"]))
    assert ALIVE_ANSWER in await lab.ask(port, ALIVE)
    absolute = f"GET http://api.example.com:{upstream.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    assert (await lab.ask(port, absolute)).endswith(b"hello")
    assert b"403 Handrail: denied" in await lab.ask(port, b"CONNECT denied.example.org:443 HTTP/1.1\r\n\r\n")
    assert b"404" in await lab.ask(port, b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("sent", [ALIVE, b"CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_request_may_come_byte_by_byte(lab: Lab, gateway: Gateway, sent: bytes) -> None:
    port = await opened(lab, gateway, Rules())
    async with lab.client(port) as client:
        for at in range(len(sent)):
            await client.say(sent[at : at + 1])
            await asyncio.sleep(0)
        assert (await client.rest()).startswith((b"HTTP/1.1 200", b"HTTP/1.1 403"))


async def test_a_tunnel_to_the_door_itself_leads_to_the_gateway(lab: Lab, gateway: Gateway) -> None:
    port = await opened(lab, gateway, Rules())
    async with lab.client(port) as client:
        await client.say(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert (await client.head()).startswith(b"HTTP/1.1 200")
        await client.say(ALIVE)
        assert ALIVE_ANSWER in await client.rest()
    assert lab.decisions == []


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x00\xc8", b"lower case", b"G" * 100, b"GET\0"])
async def test_garbage_is_refused_by_the_gateway(lab: Lab, gateway: Gateway, sent: bytes) -> None:
    port = await opened(lab, gateway, Rules())
    assert (await lab.ask(port, sent)).startswith(b"HTTP/1.1 400")


async def test_who_says_nothing_is_let_go(lab: Lab, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "_PATIENCE", 0.1)
    port = await opened(lab, gateway, Rules())
    assert await lab.ask(port, b"GE") == b""
    assert await lab.ask(port, b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % port) == b""


async def test_too_many_that_say_nothing_are_let_go(
    lab: Lab, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "_MOST", 2)
    port = await opened(lab, gateway, Rules())
    async with lab.client(port), lab.client(port), lab.client(port) as third:
        assert await third.rest() == b""
    assert ALIVE_ANSWER in await lab.ask(port, ALIVE)


async def test_closing_the_door_lets_everybody_go(lab: Lab, gateway: Gateway) -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    port = int(sock.getsockname()[1])
    close = await doors.door(gateway, lab.egress, Rules(), lab.decisions.append, "http://127.0.0.1:1")(sock)
    async with lab.client(port) as silent, lab.client(port) as proxied, lab.client(port) as asking:
        await proxied.say(b"GET http://api.example.com/")
        await asking.say(b"GET /")
        await asyncio.sleep(0.05)
        await close()
        assert [await one.rest() for one in (silent, proxied, asking)] == [b"", b"", b""]


# --- inside real walls ------------------------------------------------------------------------------------------------


class Inside:
    """A box with a door."""

    def __init__(self, box: Box, door: Door) -> None:
        self.box = box
        self.door = door

    async def run(self, *argv: str, seconds: float = 40) -> str:
        """What the command said on both streams, and its exit status."""
        env = dict(doors.environment(self.box.door_url())) | {"PATH": "/usr/bin:/bin"}
        process = await self.box.start(
            ["/bin/sh", "-c", '"$@" 2>&1; echo "exit $?"', "sh", *argv], env=env, door=self.door
        )
        async with asyncio.timeout(seconds):
            said = await process.stdout.read()
            await process.wait()
        return said.decode("utf-8", "replace")


@contextlib.asynccontextmanager
async def inside(
    folder: Path, egress: Egress, rules: Rules, told: OnDecision, *read_only: Path
) -> AsyncIterator[Inside]:
    backend, gateway = BubblewrapBackend(), Gateway()
    for name in ("workspace", "home"):
        (folder / name).mkdir(parents=True)
    try:
        box = await backend.open(Walls(folder / "workspace", folder / "home", read_only=(*python_paths(), *read_only)))
        yield Inside(box, doors.door(gateway, egress, rules, told, box.door_url()))
    finally:
        await backend.close()
        await gateway.close()


REACH = """
import socket, sys, urllib.request
def attempt(name, act):
    try:
        print(name, "REACHED", act())
    except Exception as error:
        print(name, "held", type(error).__name__)
def connect(host, port):
    socket.create_connection((host, port), 3).close()
port = int(sys.argv[1])
attempt("direct", lambda: connect("127.0.0.1", port))
attempt("outer", lambda: connect("203.0.113.80", 443))
attempt("metadata", lambda: connect("169.254.169.254", 80))
attempt("dns", lambda: socket.getaddrinfo("api.example.com", 443))
attempt("ipv6", lambda: connect("::1", port))
def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b"x", ("10.255.255.53", 53))
attempt("udp", udp)
attempt("proxied", lambda: urllib.request.urlopen(f"http://api.example.com:{port}/").read())
attempt("denied", lambda: urllib.request.urlopen(f"http://denied.example.org:{port}/").read())
attempt("gateway", lambda: urllib.request.urlopen("http://127.0.0.1:3129/").read())
"""


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
async def test_inside_walls_only_the_named_host_is_reached(lab: Lab, tmp_path: Path) -> None:
    upstream = await lab.upstream(Upstream())
    rules = parse([f"api.example.com:{upstream.port}"])
    async with inside(tmp_path, lab.egress, rules, lab.decisions.append) as within:
        said = await within.run(sys.executable, "-c", REACH, str(upstream.port))
        upstream.answer = b"HTTP/1.1 302 Found\r\nLocation: http://denied.example.org/\r\nContent-Length: 0\r\n\r\n"
        moved = await within.run("curl", "-sSL", f"http://api.example.com:{upstream.port}/")
        spelled = await within.run("curl", "-sS", "--noproxy", "", f"http://0x7f000001:{upstream.port}/")
    reached = {line.split()[0] for line in said.splitlines() if "REACHED" in line}
    assert reached == {"proxied", "gateway"}, said
    assert "Handrail: denied.example.org:80 is not allowed" in moved
    assert "Handrail: 127.0.0.1:" in spelled
    assert {place.partition(":")[0] for place in lab.asked} == {"api.example.com"}
    assert {one.host for one in lab.decisions if one.verdict is Verdict.DENIED} >= {"denied.example.org"}


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
async def test_inside_walls_tls_is_checked_end_to_end(lab: Lab, tmp_path: Path) -> None:
    upstream = await lab.upstream(Upstream(), server_tls(lab.folder / "tls" / "both.pem"))
    rules = parse([f"api.example.com:{upstream.port}"])
    async with inside(tmp_path / "box", lab.egress, rules, lab.decisions.append, lab.folder / "tls") as within:
        url = f"https://api.example.com:{upstream.port}/"
        good = await within.run("curl", "-sS", "--cacert", str(lab.folder / "tls" / "cert.pem"), url)
        other = f"https://other.example.com:{upstream.port}/"
        fronted = await within.run(
            "curl", "-sSk", "--connect-to", f"other.example.com:{upstream.port}:api.example.com:{upstream.port}", other
        )
        refused = await within.run("curl", "-sSk", other)
        prior = await within.run("curl", "-sS", "--http2-prior-knowledge", f"http://api.example.com:{upstream.port}/")
    assert good.startswith("hello")
    assert "hello" not in fronted
    assert any("asks for other.example.com (SNI)" in one.reason for one in lab.decisions)
    assert "403" in refused
    assert "hello" not in prior


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
@pytest.mark.skipif(not doors.CERTIFICATES.is_file(), reason="this machine keeps its certificates elsewhere")
async def test_pip_installs_from_the_registry_through_the_walls(tmp_path: Path) -> None:
    try:
        socket.create_connection(("pypi.org", 443), 5).close()
    except OSError:
        pytest.skip("PyPI is not reached from here")
    egress = Egress()
    told: list[Decision] = []
    try:
        async with inside(tmp_path, egress, parse(["pypi"]), told.append) as within:
            pip = (
                sys.executable,
                "-m",
                "pip",
                "--no-cache-dir",
                "--isolated",
                "install",
                "--no-deps",
                "--target",
                "got",
            )
            said = await within.run(*pip, "iniconfig==2.1.0", seconds=55)
            elsewhere = await within.run(
                *pip, "--retries", "1", "--index-url", "https://upload.pypi.org/simple", "six", seconds=55
            )
    finally:
        await egress.close()
    assert "Successfully installed iniconfig-2.1.0" in said, said
    assert "Tunnel connection failed: 403 Handrail: upload.pypi.org:443 is not allowed" in elsewhere, elsewhere
    assert {one.host for one in told if one.verdict is Verdict.ALLOWED} == {"pypi.org", "files.pythonhosted.org"}


async def test_a_session_reaches_what_it_names_and_its_log_says_so(lab: Lab, open_house: Open) -> None:
    upstream = await lab.upstream()
    url, denied = f"http://api.example.com:{upstream.port}/", "http://denied.example.org/"
    async with open_house(egress=lab.egress) as house:
        network = (f"api.example.com:{upstream.port}",)
        session = await house.new(network=network, permissions=Permissions.ALLOW)
        loop = f"for i in 1 2 3 4 5; do curl -sS {denied}; done"
        await house.say(session, [{"shell": f"curl -sS {url}; {loop}"}, {"text": "Done."}])
        end = await house.until(session, Kind.TURN_ENDED)
        assert end.data["stop_reason"] == "end_turn"
        (tool,) = await house.events(session, Kind.TOOL_ENDED)
        assert "hello" in str(tool.data["output"])
        assert "Handrail: denied.example.org:80 is not allowed by this session's policy" in str(tool.data["output"])
        lines = [event.data for event in await house.events(session, Kind.NETWORK_DECIDED)]
        assert sum(int(str(line["times"])) for line in lines if line["verdict"] == "allowed") == 1
        assert [line["times"] for line in lines if line["verdict"] == "denied"] == [1, 4]
        assert all(event.seq < end.seq for event in await house.events(session, Kind.NETWORK_DECIDED))
        (created,) = await house.events(session, Kind.SESSION_CREATED)
        assert created.data["network"] == list(network)


async def test_a_session_without_network_has_none(open_house: Open) -> None:
    async with open_house() as house:
        session = await house.new(permissions=Permissions.ALLOW)
        await house.say(session, [{"shell": "env | grep -i proxy; curl -sS -m 5 https://pypi.org/"}, {"text": "Done."}])
        await house.until(session, Kind.TURN_ENDED)
        (tool,) = await house.events(session, Kind.TOOL_ENDED)
        assert "PROXY" not in str(tool.data["output"])
        assert "Could not resolve host" in str(tool.data["output"])
        assert await house.events(session, Kind.NETWORK_DECIDED) == []
        with pytest.raises(InvalidInput):
            await house.new(network=("https://pypi.org",))


def test_the_environment_names_the_door() -> None:
    told = doors.environment("http://127.0.0.1:3129")
    assert told["HTTPS_PROXY"] == told["https_proxy"] == told["ALL_PROXY"] == "http://127.0.0.1:3129"
    assert told["NO_PROXY"] == told["no_proxy"] == "127.0.0.1,localhost"
    assert not {name for name in told if "TOKEN" in name or "KEY" in name}
    assert os.sep in told.get("SSL_CERT_FILE", os.sep)
