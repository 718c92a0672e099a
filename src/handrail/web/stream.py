"""A session's log as server-sent events: from where the client was, without a gap or a duplicate, then live.

https://html.spec.whatwg.org/multipage/server-sent-events.html. Nothing is kept for a client but its place in the log:
what it cannot take waits in the table.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from starlette.responses import StreamingResponse

from handrail.store.subscription import Subscription
from handrail.types import Event
from handrail.web import views

HEARTBEAT = 15.0
"""seconds of silence before a comment shows that the line is alive"""
CHUNK = 1 << 18
"""bytes handed to the transport at a time"""
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


class Closing:
    """Tells every stream that the server ends, so that clients find their way to the next one at once."""

    def __init__(self) -> None:
        self._told = asyncio.Event()

    def tell(self) -> None:
        """From now on, streams end."""
        self._told.set()

    @property
    def told(self) -> asyncio.Event:
        """Set when the server ends."""
        return self._told


Encode = Callable[[list[Event]], AsyncIterator[bytes]]
"""makes chunks of the stream out of a batch of events"""


async def _as_json(events: list[Event]) -> AsyncIterator[bytes]:
    for chunk in encoded(events):
        yield chunk


_CONNECTED = b": connected\n\n"


def response(
    subscription: Subscription,
    closing: Closing,
    heartbeat: float = HEARTBEAT,
    encode: Encode = _as_json,
    first: bytes = _CONNECTED,
) -> StreamingResponse:
    """The stream of `subscription`, which it closes; `first` comes before all else."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    chunks = frames(subscription, closing, heartbeat, encode, first)
    return StreamingResponse(chunks, headers=headers, media_type="text/event-stream")


async def frames(
    subscription: Subscription,
    closing: Closing,
    heartbeat: float = HEARTBEAT,
    encode: Encode = _as_json,
    first: bytes = _CONNECTED,
) -> AsyncIterator[bytes]:
    """Chunks of the stream; the first comes at once, so that a client sees that it is connected."""
    ending = asyncio.ensure_future(closing.told.wait())
    batch: asyncio.Task[list[Event]] | None = None
    try:
        yield first
        while not ending.done():
            if batch is None:
                batch = asyncio.create_task(subscription.batch(), name="stream batch")
            await asyncio.wait({ending, batch}, timeout=heartbeat, return_when=asyncio.FIRST_COMPLETED)
            if not batch.done():
                if not ending.done():
                    yield b": ping\n\n"
                continue
            events = batch.result()
            batch = None
            if not events:  # the log was closed
                return
            async for chunk in encode(events):
                yield chunk
    finally:
        ending.cancel()
        if batch is not None:
            batch.cancel()
        await asyncio.gather(ending, *([batch] if batch is not None else []), return_exceptions=True)
        subscription.close()


def encoded(events: Sequence[Event]) -> Iterator[bytes]:
    """Events as frames, joined to chunks of about `CHUNK` bytes, each made when the one before it is on its way."""
    waiting: list[bytes] = []
    size = 0
    for event in events:
        waiting.append(frame(event))
        size += len(waiting[-1])
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def frame(event: Event) -> bytes:
    """One event. JSON holds no line end; those of Unicode are escaped for clients that split at them too."""
    data = json.dumps(views.event(event), ensure_ascii=False, separators=(",", ":")).translate(_LINE_ENDS)
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {data}\n\n".encode("utf-8", "replace")
