from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator

import pytest

from handrail.egress import HostPort, Refused, Verdict
from handrail.egress.addresses import Dialler, Guard, is_own
from tests.egress.lab import LOOPBACK, guard

NEVER = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),  # noqa: S104
    *("100.64.0.1", "100.100.100.200", "169.254.169.254", "169.254.170.2", "168.63.129.16", "192.0.0.192"),
    *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.88.99.1"),
    *("::1", "::", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2002:7f00:1::", "2001:0:1::"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "5f00::1", "4000::1"),
]


@pytest.mark.parametrize("text", NEVER)
def test_these_are_never_dialled(text: str) -> None:
    assert Guard().refusal(ipaddress.ip_address(text)) is not None


@pytest.mark.parametrize("text", ["8.8.8.8", "151.101.0.223", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_dialled(text: str) -> None:
    assert Guard().refusal(ipaddress.ip_address(text)) is None


def test_this_machines_own_address_is_never_dialled() -> None:
    assert is_own(ipaddress.ip_address("127.0.0.1"))
    assert not is_own(ipaddress.ip_address("8.8.8.8"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.1", 9))
        outer = ipaddress.ip_address(probe.getsockname()[0])
    assert Guard().refusal(outer) is not None
    assert Guard().refusal(outer, listed=True) is not None


def test_a_private_address_is_dialled_where_it_is_listed_itself() -> None:
    assert Guard().refusal(ipaddress.ip_address("10.1.2.3"), listed=True) is None
    for text in ("127.0.0.1", "169.254.169.254", "::1", "224.0.0.1", "0.0.0.0"):  # noqa: S104
        assert Guard().refusal(ipaddress.ip_address(text), listed=True) is not None


def test_networks_of_a_company_can_be_opened() -> None:
    inside = Guard((ipaddress.ip_network("10.20.0.0/16"),))
    assert inside.refusal(ipaddress.ip_address("10.20.1.1")) is None
    assert inside.refusal(ipaddress.ip_address("10.21.1.1")) is not None
    assert inside.refusal(ipaddress.ip_address("::ffff:10.20.1.1")) is None


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Of a server that accepts."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()


def dialler(*addresses: str, pause: float = 0.0) -> tuple[Dialler, list[str]]:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(f"{host}:{port}")
        await asyncio.sleep(pause)
        return list(addresses)

    return Dialler(guard(), resolve), asked


async def test_a_name_is_resolved_once_and_that_address_dialled(port: int) -> None:
    to, asked = dialler("127.0.0.1")
    with await to.dial(HostPort("a.example", port), 5) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    assert asked == [f"a.example:{port}"]


async def test_one_bad_address_refuses_the_name(port: int) -> None:
    to, _ = dialler("127.0.0.1", "169.254.169.254")
    with pytest.raises(Refused, match=r"leads to 169\.254\.169\.254, which is link-local"):
        await to.dial(HostPort("a.example", port), 5)


async def test_a_scoped_address_is_judged_without_its_scope() -> None:
    to, _ = dialler("fe80::1%lo")
    with pytest.raises(Refused, match="link-local"):
        await to.dial(HostPort("a.example", 443), 5)


@pytest.mark.parametrize("answer", [[], ["nonsense"]])
async def test_a_name_without_an_address_fails(answer: list[str]) -> None:
    to, _ = dialler(*answer)
    with pytest.raises(Refused) as refused:
        await to.dial(HostPort("a.example", 443), 5)
    assert refused.value.verdict is Verdict.FAILED


async def test_the_next_address_is_tried_when_one_does_not_answer(port: int) -> None:
    # 127.0.0.2 has the same port free: nothing listens there
    to, _ = dialler("127.0.0.2", "127.0.0.1")
    with await to.dial(HostPort("a.example", port), 5) as sock:
        assert sock.getpeername()[0] == "127.0.0.1"


async def test_what_does_not_answer_fails() -> None:
    to, _ = dialler("127.0.0.1")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(Refused, match="cannot be reached") as refused:
            await to.dial(HostPort("a.example", held.getsockname()[1]), 5)
    assert refused.value.status == 502


async def test_a_slow_name_server_is_not_waited_for() -> None:
    to, _ = dialler("127.0.0.1", pause=30)
    with pytest.raises(Refused, match="did not answer") as refused:
        await to.dial(HostPort("a.example", 443), 0.1)
    assert refused.value.status == 504


async def test_a_listed_address_is_not_resolved() -> None:
    to, asked = dialler("8.8.8.8")
    with pytest.raises(Refused):
        await to.dial(HostPort("169.254.169.254", 80), 1)
    assert asked == []


async def test_the_systems_resolver_is_asked_in_a_thread() -> None:
    to = Dialler(Guard((LOOPBACK,)))
    try:
        with pytest.raises(Refused, match=r"has no address|this machine|cannot be reached"):
            await to.dial(HostPort("no-such-name.invalid", 443), 10)
    finally:
        to.close()
        to.close()
