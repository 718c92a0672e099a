"""JSON-RPC 2.0 over lines of JSON on stdio, from the side that is started: Handrail's own agent and the MCP bridge.

As ACP and MCP want it: https://agentclientprotocol.com/protocol/transports. The other side's end is `lines`.
"""

from __future__ import annotations

import itertools
import json
import queue
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from handrail.text import loads

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Peer:
    """The other side: its lines come from `reader`, ours go to `writer`, from any thread."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader, self._writer, self._lock = reader, writer, threading.Lock()
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)

    def serve(self, handle: Callable[[dict[str, Any]], None]) -> None:
        """Hand each request and notification to `handle` until the input ends."""
        for line in filter(bytes.strip, self._reader):
            try:
                message = loads(line.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                message = None
            match message:
                case {"method": str()}:
                    handle(message)
                case {"id": int(number)} if box := self._waiting.pop(number, None):
                    box.put(message)
                case dict():
                    pass  # an answer that nobody waits for any more
                case _:
                    self.send(id=None, error={"code": -32700, "message": "the line is no JSON object"})

    def send(self, **message: object) -> None:
        """Write one message: a notification, an answer or an error. OSError once the other side is gone."""
        data = _encode({"jsonrpc": "2.0", **message}).encode() + b"\n"
        with self._lock:
            self._writer.write(data)
            self._writer.flush()

    def ask(self, method: str, params: dict[str, Any]) -> queue.SimpleQueue[dict[str, Any]]:
        """Send a request; its answer will be put into what is returned."""
        number, box = next(self._numbers), queue.SimpleQueue[dict[str, Any]]()
        self._waiting[number] = box
        self.send(id=number, method=method, params=params)
        return box
