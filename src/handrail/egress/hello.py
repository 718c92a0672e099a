"""The first message of TLS: which server a client really asks for, and a gate that lets no second answer by.

A name in `CONNECT` says nothing if the TLS inside asks the same address for another name. So the ClientHello is read
before it is passed on (RFC 8446 section 4.1.2, RFC 6066 section 3). A server may ask for a second one
(HelloRetryRequest), which could name another: it is read as well.
"""

from __future__ import annotations

from collections.abc import Iterator

HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_HEADER = 5
"""bytes of a record's head"""
_LARGEST = (1 << 14) + 256
"""bytes of a record's body (RFC 5246 section 6.2.3 with what RFC 8446 takes off)"""
# SHA-256 of "HelloRetryRequest" (RFC 8446 section 4.1.3)
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_RETRY_AT = _HEADER + 4 + 2
_RETRY_END = _RETRY_AT + len(_RETRY)


class NotTls(Exception):
    """These bytes are no TLS client, or none that can be judged; the message is the end of a sentence."""


class _Cut(NotTls):
    def __init__(self) -> None:
        super().__init__("its TLS ClientHello is broken")


class _Bytes:
    """Reads numbers and vectors as TLS writes them (RFC 8446 section 3)."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise _Cut
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))

    def empty(self) -> bool:
        return self._at == len(self._data)


def server_name(message: bytes) -> str | None:
    """The name that a ClientHello asks for, in lower case; None where it asks for none.

    Args:
        message: the whole handshake message, with its four bytes of head.

    Raises:
        NotTls: it is no ClientHello, broken, or names more than one.
    """
    outer = _Bytes(message)
    if outer.number(1) != _CLIENT_HELLO:
        raise NotTls("it does not begin with a TLS ClientHello")
    body = _Bytes(outer.vector(3))
    body.take(2 + 32)
    body.vector(1)
    body.vector(2)
    body.vector(1)
    if not outer.empty():
        raise _Cut
    if body.empty():
        return None
    extensions = list(_extensions(body.vector(2)))
    if not body.empty() or len({kind for kind, _ in extensions}) < len(extensions):
        raise _Cut
    given = next((data for kind, data in extensions if kind == _SERVER_NAME), None)
    return None if given is None else _name(given)


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    rest = _Bytes(data)
    while not rest.empty():
        kind = rest.number(2)
        yield kind, rest.vector(2)


def _name(data: bytes) -> str:
    outer = _Bytes(data)
    entries = _Bytes(outer.vector(2))
    kind, name = entries.number(1), entries.vector(2)
    if kind != 0 or not name or not entries.empty() or not outer.empty():
        raise _Cut
    try:
        return name.decode("ascii").lower()
    except UnicodeDecodeError:
        raise _Cut from None


def record_length(head: bytes) -> int:
    """The length of the body that follows a record's five bytes of head.

    Raises:
        NotTls: this is no record of TLS.
    """
    length = int.from_bytes(head[3:5], "big")
    if not 20 <= head[0] <= 24 or head[1] != 3 or head[2] > 4 or not 0 < length <= _LARGEST:
        raise NotTls("what it sends is not TLS")
    return length


class Gate:
    """Judges what a client sends until no ClientHello can come any more. Feed it whole records.

    Args:
        expected: the name that every ClientHello must ask for; None where it must ask for none (an address).
        limit: bytes of one ClientHello.
    """

    def __init__(self, expected: str | None, limit: int) -> None:
        self._expected = expected
        self._limit = limit
        self._held = b""
        self._message = b""
        self._answer = b""
        self._judged = 0
        self._retry = False
        self.open = False
        """whether bytes may pass unread"""

    @property
    def begun(self) -> bool:
        """Whether a first ClientHello was judged."""
        return self._judged > 0

    def client(self, record: bytes) -> bytes:
        """What may be passed on after one more record of the client; nothing while a ClientHello is not whole.

        Raises:
            NotTls: it asks for another name, for none, or is no TLS.
        """
        if self.open:
            return record
        if record[0] != HANDSHAKE:
            if not self._judged or self._message:
                raise NotTls("it does not begin with a TLS ClientHello")
            return record
        self._held += record
        self._message += record[_HEADER:]
        if self._message[0] != _CLIENT_HELLO:
            raise NotTls("it does not begin with a TLS ClientHello")
        whole = 4 + int.from_bytes(self._message[1:4], "big") if len(self._message) >= 4 else 4
        if max(whole, len(self._held)) > self._limit:
            raise NotTls(f"its TLS ClientHello is longer than {self._limit} bytes")
        if len(self._message) < max(whole, 4):
            return b""
        self._judge(server_name(self._message))
        passed, self._held, self._message = self._held, b"", b""
        self._judged += 1
        self.open = self._retry
        return passed

    def server(self, data: bytes) -> None:
        """Take what the server sends, as it comes, until its first answer tells whether a second hello follows."""
        if self.open or self._retry:
            return
        self._answer += data
        if len(self._answer) < _RETRY_END and self._answer[0] == HANDSHAKE:
            return
        self._retry = self._answer[_RETRY_AT:_RETRY_END] == _RETRY
        self.open = not self._retry

    def _judge(self, name: str | None) -> None:
        if name == self._expected:
            return
        if name is None:
            raise NotTls(f"its TLS names no server (SNI), and {self._expected} is what was asked for")
        safe = "".join(letter if letter.isalnum() or letter in ".-" else "?" for letter in name[:253])
        raise NotTls(f"its TLS asks for {safe} (SNI) and not for {self._expected or 'the address alone'}")
