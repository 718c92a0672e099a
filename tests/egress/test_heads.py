from __future__ import annotations

import asyncio

import pytest

from handrail.egress import HostPort, Refused
from handrail.egress.heads import absolute, end_to_end, parse, read

START = b"GET http://a.example/ HTTP/1.1\r\n"


def head(*lines: bytes, start: bytes = START) -> bytes:
    return start + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def test_a_plain_head_is_taken() -> None:
    taken = parse(head(b"Host: a.example", b"X-A:  b \t", b"Content-Length: 5", b"Empty:"))
    assert (taken.method, taken.target, taken.version) == ("GET", "http://a.example/", "1")
    assert taken.values("x-a") == ["b"]
    assert taken.values("empty") == [""]
    assert taken.values("missing") == []


@pytest.mark.parametrize(
    "raw",
    [
        head(start=b"GET  http://a.example/ HTTP/1.1\r\n"),
        head(start=b"GET http://a.example/\r\n"),
        head(start=b"GET http://a.example/ HTTP/2.0\r\n"),
        head(start=b"GET http://a.example/ HTTP/1.2\r\n"),
        head(start=b"GET http://a.example/ HTTP/1.1 \r\n"),
        head(start=b" GET http://a.example/ HTTP/1.1\r\n"),
        head(start=b"\r\nGET http://a.example/ HTTP/1.1\r\n"),
        head(start=b"get http://a.example/ HTTP/1.1\r\n"),
        head(start=b"GET http://a.example/\x00 HTTP/1.1\r\n"),
        head(start=b"GET http://a.example/\xc3\xbc HTTP/1.1\r\n"),
        head(start=b"GET http://a.example/\tb HTTP/1.1\r\n"),
        head(start=b"PRI * HTTP/2.0\r\n"),
        b"\x16\x03\x01\x00\xff\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_another_first_line_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused, match=r"not an HTTP/1\.1 request"):
        parse(raw)


@pytest.mark.parametrize(
    "line",
    [
        *(b" folded", b"\tfolded", b"Name : value", b"Name", b": value", b"Na me: v", b"N\x00: v", b"N: a\x00b"),
        *(b"N: a\nb: c", b"N: a\rb: c", b"N: a\x0bb", b"N: a\x7f", b"N\xfc: v", b"(N): v"),
    ],
)
def test_a_line_that_is_no_plain_field_is_refused(line: bytes) -> None:
    with pytest.raises(Refused, match="no plain field"):
        parse(head(b"Host: a.example", line))


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"content-length: 6"),
        (b"Content-Length: 5, 5",),
        (b"Content-Length: +5",),
        (b"Content-Length: -5",),
        (b"Content-Length: 0x5",),
        (b"Content-Length: 5 5",),
        (b"Content-Length: " + b"9" * 30,),
        (b"Content-Length:",),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: chunked;x",),
        (b"Host: a.example", b"Host: b.example"),
    ],
)
def test_ambiguous_framing_is_refused(lines: tuple[bytes, ...]) -> None:
    with pytest.raises(Refused) as refused:
        parse(head(*lines))
    assert refused.value.status == 400


def test_http_1_0_has_no_chunks() -> None:
    with pytest.raises(Refused):
        parse(head(b"Transfer-Encoding: chunked", start=b"GET http://a.example/ HTTP/1.0\r\n"))


def test_connect_has_no_body() -> None:
    for line in (b"Content-Length: 5", b"Transfer-Encoding: chunked"):
        with pytest.raises(Refused):
            parse(head(line, start=b"CONNECT a.example:443 HTTP/1.1\r\n"))
    assert parse(head(b"Content-Length: 0", start=b"CONNECT a.example:443 HTTP/1.1\r\n")).method == "CONNECT"


@pytest.mark.parametrize(
    ("target", "place", "path"),
    [
        ("http://a.example/x?y=z", HostPort("a.example", 80), "/x?y=z"),
        ("http://A.Example.", HostPort("a.example", 80), "/"),
        ("HTTP://a.example:8080?q", HostPort("a.example", 8080), "/?q"),
        ("http://[2001:db8::1]:81/", HostPort("2001:db8::1", 81), "/"),
    ],
)
def test_a_url_is_taken_apart(target: str, place: HostPort, path: str) -> None:
    assert absolute(parse(f"GET {target} HTTP/1.1\r\n\r\n".encode())) == (place, path)


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/",
            "*",
            "a.example:80",
            "https://a.example/",
            "ftp://a.example/",
            "http:a.example/",
            "http:///x",
            "//a.example/",
        ),
        *("http://u:p@a.example/", "http://a.example@b.example/", "http://a.example#x", "http://a.example/#x"),
        *(
            "http://a.example:80:80/",
            "http://a.example:/",
            "http://a%2eexample/",
            "http://a.example\\@b/",
            "file:///etc",
        ),
        *("http://[::1/", "http://127.1/", "http://0x7f.0.0.1/", "http://a.example;b/", "unix:/var/run/docker.sock"),
    ],
)
def test_another_target_is_refused(target: str) -> None:
    with pytest.raises(Refused):
        absolute(parse(f"GET {target} HTTP/1.1\r\n\r\n".encode()))


def test_fields_of_one_connection_stay_there() -> None:
    fields = [
        *(
            (b"Host", b"a"),
            (b"Connection", b"close, X-Mine, Authorization"),
            (b"x-mine", b"1"),
            (b"Authorization", b"k"),
        ),
        *((b"Proxy-Authorization", b"p"), (b"Upgrade", b"h2c"), (b"TE", b"trailers"), (b"Keep-Alive", b"5")),
        *(
            (b"Transfer-Encoding", b"chunked"),
            (b"Expect", b"100-continue"),
            (b"Accept", b"*/*"),
            (b"HTTP2-Settings", b"x"),
        ),
    ]
    assert end_to_end(fields) == [(b"Authorization", b"k"), (b"Accept", b"*/*")]


def reader(data: bytes, *, end: bool = False, limit: int = 1000) -> asyncio.StreamReader:
    made = asyncio.StreamReader(limit=limit)
    made.feed_data(data)
    if end:
        made.feed_eof()
    return made


async def test_what_follows_a_head_stays_in_the_stream() -> None:
    given = reader(head(b"Host: a.example") + b"body")
    taken = await read(given, 1)
    assert taken is not None
    assert await given.read(4) == b"body"


async def test_a_client_without_a_word_is_no_attempt() -> None:
    assert await read(reader(b"", end=True), 1) is None


@pytest.mark.parametrize(
    ("data", "end", "status"),
    [
        (b"GET http://a", True, 400),
        (b"GET http://a", False, 408),
        (b"GET " + b"x" * 2000, False, 431),
        (START * 50, False, 431),
    ],
)
async def test_a_head_that_never_ends_is_refused(data: bytes, end: bool, status: int) -> None:
    with pytest.raises(Refused) as refused:
        await read(reader(data, end=end), 0.1)
    assert refused.value.status == status
