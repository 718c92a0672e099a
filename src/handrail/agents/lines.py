"""ACP's framing: one JSON object a line, over two asyncio streams. Survives what agents write by mistake.

An SDK `Transport` (https://agentclientprotocol.com/protocol/transports) that reads for itself: the SDK's own ends the
connection on a line that is valid JSON but no object, and takes lines of any length into memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

from msgspec import Struct

from handrail.agents import OnRaw
from handrail.text import loads
from handrail.types import Json

MESSAGE_LIMIT = 32 << 20
"""bytes of one message; a longer one ends the connection"""

_CHUNK = 1 << 16


class Asked(Struct, frozen=True):
    """The parameters of a request from the agent with the request's id, which the SDK keeps to itself."""

    id: object
    params: Json


class Lines:
    """The transport under an SDK connection.

    Args:
        reader: the agent's standard output.
        writer: the agent's standard input.
        on_notification: called with (method, params) in the order of the wire, before any later message is passed on.
        on_raw: told every line as it came or went.
        limit: bytes of one message.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        on_notification: Callable[[str, Json], None],
        on_raw: OnRaw | None = None,
        limit: int = MESSAGE_LIMIT,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_notification = on_notification
        self._on_raw = on_raw
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._discarding: asyncio.Task[None] | None = None
        self.skipped = 0
        """lines that were no JSON-RPC message"""
        self.failure: str | None = None
        """why the stream was given up, where it did not just end"""

    async def send(self, message: Json) -> None:
        """Write one message.

        Raises:
            ConnectionError: the agent does not read any more.
        """
        line = json.dumps(message, separators=(",", ":")).encode()
        if self._on_raw is not None:
            self._on_raw("out", line)
        try:
            self._writer.write(line + b"\n")
            await self._writer.drain()
        except ConnectionError:
            # Nobody waits for the delivery of an answer; the end of the stream tells what happened.
            if "method" in message:
                raise

    async def receive(self) -> Json | None:
        """The next request or answer; None at the end of the stream."""
        # The SDK starts a task for each request, and the link one in it that asks: let both begin before what came
        # after the request is handled.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        while (line := await self._line()) is not None:
            if not line or line.isspace():
                continue
            if self._on_raw is not None:
                self._on_raw("in", line)
            message = parse(line)
            if message is None:
                self.skipped += 1
                continue
            method = message.get("method")
            if method is None:
                return message
            given = message.get("params")
            params: Json = given if isinstance(given, dict) else {}
            if "id" in message:
                return {**message, "params": Asked(message["id"], params)}
            self._on_notification(str(method), params)
        return None

    async def close(self) -> None:
        """Stop reading. The streams belong to the process and stay open."""
        if self._discarding is not None:
            self._discarding.cancel()
            await asyncio.gather(self._discarding, return_exceptions=True)

    async def _discard(self) -> None:
        # An agent that hangs in a write would not end at stdin's end, and asyncio's `wait` waits for its pipes.
        with contextlib.suppress(OSError):
            while await self._reader.read(_CHUNK):
                pass

    async def _line(self) -> bytes | None:
        while True:
            end = self._buffer.find(b"\n", self._searched)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                self._searched = 0
                return line
            self._searched = len(self._buffer)
            if self._searched > self._limit:
                self.failure = f"it sent a message of more than {self._limit >> 20} MB"
                self._buffer.clear()
                self._discarding = asyncio.create_task(self._discard(), name="acp discard")
                return None
            try:
                chunk = await self._reader.read(_CHUNK)
            except (OSError, ValueError) as error:
                self.failure = f"its output broke off: {error}"
                return None
            if not chunk:
                return None
            self._buffer += chunk
            # A flood that is already buffered would otherwise hold the loop.
            await asyncio.sleep(0)


def parse(line: bytes) -> Json | None:
    """One JSON-RPC message, mended where the SDK would trip over it; None where it is none.

    Invalid UTF-8 and lone surrogates become U+FFFD.
    """
    try:
        found: object = loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    message: Json = found
    method, ident = message.get("method"), message.get("id")
    if method is not None and not isinstance(method, str):
        return None
    if isinstance(ident, bool) or not isinstance(ident, str | int | float | None):
        return None
    if method is None:
        if "id" not in message:
            return None
        error = message.get("error")
        if error is not None and not isinstance(error, dict):
            message["error"] = {"code": -32603, "message": str(error)}
    return message
