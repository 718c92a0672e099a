"""Real far sides on loopback: an HTTP server that answers as told, and an SMTP server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Got:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Hook:
    """Answers with what stands in `answers`, then with 200."""

    url: str = ""
    answers: list[tuple[int, bytes] | None] = field(default_factory=list)
    """status and body; None is silence"""
    headers: bytes = b""
    ok: bytes = b'{"ok":true}'
    got: list[Got] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.got.append(Got(head[0].split()[1], headers, body))
            answer = self.answers.pop(0) if self.answers else (200, self.ok)
            if answer is None:
                await reader.read()
                return
            status, said = answer
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n" % (status, len(said)))
            writer.write(self.headers + b"\r\n" + said)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield made


@dataclass
class Mailbox:
    port: int = 0
    replies: list[str] = field(default_factory=list)
    """what is answered to DATA instead of taking it"""
    letters: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802, ARG002
        if self.replies:
            return self.replies.pop(0)
        letter = message_from_bytes(cast("bytes", envelope.content), policy=policy.default)
        self.letters.append(letter)
        return "250 taken"


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    made = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(made, hostname="localhost"), "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
