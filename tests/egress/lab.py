"""A small internet on loopback: names that a resolver of ours knows, upstreams that write down what reached them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from handrail.egress import Decision, Rules, Verdict
from handrail.egress.addresses import Guard
from handrail.egress.proxy import Egress

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


@dataclass
class Upstream:
    """A server on loopback: sends `answer` to each connection once `after` has come, and keeps what came."""

    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    after: bytes = b"\r\n\r\n"
    close: bool = True
    received: list[bytes] = field(default_factory=list)
    port: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at = len(self.received)
        self.received.append(b"")
        answered = False
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                self.received[at] += data
                if not answered and self.after in self.received[at]:
                    answered = True
                    writer.write(self.answer)
                    await writer.drain()
                    if self.close:
                        break
        writer.close()


@dataclass
class Client:
    """One connection to the proxy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self, seconds: float = 10) -> bytes:
        async with asyncio.timeout(seconds):
            got = b""
            with contextlib.suppress(ConnectionResetError):
                while data := await self.reader.read(1 << 16):
                    got += data
            return got

    async def head(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readuntil(b"\r\n\r\n")


@dataclass
class Lab:
    """Proxy, names and decisions."""

    egress: Egress
    names: dict[str, list[str]]
    asked: list[str]
    folder: Path
    decisions: list[Decision] = field(default_factory=list)
    closing: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def upstream(self, upstream: Upstream | None = None, tls: ssl.SSLContext | None = None) -> Upstream:
        upstream = upstream or Upstream()
        server = await asyncio.start_server(upstream.handle, "127.0.0.1", 0, ssl=tls)
        upstream.port = int(server.sockets[0].getsockname()[1])
        self.closing.callback(server.close)
        return upstream

    async def serve(self, rules: Rules) -> int:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen(200)
        self.closing.push_async_callback(await self.egress.serve(sock, rules, self.decisions.append))
        return int(sock.getsockname()[1])

    @contextlib.asynccontextmanager
    async def client(self, port: int) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def ask(self, port: int, data: bytes, seconds: float = 10) -> bytes:
        async with self.client(port) as client:
            await client.say(data)
            return await client.rest(seconds)

    async def told(self, verdict: Verdict) -> Decision:
        """The first decision of this kind."""
        async with asyncio.timeout(5):
            while not (found := [one for one in self.decisions if one.verdict is verdict]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return found[0]

    def verdicts(self) -> list[Verdict]:
        return [decision.verdict for decision in self.decisions]


def certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """A self-signed certificate for `names`: (certificate, certificate with key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder.mkdir(exist_ok=True)
    (folder / "cert.pem").write_bytes(text)
    (folder / "both.pem").write_bytes(private + text)
    return folder / "cert.pem", folder / "both.pem"


def server_tls(both: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context


def guard() -> Guard:
    """One that lets the lab's own upstreams be reached."""
    return Guard((LOOPBACK,))


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def sni(name: bytes) -> bytes:
    entry = b"\0" + len(name).to_bytes(2, "big") + name
    return extension(0, len(entry).to_bytes(2, "big") + entry)


GREASE = extension(0x0A0A, b"") + extension(0x1A1A, b"\0")


def hello(*extensions: bytes, body: bytes | None = None) -> bytes:
    """A ClientHello message."""
    if body is None:
        joined = b"".join(extensions)
        body = b"\x03\x03" + bytes(32) + b"\x20" + bytes(32) + b"\0\x04\x0a\x0a\x13\x01" + b"\x01\0"
        body += len(joined).to_bytes(2, "big") + joined
    return b"\x01" + len(body).to_bytes(3, "big") + body


def record(data: bytes, kind: int = 22) -> bytes:
    return bytes([kind, 3, 1]) + len(data).to_bytes(2, "big") + data
