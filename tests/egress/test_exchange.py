from __future__ import annotations

import pytest

from handrail.egress import Broker, Limits, Permit, Verdict
from handrail.egress.rules import parse
from tests.egress.lab import Lab, Upstream, server_tls

SECRET = "sk-real-secret-42"


def get(port: int, *lines: str, path: str = "/x?y=1", host: str = "api.example.com", method: str = "GET") -> bytes:
    extra = "".join(f"{line}\r\n" for line in lines)
    return f"{method} http://{host}:{port}{path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode()


async def opened(lab: Lab, upstream: Upstream, limits: Limits | None = None) -> int:
    await lab.upstream(upstream)
    return await lab.serve(parse([f"api.example.com:{upstream.port}"], limits=limits))


async def test_a_request_goes_on_as_it_was_understood(lab: Lab) -> None:
    upstream = Upstream()
    port = await opened(lab, upstream)
    sent = get(upstream.port, "X-A: 1", "Connection: x-gone", "X-Gone: 1", "Proxy-Authorization: p", "Upgrade: h2c")
    answer = await lab.ask(port, sent.replace(b"Host: api.example.com", b"Host: evil.example.org"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nhello")
    assert b"connection: close" in answer.lower()
    assert upstream.received == [
        f"GET /x?y=1 HTTP/1.1\r\nHost: api.example.com:{upstream.port}\r\nx-a: 1\r\nConnection: close\r\n\r\n".encode()
    ]
    assert lab.verdicts() == [Verdict.ALLOWED, Verdict.ENDED]
    assert lab.decisions[1].bytes > len(b"hello")


async def test_bodies_go_both_ways_in_the_framing_that_was_read(lab: Lab) -> None:
    upstream = Upstream(
        answer=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"
        b"3\r\nabc\r\n2\r\nde\r\n0\r\nX: t\r\n\r\n",
        after=b"0\r\n\r\n",
    )
    port = await opened(lab, upstream)
    sent = (
        get(upstream.port, "Transfer-Encoding: chunked", method="POST") + b"5;ext=1\r\nhello\r\n0\r\nTrailer: x\r\n\r\n"
    )
    answer = await lab.ask(port, sent)
    assert answer.endswith(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert b"content-length" not in answer.lower()
    assert upstream.received[0].endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert b"Trailer" not in upstream.received[0]


async def test_a_second_request_on_the_connection_goes_nowhere(lab: Lab) -> None:
    upstream = Upstream()
    port = await opened(lab, upstream)
    answer = await lab.ask(port, get(upstream.port) + get(upstream.port, path="/second"))
    assert answer.count(b"HTTP/1.1 200") == 1
    assert len(upstream.received) == 1
    assert b"second" not in upstream.received[0]


async def test_more_than_the_length_that_was_given_goes_nowhere(lab: Lab) -> None:
    upstream = Upstream(after=b"hello")
    port = await opened(lab, upstream)
    await lab.ask(port, get(upstream.port, "Content-Length: 5", method="POST") + b"helloGET /smuggled HTTP/1.1\r\n\r\n")
    assert upstream.received[0].endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    "body",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"x\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"\r\n0\r\n\r\n",
    ],
)
async def test_a_broken_chunk_is_cut(lab: Lab, body: bytes) -> None:
    upstream = Upstream(after=b"0\r\n\r\n")
    port = await opened(lab, upstream)
    answer = await lab.ask(port, get(upstream.port, "Transfer-Encoding: chunked", method="POST") + body)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert Verdict.DENIED in lab.verdicts()


async def test_who_waits_for_leave_is_told_to_send(lab: Lab) -> None:
    upstream = Upstream(after=b"hello")
    port = await opened(lab, upstream)
    async with lab.client(port) as client:
        await client.say(get(upstream.port, "Expect: 100-continue", "Content-Length: 5", method="PUT"))
        assert (await client.head()).startswith(b"HTTP/1.1 100")
        await client.say(b"hello")
        assert (await client.rest()).startswith(b"HTTP/1.1 200")
    assert b"xpect" not in upstream.received[0]


async def test_an_old_client_gets_its_answer_until_the_close(lab: Lab) -> None:
    upstream = Upstream(answer=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    port = await opened(lab, upstream)
    answer = await lab.ask(port, get(upstream.port).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert answer.endswith(b"\r\n\r\nhello")
    assert b"chunked" not in answer


async def test_a_head_request_has_no_body(lab: Lab) -> None:
    upstream = Upstream(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    port = await opened(lab, upstream)
    assert b"content-length: 500" in (await lab.ask(port, get(upstream.port, method="HEAD"))).lower()


async def test_notices_before_the_answer_are_passed_over(lab: Lab) -> None:
    upstream = Upstream(answer=b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    port = await opened(lab, upstream)
    assert (await lab.ask(port, get(upstream.port))).startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
        b"",
        b"HTTP/1.1 200",
    ],
)
async def test_an_answer_that_is_no_http_is_not_passed_on(lab: Lab, answer: bytes) -> None:
    upstream = Upstream(answer=answer)
    port = await opened(lab, upstream)
    got = await lab.ask(port, get(upstream.port))
    assert got.startswith(b"HTTP/1.1 502 ")
    assert (await lab.told(Verdict.FAILED)).host == "api.example.com"


async def test_an_answer_that_breaks_off_is_seen_to(lab: Lab) -> None:
    upstream = Upstream(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")
    port = await opened(lab, upstream)
    got = await lab.ask(port, get(upstream.port))
    assert b"502" not in got
    assert (await lab.told(Verdict.FAILED)).bytes


async def test_an_answer_without_end_is_cut(lab: Lab) -> None:
    upstream = Upstream(answer=b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 300_000, close=False)
    port = await opened(lab, upstream, Limits(down_bytes=200_000))
    assert len(await lab.ask(port, get(upstream.port))) < 300_000
    assert "received more than" in (await lab.told(Verdict.DENIED)).reason


async def test_an_upstream_that_is_slow_for_ever_is_cut(lab: Lab) -> None:
    upstream = Upstream(answer=b"", close=False)
    port = await opened(lab, upstream, Limits(idle=0.3))
    assert (await lab.ask(port, get(upstream.port))).startswith(b"HTTP/1.1 504 Handrail: the connection was silent")


async def test_an_upstream_that_does_not_want_the_body_is_heard(lab: Lab) -> None:
    upstream = Upstream(answer=b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    port = await opened(lab, upstream)
    async with lab.client(port) as client:
        await client.say(get(upstream.port, "Content-Length: 9999999", method="POST") + b"x" * 1000)
        assert (await client.head()).startswith(b"HTTP/1.1 413")


async def test_a_redirect_is_followed_through_the_rules_again(lab: Lab) -> None:
    upstream = Upstream()
    await lab.upstream(upstream)
    upstream.answer = (
        f"HTTP/1.1 302 Found\r\nLocation: http://denied.example.org:{upstream.port}/\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    port = await lab.serve(parse([f"api.example.com:{upstream.port}"]))
    assert b"denied.example.org" in await lab.ask(port, get(upstream.port))
    assert (await lab.ask(port, get(upstream.port, host="denied.example.org"))).startswith(b"HTTP/1.1 403 ")
    assert lab.asked == [f"api.example.com:{upstream.port}"]


async def test_a_broker_puts_the_secret_in_and_takes_it_out(lab: Lab) -> None:
    upstream = Upstream(
        answer=(
            f"HTTP/1.1 401 Bad {SECRET}\r\nX-Echo: {SECRET}\r\nContent-Length: {len(SECRET) + 13}\r\n\r\n"
            f"Bearer {SECRET} wrong"
        ).encode()
    )
    await lab.upstream(upstream, server_tls(lab.folder / "tls" / "both.pem"))
    broker = Broker(
        "search",
        f"https://api.example.com:{upstream.port}/v1",
        "Authorization",
        SECRET,
        "Bearer",
        (Permit("GET", "/items"),),
    )
    port = await lab.serve(parse([], [broker]))
    request = (
        b"GET http://search.broker.internal/items HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer placeholder\r\n\r\n"
    )
    answer = await lab.ask(port, request)
    assert upstream.received[0].startswith(b"GET /v1/items HTTP/1.1\r\nHost: api.example.com:")
    assert f"Authorization: Bearer {SECRET}\r\n".encode() in upstream.received[0]
    assert b"placeholder" not in upstream.received[0]
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert SECRET.encode() not in answer
    assert answer.endswith(b"Bearer " + b"*" * len(SECRET) + b" wrong")
    assert lab.decisions[0].reason == "allowed by broker search"
    assert SECRET not in repr(lab.decisions)
    refused = await lab.ask(port, request.replace(b"/items", b"/admin"))
    assert refused.startswith(b"HTTP/1.1 403 Handrail: search.broker.internal does not let GET /admin through.\r\n")
    assert len(upstream.received) == 1


async def test_a_broker_that_compresses_all_the_same_is_not_passed_on(lab: Lab) -> None:
    upstream = Upstream(answer=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")
    await lab.upstream(upstream)
    port = await lab.serve(parse([], [Broker("s", f"http://api.example.com:{upstream.port}", "X-Key", SECRET)]))
    assert (await lab.ask(port, b"GET http://s.broker.internal/ HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(
        b"HTTP/1.1 502 "
    )


async def test_a_brokers_upstream_must_prove_who_it_is(lab: Lab) -> None:
    upstream = Upstream()
    await lab.upstream(upstream, server_tls(lab.folder / "tls" / "both.pem"))
    lab.names["wrong.example.com"] = ["127.0.0.1"]
    port = await lab.serve(parse([], [Broker("s", f"https://wrong.example.com:{upstream.port}", "X-Key", SECRET)]))
    answer = await lab.ask(port, b"GET http://s.broker.internal/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert upstream.received in ([], [b""])
