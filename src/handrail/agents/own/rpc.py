"""JSON-RPC 2.0 over lines of JSON, as ACP wants it on stdio: https://agentclientprotocol.com/protocol/transports."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from typing import BinaryIO

from handrail.agents.own.cancel import Cancel
from handrail.agents.own.messages import Json, encode
from handrail.errors import HandrailError
from handrail.text import loads


class ClientError(HandrailError):
    """The client answered a request of ours with an error."""


class Peer:
    """The other side: its lines come from `reader`, ours go to `writer`, from any thread."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader, self._writer, self._lock = reader, writer, threading.Lock()
        self._waiting: dict[int, queue.SimpleQueue[Json]] = {}
        self._numbers = itertools.count(1)

    def serve(self, handle: Callable[[Json], None]) -> None:
        """Hand each request and notification to `handle` until the input ends."""
        for line in filter(bytes.strip, self._reader):
            try:
                message = loads(line.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                message = None
            match message:
                case {"method": str()}:
                    handle(message)
                case {"id": int(number)} if box := self._waiting.get(number):
                    box.put(message)
                case dict():
                    pass  # an answer that nobody waits for any more
                case _:
                    self.send(id=None, error={"code": -32700, "message": "the line is no JSON object"})

    def send(self, **message: object) -> None:
        """Write one message: a notification, an answer or an error. OSError once the client is gone."""
        data = encode({"jsonrpc": "2.0", **message}).encode() + b"\n"
        with self._lock:
            self._writer.write(data)
            self._writer.flush()

    def request(self, method: str, params: Json, cancel: Cancel) -> Json:
        """Ask the client and wait for its answer, however long that takes, unless `cancel` comes first (Cancelled)."""
        number, box = next(self._numbers), queue.SimpleQueue[Json]()
        self._waiting[number] = box
        with cancel.stopping(lambda: box.put({})):
            self.send(id=number, method=method, params=params)
            message = box.get()
        del self._waiting[number]
        cancel.check()
        if not isinstance(result := message.get("result"), dict):
            raise ClientError(str(message.get("error")))
        return result
