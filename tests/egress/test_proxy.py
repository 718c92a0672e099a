from __future__ import annotations

import asyncio
import random
import socket

import pytest

from handrail.egress import Decision, Limits, Rules, Verdict
from handrail.egress.addresses import Guard
from handrail.egress.proxy import Egress
from handrail.egress.rules import parse
from tests.egress.lab import Client, Lab, Upstream, hello, record, sni

GET = b"GET http://api.example.com:%d/ HTTP/1.1\r\nHost: x\r\n\r\n"


async def ready(lab: Lab, limits: Limits | None = None) -> tuple[int, Upstream]:
    upstream = await lab.upstream()
    return await lab.serve(parse([f"api.example.com:{upstream.port}"], limits=limits)), upstream


@pytest.mark.parametrize(
    "request_line",
    [
        *("GET / HTTP/1.1", "GET http://denied.example.org/ HTTP/1.1", "CONNECT denied.example.org:443 HTTP/1.1"),
        *("CONNECT api.example.com:22 HTTP/1.1", "CONNECT api.example.com HTTP/1.1", "CONNECT 127.0.0.1:%d HTTP/1.1"),
        *("CONNECT [::1]:%d HTTP/1.1", "CONNECT [::ffff:127.0.0.1]:%d HTTP/1.1", "CONNECT 2130706433:%d HTTP/1.1"),
        *("CONNECT 0x7f000001:%d HTTP/1.1", "CONNECT 0177.0.0.1:%d HTTP/1.1", "CONNECT 127.1:%d HTTP/1.1"),
        *(
            "CONNECT localhost:%d HTTP/1.1",
            "CONNECT 169.254.169.254:80 HTTP/1.1",
            "GET http://169.254.169.254/ HTTP/1.1",
        ),
        *("GET http://[fd00:ec2::254]/ HTTP/1.1", "CONNECT metadata.google.internal:80 HTTP/1.1"),
        *("CONNECT api.example.com:%d@denied.example.org:443 HTTP/1.1", "CONNECT api.example.com%%00:%d HTTP/1.1"),
        *("CONNECT api.example.com.denied.example.org:%d HTTP/1.1", "CONNECT xapi.example.com:%d HTTP/1.1"),
        *("TRACE http://api.example.com:%d/ HTTP/1.1", "GET https://api.example.com:%d/ HTTP/1.1", "PRI * HTTP/2.0"),
        *("GET http://any.broker.internal/ HTTP/1.1", "CONNECT any.broker.internal:443 HTTP/1.1"),
        *("OPTIONS * HTTP/1.1", "GET file:///etc/passwd HTTP/1.1", "GET gopher://api.example.com:%d/ HTTP/1.1"),
        *("BREW http://denied.example.org/ HTTP/1.1", "GET http://api.example.com:%d/ HTTP/3.0"),
    ],
)
async def test_nothing_else_opens(lab: Lab, request_line: str) -> None:
    port, upstream = await ready(lab)
    line = request_line % upstream.port if "%d" in request_line else request_line
    answer = await lab.ask(port, f"{line}\r\nHost: api.example.com\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 403 Handrail: ", b"HTTP/1.1 400 Handrail: ", b"HTTP/1.1 405 Handrail: "))
    assert b"\r\nConnection: close\r\n" in answer
    assert upstream.received == []
    assert lab.asked == [], "no name is asked for before the rules say yes"
    assert lab.verdicts() == [Verdict.DENIED]


async def test_websockets_over_plain_http_are_refused(lab: Lab) -> None:
    port, upstream = await ready(lab)
    head = (GET % upstream.port).replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n")
    assert (await lab.ask(port, head)).startswith(b"HTTP/1.1 403 Handrail: no connection is upgraded")
    assert upstream.received == []


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.1", "::1", "fd00:ec2::254", "::ffff:10.0.0.1"])
async def test_a_name_that_leads_inside_is_refused(lab: Lab, address: str) -> None:
    port, upstream = await ready(lab)
    lab.names["api.example.com"] = [address, "127.0.0.1"]
    answer = await lab.ask(port, GET % upstream.port)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"never reached from inside" in answer
    assert upstream.received == []


async def test_loopback_is_never_reached_without_the_labs_leave(lab: Lab) -> None:
    upstream = await lab.upstream()
    egress = Egress(Guard(), lab.egress._dialler._resolver)
    lab.closing.push_async_callback(egress.close)
    lab.egress = egress
    port = await lab.serve(parse([f"api.example.com:{upstream.port}", f"127.0.0.1:{upstream.port}"]))
    for request in (GET % upstream.port, (GET % upstream.port).replace(b"api.example.com", b"127.0.0.1")):
        assert b"which is this machine" in await lab.ask(port, request)
    assert upstream.received == []


async def test_the_name_is_asked_for_once_a_connection(lab: Lab) -> None:
    port, upstream = await ready(lab)
    await lab.ask(port, GET % upstream.port)
    assert lab.asked == [f"api.example.com:{upstream.port}"]


async def test_slow_heads_are_cut_and_do_not_keep_others_out(lab: Lab) -> None:
    port, upstream = await ready(lab, Limits(head_seconds=0.5, connections=60))
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
    for _, writer in slow:
        writer.write(b"GET http://api.example.com/ HTTP/1.1\r\nX: ")
    assert b"200 OK" in await lab.ask(port, GET % upstream.port)
    for reader, writer in slow:
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 408 ")
        writer.close()
        await writer.wait_closed()


async def test_ten_megabytes_of_head_are_refused(lab: Lab) -> None:
    port, upstream = await ready(lab)
    async with lab.client(port) as client:
        sending = asyncio.create_task(flood(client))
        assert (await client.rest()).startswith(b"HTTP/1.1 431 ")
        await sending
    assert upstream.received == []


async def flood(client: Client) -> None:
    try:
        client.writer.write(b"GET http://api.example.com/ HTTP/1.1\r\nX: ")
        for _ in range(160):
            await client.say(b"a" * 65536)
    except OSError:
        pass


async def test_too_many_connections_are_turned_away(lab: Lab) -> None:
    port, upstream = await ready(lab, Limits(connections=2))
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert (await lab.ask(port, GET % upstream.port)).startswith(
        b"HTTP/1.1 503 Handrail: 2 connections are open already"
    )
    for _, writer in held:
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.05)
    assert b"200 OK" in await lab.ask(port, GET % upstream.port)


async def test_a_fault_of_our_own_opens_nothing(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    port, upstream = await ready(lab)
    lab.egress._dialler._resolver = None  # type: ignore[assignment]
    assert (await lab.ask(port, GET % upstream.port)).startswith(b"HTTP/1.1 500 Handrail: the proxy failed")
    assert upstream.received == []
    assert "egress proxy" in caplog.text
    assert lab.verdicts() == [Verdict.DENIED]


async def test_a_listener_that_fails_does_not_open_anything(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    upstream = await lab.upstream()

    def fail(_: Decision) -> None:
        raise RuntimeError("full")

    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    lab.closing.push_async_callback(await lab.egress.serve(sock, parse([f"api.example.com:{upstream.port}"]), fail))
    assert b"200 OK" not in await lab.ask(port, GET % upstream.port)
    assert upstream.received in ([], [b""])
    assert "full" in caplog.text


async def test_garbage_opens_nothing(lab: Lab) -> None:
    port, upstream = await ready(lab, Limits(head_seconds=0.2))
    dice = random.Random(11)  # noqa: S311
    seeds = [
        GET % upstream.port,
        b"CONNECT api.example.com:%d HTTP/1.1\r\nHost: x\r\n\r\n" % upstream.port,
        b"POST http://api.example.com:%d/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % upstream.port,
        record(hello(sni(b"api.example.com"))),
    ]

    async def one(data: bytes) -> None:
        async with lab.client(port) as client:
            try:
                await client.say(data)
                client.writer.write_eof()
                await client.rest()
            except OSError:
                pass

    for _ in range(20):
        batch = []
        for _ in range(20):
            data = bytearray(dice.choice(seeds))
            for _ in range(dice.randrange(1, 8)):
                at = dice.randrange(len(data))
                data[at : at + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
            batch.append(one(bytes(data)))
        await asyncio.gather(*batch)
    for host in {place.rpartition(":")[0] for place in lab.asked}:
        assert host == "api.example.com"
    for got in upstream.received:
        assert not got or got.split(b" ")[1].startswith(b"/"), "only whole requests, as we write them"
    assert b"200 OK" in await lab.ask(port, GET % upstream.port)


async def test_closing_a_door_cuts_what_is_open(lab: Lab) -> None:
    upstream = await lab.upstream(Upstream(answer=b"", close=False))
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    close = await lab.egress.serve(sock, parse([f"api.example.com:{upstream.port}"]), lab.decisions.append)
    async with lab.client(port) as client:
        await client.say(GET % upstream.port)
        await lab.told(Verdict.ALLOWED)
        await close()
        assert await client.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        await lab.ask(port, b"")


async def test_two_doors_keep_their_own_rules(lab: Lab) -> None:
    upstream = await lab.upstream()
    one = await lab.serve(parse([f"api.example.com:{upstream.port}"]))
    other = await lab.serve(Rules())
    assert b"200 OK" in await lab.ask(one, GET % upstream.port)
    assert b"403" in await lab.ask(other, GET % upstream.port)


async def test_many_at_once(lab: Lab) -> None:
    port, upstream = await ready(lab)
    answers = await asyncio.gather(*(lab.ask(port, GET % upstream.port) for _ in range(100)))
    assert all(answer.endswith(b"hello") for answer in answers)
    assert lab.verdicts().count(Verdict.ENDED) == 100
