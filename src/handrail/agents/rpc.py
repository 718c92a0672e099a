"""JSON-RPC 2.0 over lines of JSON on stdio, from the side that is started: Handrail's own agent and the MCP bridge.

As ACP and MCP want it: https://agentclientprotocol.com/protocol/transports. The other side's end is `lines`.
"""

from __future__ import annotations

import itertools
import json
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO

from handrail.text import loads

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Peer:
    """The other side: its lines come from `reader`, ours go to `writer`, from any thread."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader, self._writer, self._lock = reader, writer, threading.Lock()
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)

    def serve(self, handle: Callable[[dict[str, Any]], Any], failed: Callable[[Exception], dict[str, Any]]) -> None:
        """Answer requests until the input ends.

        Args:
            handle: what it returns for a request, or a notification, is the result; where that is a function, it is
                called in a thread of its own for it.
            failed: makes an error of what either raised.
        """
        for line in filter(bytes.strip, self._reader):
            try:
                message = loads(line.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                message = None
            match message:
                case {"method": str()}:
                    self._answer(message.get("id"), partial(handle, message), failed)
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

    def _answer(self, identity: object, work: Callable[[], Any], failed: Callable[[Exception], dict[str, Any]]) -> None:
        try:
            result = work()
            if callable(result):
                threading.Thread(target=self._answer, args=(identity, result, failed), daemon=True).start()
                return
            answer = {"result": {} if result is None else result}
        except Exception as problem:  # noqa: BLE001  # the edge: no message of the other side may end the process
            answer = {"error": failed(problem)}
        if identity is not None:
            self.send(id=identity, **answer)

    def ask(self, method: str, params: dict[str, Any]) -> queue.SimpleQueue[dict[str, Any]]:
        """Send a request; its answer will be put into what is returned."""
        number, box = next(self._numbers), queue.SimpleQueue[dict[str, Any]]()
        self._waiting[number] = box
        self.send(id=number, method=method, params=params)
        return box
