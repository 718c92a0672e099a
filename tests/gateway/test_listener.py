from __future__ import annotations

import asyncio
import json

import pytest

from tests.fake_provider import prompt
from tests.fake_provider.forms import FORMATS
from tests.gateway.conftest import Lab


async def talk(lab: Lab, data: bytes) -> bytes:
    """What comes back for raw bytes, until the gateway closes or says no more for half a second."""
    host, port = lab.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    received = b""
    try:
        async with asyncio.timeout(0.5):
            while piece := await reader.read(65536):
                received += piece
    except (TimeoutError, ConnectionResetError):
        pass  # a reset follows an answer that did not wait for the rest of the request
    writer.close()
    return received


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET\r\n\r\n",
        b"nonsense\r\n" * 50,
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_garbage_is_refused_and_harms_nobody(lab: Lab, garbage: bytes) -> None:
    answer = await talk(lab, garbage)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
    assert (await lab.ask(FORMATS["chat"], "hi")).status_code == 200
    assert len(lab.fake.calls) == 1


async def test_a_head_without_end_is_refused(lab: Lab) -> None:
    answer = await talk(lab, b"GET / HTTP/1.1\r\n" + b"x-filler: " + b"y" * (1 << 20))
    assert answer.startswith(b"HTTP/1.1 431 ") or not answer
    assert (await lab.ask(FORMATS["chat"], "hi")).status_code == 200


async def test_a_body_of_ten_megabytes_passes(lab: Lab) -> None:
    form = FORMATS["anthropic"]
    response = await lab.ask(form, "x" * (10 << 20))
    assert response.status_code == 200
    assert len(lab.fake.calls[0].raw) > 10 << 20


async def test_a_body_over_the_limit_is_refused_without_being_kept(lab: Lab) -> None:
    head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (80 << 20)
    host, port = lab.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))

    async def pour() -> None:
        writer.write(head)
        for _ in range(80):
            writer.write(bytes(1 << 20))
            await writer.drain()

    with pytest.raises(ConnectionError):
        await pour()
    writer.close()
    assert lab.fake.calls == []


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"model": 5}'])
async def test_bodies_that_are_no_request(lab: Lab, body: bytes) -> None:
    form = FORMATS["anthropic"]
    response = await lab.client.post(lab.url + form.path, content=body, headers=form.headers(lab.token))
    if body.startswith(b'{"model"'):
        assert response.status_code == 200  # the provider decides what it takes
    else:
        assert response.status_code == 400
        assert response.json()["error"]["message"].startswith("Handrail: the body is not ")
        assert lab.fake.calls == []


async def test_encoded_bodies_are_refused_because_they_cannot_be_counted(lab: Lab) -> None:
    form = FORMATS["responses"]
    headers = {**form.headers(lab.token), "content-encoding": "zstd"}
    response = await lab.client.post(lab.url + form.path, content=b"\x28\xb5", headers=headers)
    assert response.status_code == 400
    assert "without content-encoding" in response.json()["error"]["message"]


def raw_request(lab: Lab, version: str = "1.1", extra: str = "", script: str = "hi") -> bytes:
    body = FORMATS["chat"].body(script, stream=True)
    head = f"POST /v1/chat/completions HTTP/{version}\r\nhost: x\r\nauthorization: Bearer {lab.token}\r\n{extra}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def test_pipelined_requests_are_answered_once_and_then_closed(lab: Lab) -> None:
    answer = await talk(lab, raw_request(lab) * 3)
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert answer.endswith(b"0\r\n\r\n")
    assert len(lab.fake.calls) == 1


async def test_a_request_on_the_heels_of_an_answer_is_served(lab: Lab) -> None:
    host, port = lab.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(30):
        writer.write(raw_request(lab))
        assert (await reader.readuntil(b"\r\n0\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
    writer.close()
    assert len(await lab.told(30)) == 30


async def test_old_http_gets_its_stream_until_the_close(lab: Lab) -> None:
    answer = await talk(lab, raw_request(lab, "1.0"))
    assert b"transfer-encoding" not in answer.partition(b"\r\n\r\n")[0]
    assert answer.endswith(b"data: [DONE]\n\n")


async def test_expect_continue_and_connection_close(lab: Lab) -> None:
    answer = await talk(lab, raw_request(lab, extra="expect: 100-continue\r\nconnection: close\r\n"))
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer


async def test_a_request_in_single_bytes(lab: Lab) -> None:
    host, port = lab.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for byte in raw_request(lab):
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    writer.close()


async def test_a_slow_reader_does_not_lose_anything(lab: Lab) -> None:
    form = FORMATS["anthropic"]
    text = "0123456789" * 400_000
    body = form.body(prompt([{"text": text, "chunks": 400}]), stream=True)
    url = lab.url + form.path
    received = b""
    async with lab.client.stream("POST", url, content=body, headers=form.headers(lab.token)) as answer:
        await asyncio.sleep(0.3)
        async for piece in answer.aiter_raw():
            received += piece
    lines = [line[6:] for line in received.decode().splitlines() if line.startswith("data: ")]
    deltas = [json.loads(line).get("delta", {}).get("text", "") for line in lines]
    assert "".join(deltas) == text
