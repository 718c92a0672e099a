from __future__ import annotations

import asyncio
import gc
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from handrail.gateway.upstream import Answer, BrokenError, Origin, Pool, Timeouts
from tests.gateway.conftest import listening

ASK = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


@dataclass
class Far:
    """A provider that answers each request with the next of `answers`, whole; `END` closes the connection after it."""

    answers: list[bytes]
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                answer = self.answers.pop(0) if self.answers else b""
                writer.write(answer.removesuffix(END))
                await writer.drain()
                if answer.endswith(END):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        writer.close()


END = b"<end>"


@asynccontextmanager
async def far(*answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Far, Pool, Origin]]:
    """A provider, a pool and where the one finds the other."""
    there = Far(list(answers))
    server = await asyncio.start_server(there.serve, "127.0.0.1", 0, ssl=tls)
    there.port = server.sockets[0].getsockname()[1]
    pool = Pool(Timeouts(connect=2, idle=0.5, write=0.5))
    try:
        yield there, pool, Origin("127.0.0.1", there.port, tls=tls is not None)
    finally:
        await pool.close()
        server.close()
        for writer in there.writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)


async def whole(answer: Answer) -> bytes:
    body = b""
    while data := await answer.read():
        body += data
    answer.drop()
    return body


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (WHOLE, b"hi"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n1\r\n!\r\n0\r\nt: v\r\n\r\n", b"hi!"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + WHOLE, b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    ],
    ids=["sized", "chunked", "interim", "without a body", "empty"],
)
async def test_an_answer_is_read_and_its_connection_serves_again(raw: bytes, body: bytes) -> None:
    async with far(raw, raw, WHOLE) as (there, pool, origin):
        for _ in range(2):
            answer = await pool.request(origin, ASK)
            assert answer.status == int(raw.split()[1]) if b"100" not in raw else answer.status == 200
            assert {name for name, _ in answer.headers} <= {b"content-length", b"transfer-encoding"}
            assert await whole(answer) == body
        assert await whole(await pool.request(origin, ASK)) == b"hi"
        assert there.connections == 1


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nto the end" + END, b"to the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold" + END, b"old"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi", b"hi"),
        (WHOLE + END, b"hi"),
        (WHOLE + WHOLE, b"hi"),
        (WHOLE + b"noise", b"hi"),
    ],
    ids=["unsized", "HTTP/1.0", "said", "unsaid", "two answers", "noise"],
)
async def test_a_connection_that_cannot_serve_again_does_not(raw: bytes, body: bytes) -> None:
    async with far(raw, WHOLE) as (there, pool, origin):
        assert await whole(await pool.request(origin, ASK)) == body
        await asyncio.sleep(0.05)
        assert await whole(await pool.request(origin, ASK)) == b"hi"
        assert there.connections == 2


async def test_what_nobody_asked_for_ends_an_unused_connection() -> None:
    async with far(WHOLE, WHOLE) as (there, pool, origin):
        await whole(await pool.request(origin, ASK))
        there.writers[0].write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        await there.writers[0].drain()
        await there.left.wait()
        assert await whole(await pool.request(origin, ASK)) == b"hi"
        assert there.connections == 2


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (END, "RemoteProtocolError"),
        (b"this is not HTTP\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * (2 << 20), "RemoteProtocolError"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "ReadTimeout"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "ReadTimeout"),
    ],
    ids=["nothing", "garbage", "endless head", "upgrade", "half a head", "no answer"],
)
async def test_a_head_that_never_comes_is_said(raw: bytes, word: str) -> None:
    async with far(raw) as (_, pool, origin):
        with pytest.raises(BrokenError) as caught:
            await pool.request(origin, ASK)
        assert (caught.value.word, caught.value.sent) == (word, True)


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi" + END, "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n" + END, "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi", "ReadTimeout"),
    ],
    ids=["too short", "cut", "no chunk", "silent"],
)
async def test_a_body_that_breaks_off_gives_what_came_and_is_said(raw: bytes, word: str) -> None:
    async with far(raw) as (_, pool, origin):
        answer = await pool.request(origin, ASK)
        assert await answer.read() == b"hi"
        with pytest.raises(BrokenError, match=word):
            await answer.read()
        answer.drop()


async def test_a_slow_reader_holds_the_provider_back_and_loses_nothing() -> None:
    body = bytes(range(256)) * (32 << 10)  # 8 MB
    async with far(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body, WHOLE) as (there, pool, origin):
        answer = await pool.request(origin, ASK)
        await asyncio.sleep(0.7)  # longer than a provider may be silent: it is the reader who is slow
        first = await answer.read()
        assert len(first) < 3 << 20
        assert first + await whole(answer) == body
        assert await whole(await pool.request(origin, ASK)) == b"hi"
        assert there.connections == 1


async def test_an_answer_that_is_dropped_or_cancelled_is_cut() -> None:
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi"
    async with far(half) as (there, pool, origin):
        answer = await pool.request(origin, ASK)
        answer.drop()
        answer.drop()
        await asyncio.wait_for(there.left.wait(), 2)
        assert await answer.read() == b""
    async with far(b"") as (there, pool, origin):
        asking = asyncio.create_task(pool.request(origin, ASK))
        async with asyncio.timeout(10):
            while there.connections == 0:  # noqa: ASYNC110  # the far side tells nobody
                await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait_for(there.left.wait(), 2)


async def test_a_provider_that_does_not_read_is_not_waited_for_forever() -> None:
    sock = listening()  # nobody accepts, so the kernel takes a little and no more
    pool = Pool(Timeouts(connect=2, idle=5, write=0.3))
    with pytest.raises(BrokenError, match="WriteTimeout"):
        await pool.request(Origin("127.0.0.1", sock.getsockname()[1], tls=False), b"x" * (32 << 20))
    await pool.close()
    sock.close()


async def test_many_requests_at_once_have_a_connection_each_and_share_them_later() -> None:
    async with far(*[WHOLE] * 40) as (there, pool, origin):
        for _ in range(2):
            answers = await asyncio.gather(*(pool.request(origin, ASK) for _ in range(20)))
            assert [await whole(answer) for answer in answers] == [b"hi"] * 20
        assert there.connections == 20


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
async def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, made = tmp_path / "key.pem", tmp_path / "cert.pem"
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *name]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)  # noqa: ASYNC221
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    async with far(WHOLE, tls=context) as (there, pool, origin):
        with pytest.raises(BrokenError) as caught:
            await pool.request(origin, ASK)
        assert (caught.value.word, caught.value.sent) == ("ConnectError", False)
        assert there.answers == [WHOLE]
        monkeypatch.setenv("SSL_CERT_FILE", str(made))  # a company's own authority
        trusting = Pool(Timeouts(connect=2, idle=2, write=2))
        assert await whole(await trusting.request(origin, ASK)) == b"hi"
        await trusting.close()


async def test_who_gives_up_while_it_is_connected_leaves_no_socket() -> None:
    """At each turn of the loop; a socket that nobody closes is told by pytest when it is collected."""
    async with far() as (_, pool, origin):
        await pool.open()
        for turns in range(30):
            asking = asyncio.create_task(pool.request(origin, ASK))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        gc.collect()
