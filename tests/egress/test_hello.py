from __future__ import annotations

import random
import ssl

import pytest

from handrail.egress.hello import HANDSHAKE, Gate, NotTls, record_length, server_name
from tests.egress.lab import GREASE, extension, hello, record, sni

NAME = "api.example.com"
HELLO = hello(GREASE, sni(b"api.example.com"), extension(43, b"\x02\x03\x04"))
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def server_hello(random_: bytes) -> bytes:
    body = b"\x03\x03" + random_ + b"\x20" + bytes(32) + b"\x13\x01\0" + b"\0\0"
    return record(b"\x02" + len(body).to_bytes(3, "big") + body)


def real_hello(name: str | None) -> bytes:
    """What Python's own TLS client sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def test_the_name_of_a_real_client_is_read() -> None:
    assert server_name(real_hello("API.Example.com")[5:]) == NAME
    assert server_name(real_hello(None)[5:]) is None


def test_unknown_extensions_are_passed_over() -> None:
    assert server_name(HELLO) == NAME


def test_a_hello_without_extensions_names_nobody() -> None:
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    assert server_name(hello(body=body)) is None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        HELLO[:-1],
        HELLO + b"x",
        b"\x02" + HELLO[1:],
        hello(sni(b"a.example"), sni(b"b.example")),
        hello(extension(0, b"")),
        hello(extension(0, b"\0\0")),
        hello(extension(0, b"\0\x03\0\0\0")),
        hello(extension(0, sni(b"a.example")[4:] + b"x")),
        hello(extension(0, b"\0\x0c\0\0\x03abc\0\0\x03def")),
        hello(extension(0, b"\0\x06\x01\0\x03abc")),
        hello(sni("bücher".encode())),
        hello(body=b"\x03\x03" + bytes(20)),
        hello(body=HELLO[4:] + b"\0\0"),
    ],
)
def test_a_broken_hello_is_refused(message: bytes) -> None:
    with pytest.raises(NotTls):
        server_name(message)


def test_random_bytes_never_name_a_server() -> None:
    dice = random.Random(7)  # noqa: S311
    for _ in range(3000):
        spoiled = bytearray(HELLO)
        for _ in range(dice.randrange(1, 6)):
            spoiled[dice.randrange(len(spoiled))] = dice.randrange(256)
        for message in (bytes(spoiled), dice.randbytes(dice.randrange(120))):
            try:
                name = server_name(message)
            except NotTls:
                continue
            assert name is None or name.isascii()


@pytest.mark.parametrize(
    "head",
    [b"GET /", b"SSH-2", b"\x16\x02\x01\0\x05", b"\x16\x03\x01\0\0", b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01\x03\x01"],
)
def test_what_is_no_record_is_refused(head: bytes) -> None:
    with pytest.raises(NotTls):
        record_length(head)


def test_a_whole_hello_passes_at_once() -> None:
    gate = Gate(NAME, 1 << 16)
    assert gate.client(record(HELLO)) == record(HELLO)
    assert gate.begun
    assert not gate.open


def test_a_hello_in_pieces_passes_when_it_is_whole() -> None:
    gate = Gate(NAME, 1 << 16)
    pieces = [record(HELLO[at : at + 3]) for at in range(0, len(HELLO), 3)]
    assert [gate.client(piece) for piece in pieces[:-1]] == [b""] * (len(pieces) - 1)
    assert not gate.begun
    assert gate.client(pieces[-1]) == b"".join(pieces)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (record(hello(sni(b"evil.example.org"))), "asks for evil.example.org"),
        (record(hello(GREASE)), "names no server"),
        (record(HELLO, kind=23), "ClientHello"),
        (record(HELLO, kind=20), "ClientHello"),
        (record(b"\x10" + HELLO[1:]), "ClientHello"),
        (record(b"\x01\xff\xff\xff"), "longer than"),
        (record(HELLO + HELLO), "broken"),
    ],
)
def test_a_hello_for_somebody_else_is_cut(given: bytes, why: str) -> None:
    with pytest.raises(NotTls, match=why):
        Gate(NAME, 1 << 16).client(given)


def test_a_hello_that_does_not_end_is_cut() -> None:
    gate = Gate(NAME, 2000)
    huge = b"\x01\0\x0f\x00" + bytes(2000)
    assert gate.client(record(huge[:3])) == b""
    with pytest.raises(NotTls, match="longer than"):
        gate.client(record(huge[3:100]))


def test_for_an_address_no_name_may_be_asked() -> None:
    assert Gate(None, 1 << 16).client(record(hello(GREASE)))
    with pytest.raises(NotTls, match="the address alone"):
        Gate(None, 1 << 16).client(record(HELLO))


def test_everything_passes_once_the_server_has_answered() -> None:
    gate = Gate(NAME, 1 << 16)
    gate.client(record(HELLO))
    answer = server_hello(bytes(32))
    for at in range(len(answer)):
        gate.server(answer[at : at + 1])
    assert gate.open
    assert gate.client(b"anything") == b"anything"


def test_an_alert_opens_the_gate() -> None:
    gate = Gate(NAME, 1 << 16)
    gate.client(record(HELLO))
    gate.server(record(b"\x02\x28", kind=21))
    assert gate.open


@pytest.mark.parametrize("early", [False, True], ids=["when asked", "before it is asked"])
def test_a_second_hello_for_somebody_else_is_cut(early: bool) -> None:
    gate = Gate(NAME, 1 << 16)
    gate.client(record(HELLO))
    if not early:
        gate.server(server_hello(RETRY))
        assert gate.client(record(b"\x01", kind=20)) == record(b"\x01", kind=20)
    assert not gate.open
    with pytest.raises(NotTls, match="evil"):
        gate.client(record(hello(sni(b"evil.example.org"))))


def test_a_second_hello_for_the_same_opens_the_gate() -> None:
    gate = Gate(NAME, 1 << 16)
    gate.client(record(HELLO))
    gate.server(server_hello(RETRY))
    half = len(HELLO) // 2
    assert gate.client(record(HELLO[:half])) == b""
    with pytest.raises(NotTls):  # nothing may stand between the pieces
        Gate.client(gate, record(b"x", kind=23))
    assert gate.client(record(HELLO[half:]))
    assert gate.open


def test_early_data_passes_without_opening() -> None:
    gate = Gate(NAME, 1 << 16)
    gate.client(record(HELLO))
    assert gate.client(record(b"early", kind=23)) == record(b"early", kind=23)
    assert not gate.open
    assert HANDSHAKE == 22
