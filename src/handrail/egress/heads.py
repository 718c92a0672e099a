"""The head of a request as bytes: read once, strictly, before any parser could be lenient about it.

RFC 9112 lets a recipient repair a lot (bare LF, folded lines, two equal lengths). Each repair is a chance that the next
server reads the message otherwise, so nothing is repaired here. h11 parses what has passed.
"""

from __future__ import annotations

import asyncio
import re

from msgspec import Struct

from handrail.egress import HostPort, Refused, names

END = b"\r\n\r\n"
_LINE = re.compile(rb"([A-Z][A-Z-]{0,19}) ([\x21-\x7e]{1,8192}) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
_SCHEME = re.compile(r"(?i)([a-z][a-z0-9+.-]*)://([^/?#]*)([^#]*)")
_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"),
        *("te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "expect", "proxy-authentication-info"),
    }
)
"""fields that concern one connection (RFC 9110 section 7.6.1), and what is answered here"""
_KEPT = frozenset({"content-length", "content-type", "authorization", "cookie", "date", "content-encoding"})
"""fields that `Connection` cannot take away"""

Field = tuple[bytes, bytes]


class Head(Struct, frozen=True):
    """A request's first line and fields; `raw` is what was read, to its empty line."""

    method: str
    target: str
    version: str
    fields: tuple[Field, ...]
    raw: bytes

    def values(self, name: str) -> list[str]:
        """Every value of a field, given in lower case, in order."""
        wanted = name.encode()
        return [value.decode("latin-1") for field, value in self.fields if field == wanted]


async def read(reader: asyncio.StreamReader, seconds: float) -> Head | None:
    """Read one head; None where the client left without a byte.

    Args:
        reader: whose limit is the longest head.
        seconds: until it must be whole.

    Raises:
        Refused: it is late, too long, or no head that can be taken.
    """
    try:
        async with asyncio.timeout(seconds):
            raw = await reader.readuntil(END)
    except TimeoutError:
        raise Refused(f"no whole HTTP request came within {seconds:.0f} s", 408) from None
    except asyncio.LimitOverrunError:
        raise Refused("the request's head is too long", 431) from None
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Refused("the request broke off before its head was whole", 400) from None
        return None
    return parse(raw)


def parse(raw: bytes) -> Head:
    """Take a head apart.

    Raises:
        Refused: it is not plain HTTP/1.1, or its framing could be read in two ways.
    """
    first, *lines = raw.removesuffix(END).split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise Refused("this is not an HTTP/1.1 request that the proxy understands", 400)
    fields = []
    for text in lines:
        found = _FIELD.fullmatch(text)
        if found is None:
            raise Refused("the request's head holds a line that is no plain field", 400)
        fields.append((found[1].lower(), found[2].rstrip(b" \t")))
    head = Head(line[1].decode(), line[2].decode(), line[3].decode(), tuple(fields), raw)
    _check_framing(head)
    return head


def _check_framing(head: Head) -> None:
    lengths, codings = head.values("content-length"), head.values("transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Refused("the request gives its length in more than one way", 400)
    if lengths and not re.fullmatch("[0-9]{1,18}", lengths[0]):
        raise Refused("the request's content-length is no plain number", 400)
    if codings and (codings[0].lower() != "chunked" or head.version == "0"):
        raise Refused("the request's transfer-encoding is not plain chunked", 400)
    if len(head.values("host")) > 1:
        raise Refused("the request names several hosts", 400)
    if head.method == "CONNECT" and (codings or lengths not in ([], ["0"])):
        raise Refused("a CONNECT request has no body", 400)


def absolute(head: Head) -> tuple[HostPort, str]:
    """The place and the path of an absolute-form request (RFC 9112 section 3.2.2).

    Raises:
        Refused: the target is of another form or scheme.
    """
    found = _SCHEME.fullmatch(head.target)
    if found is None:
        raise Refused("a request to the proxy names its whole URL, as http://host/path", 400)
    scheme, place, path = found[1].lower(), found[2], found[3]
    if scheme == "https":
        raise Refused("an https URL goes through the proxy by CONNECT", 400, names.shown(place))
    if scheme != "http":
        raise Refused(f"{names.shown(scheme)} is no scheme of the proxy: it speaks http, and CONNECT for TLS", 400)
    return names.authority(place, 80), path if path.startswith("/") else f"/{path}"


def end_to_end(fields: list[Field]) -> list[Field]:
    """The fields that go on to the other side: without those of this connection alone, and without `host`."""
    named = {
        token.strip().lower()
        for field, value in fields
        if field.lower() == b"connection"
        for token in value.decode("latin-1").split(",")
    }
    dropped = _HOP | {"host"} | (named - _KEPT)
    return [(field, value) for field, value in fields if field.lower().decode("latin-1") not in dropped]
