"""JSON-RPC 2.0 over lines of JSON, as ACP wants it on stdio: https://agentclientprotocol.com/protocol/transports."""

from __future__ import annotations

import itertools
import json
import os
import queue
import threading
from collections.abc import Callable
from typing import BinaryIO

from handrail.agents.own.cancel import Cancel, Cancelled
from handrail.agents.own.messages import Json, encode

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
AUTH_REQUIRED, NOT_FOUND = -32000, -32002

Id = int | str | None
_ABSENT = object()


class RpcError(Exception):
    """An error to answer a request with, or the one that the client answered ours with."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.told: Json = {"code": code, "message": message} | ({} if data is None else {"data": data})


class Peer:
    """The other side: its lines come from `reader`, ours go to the descriptor `out`, from any thread."""

    def __init__(self, reader: BinaryIO, out: int) -> None:
        self._reader, self._out, self._lock = reader, out, threading.Lock()
        self._waiting: dict[object, queue.SimpleQueue[Json | None]] = {}
        self._numbers = itertools.count(1)

    def serve(self, handle: Callable[[str, Json, Id, bool], None]) -> None:
        """Hand each request and notification to `handle(method, params, id, wants_answer)` until the input ends."""
        for line in filter(bytes.strip, self._reader):
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                self.send(id=None, error={"code": PARSE_ERROR, "message": "the line is not JSON"})
                continue
            if not isinstance(message, dict):
                self.send(id=None, error={"code": INVALID_REQUEST, "message": "the line is no JSON object"})
                continue
            method, params, identity = message.get("method"), message.get("params") or {}, message.get("id", _ABSENT)
            if isinstance(method, str) and isinstance(params, dict):
                handle(method, params, None if identity is _ABSENT else identity, identity is not _ABSENT)
            elif isinstance(method, str):
                self.send(id=message.get("id"), error={"code": INVALID_PARAMS, "message": "params must be an object"})
            elif isinstance(identity, int) and (box := self._waiting.get(identity)):
                box.put(message)

    def send(self, **message: object) -> None:
        """Write one message: a notification, an answer or an error. OSError once the client is gone."""
        data = memoryview(encode({"jsonrpc": "2.0", **message}).encode() + b"\n")
        with self._lock:
            while data:
                data = data[os.write(self._out, data) :]

    def request(self, method: str, params: Json, cancel: Cancel) -> Json:
        """Ask the client and wait for its answer, however long that takes, unless `cancel` comes first (Cancelled)."""
        box: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        identity = next(self._numbers)
        self._waiting[identity] = box
        try:
            with cancel.stopping(lambda: box.put(None)):
                self.send(id=identity, method=method, params=params)
                message = box.get()
        finally:
            del self._waiting[identity]
        if message is None:
            raise Cancelled
        if error := message.get("error"):
            raise RpcError(INTERNAL, str(error.get("message", error)))
        result = message.get("result")
        return result if isinstance(result, dict) else {}
