from __future__ import annotations

import asyncio
import ssl

import pytest

from handrail.egress import Limits, Verdict
from handrail.egress.rules import parse
from tests.egress.lab import GREASE, Client, Lab, Upstream, hello, record, server_tls, sni


def trusting(lab: Lab) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(lab.folder / "tls" / "cert.pem"))
    context.check_hostname = False
    return context


async def tunnel(client: Client, port: int, host: str = "api.example.com") -> bytes:
    await client.say(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    return await client.head()


async def opened(lab: Lab, tls: ssl.SSLContext | None = None, limits: Limits | None = None) -> tuple[int, Upstream]:
    upstream = await lab.upstream(Upstream(), tls or server_tls(lab.folder / "tls" / "both.pem"))
    return await lab.serve(parse([f"api.example.com:{upstream.port}"], limits=limits)), upstream


async def test_tls_goes_through_end_to_end(lab: Lab) -> None:
    port, upstream = await opened(lab)
    async with lab.client(port) as client:
        assert (await tunnel(client, upstream.port)).startswith(b"HTTP/1.1 200 ")
        await client.writer.start_tls(trusting(lab), server_hostname="api.example.com")
        await client.say(b"GET / HTTP/1.1\r\n\r\n")
        assert (await client.rest()).endswith(b"hello")
    assert upstream.received == [b"GET / HTTP/1.1\r\n\r\n"]
    assert lab.verdicts()[0] is Verdict.ALLOWED
    assert (await lab.told(Verdict.ENDED)).bytes > 500


async def test_a_server_may_ask_for_a_second_hello(lab: Lab) -> None:
    context = server_tls(lab.folder / "tls" / "both.pem")
    context.set_ecdh_curve("secp384r1")  # no client sends a share for it at first, so the server asks again
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    port, upstream = await opened(lab, context)
    async with lab.client(port) as client:
        await tunnel(client, upstream.port)
        await client.writer.start_tls(trusting(lab), server_hostname="api.example.com")
        await client.say(b"GET / HTTP/1.1\r\n\r\n")
        assert (await client.rest()).endswith(b"hello")


async def test_tls_1_2_goes_through(lab: Lab) -> None:
    context = server_tls(lab.folder / "tls" / "both.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    port, upstream = await opened(lab, context)
    async with lab.client(port) as client:
        await tunnel(client, upstream.port)
        await client.writer.start_tls(trusting(lab), server_hostname="api.example.com")
        await client.say(b"GET / HTTP/1.1\r\n\r\n")
        assert (await client.rest()).endswith(b"hello")


async def test_another_name_inside_is_cut(lab: Lab) -> None:
    port, upstream = await opened(lab)
    async with lab.client(port) as client:
        await tunnel(client, upstream.port)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await client.writer.start_tls(trusting(lab), server_hostname="denied.example.org")
    told = await lab.told(Verdict.DENIED)
    assert "asks for denied.example.org (SNI) and not for api.example.com" in told.reason
    assert upstream.received in ([], [b""])


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (record(hello(GREASE)), "names no server"),
        (b"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n", "not TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not TLS"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not TLS"),
        (b"\x05\x01\x00" + bytes(10), "not TLS"),
        (record(b"early", kind=23), "ClientHello"),
        (bytes(100), "not TLS"),
        (record(hello(sni(b"api.example.com")) + b"x"), "broken"),
    ],
)
async def test_what_is_not_tls_for_that_name_is_cut(lab: Lab, sent: bytes, why: str) -> None:
    upstream = await lab.upstream(Upstream())
    port = await lab.serve(parse([f"api.example.com:{upstream.port}"]))
    async with lab.client(port) as client:
        await tunnel(client, upstream.port)
        await client.say(sent)
        assert await client.rest() == b""
    assert why in (await lab.told(Verdict.DENIED)).reason
    assert upstream.received in ([], [b""])


async def test_a_hello_in_pieces_and_slow_still_passes(lab: Lab) -> None:
    upstream = await lab.upstream(Upstream(after=b"\x01"))
    port = await lab.serve(parse([f"api.example.com:{upstream.port}"]))
    whole = hello(GREASE, sni(b"API.example.com"))
    sent = b"".join(record(whole[at : at + 20]) for at in range(0, len(whole), 20))
    async with lab.client(port) as client:
        await tunnel(client, upstream.port)
        for at in range(0, len(sent), 50):
            await client.say(sent[at : at + 50])
            await asyncio.sleep(0.002)
        await client.rest()
    assert upstream.received == [sent]


async def test_a_tunnel_that_says_nothing_is_cut(lab: Lab) -> None:
    upstream = await lab.upstream(Upstream())
    port = await lab.serve(parse([f"api.example.com:{upstream.port}"], limits=Limits(head_seconds=0.2)))
    async with lab.client(port) as client:
        await tunnel(client, upstream.port)
        await client.say(b"\x16\x03\x01\x40")
        assert await client.rest() == b""
    assert "no TLS ClientHello came" in (await lab.told(Verdict.DENIED)).reason


async def test_a_tunnel_carries_no_more_than_it_may(lab: Lab) -> None:
    upstream = await lab.upstream(Upstream(answer=b"x" * 200_000, after=b"\x01"))
    port = await lab.serve(parse([f"api.example.com:{upstream.port}"], limits=Limits(down_bytes=100_000)))
    async with lab.client(port) as client:
        await tunnel(client, upstream.port)
        await client.say(record(hello(sni(b"api.example.com"))))
        assert len(await client.rest()) < 200_000
    assert (await lab.told(Verdict.DENIED)).reason.startswith("the connection received more")


async def test_a_refused_tunnel_says_why_in_its_status_line(lab: Lab) -> None:
    port = await lab.serve(parse(["pypi"]))
    async with lab.client(port) as client:
        head = await tunnel(client, 443, "api.example.com")
        assert head.startswith(
            b"HTTP/1.1 403 Handrail: api.example.com:443 is not allowed by this session's policy (network)."
            b" Ask for it instead of trying another way.\r\n"
        )
        assert (await client.rest()).startswith(b"Handrail: api.example.com:443 is not allowed")
    assert lab.asked == []
