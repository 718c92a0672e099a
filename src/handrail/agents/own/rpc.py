"""JSON-RPC 2.0 over lines of JSON, as ACP wants it on stdio: https://agentclientprotocol.com/protocol/transports."""

from __future__ import annotations

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


class RpcError(Exception):
    """An error to answer a request with, or the one that the client answered ours with."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class Peer:
    """The other side. `send` and its kin may be called from any thread; `serve` reads in one.

    Args:
        reader: where the client's lines come from.
        out: file descriptor that takes ours.
    """

    def __init__(self, reader: BinaryIO, out: int) -> None:
        self._reader = reader
        self._out = out
        self._lock = threading.Lock()
        self._waiting: dict[int, queue.SimpleQueue[Json | None]] = {}
        self._next = 0

    def serve(self, handle: Callable[[str, Json, Id, bool], None]) -> None:
        """Hand each request and notification to `handle(method, params, id, wants_answer)` until the input ends."""
        for line in self._reader:
            if not line.strip():
                continue
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                self.fail(None, RpcError(PARSE_ERROR, "the line is not JSON"))
                continue
            if not isinstance(message, dict):
                self.fail(None, RpcError(INVALID_REQUEST, "the line is no JSON object"))
            elif isinstance(method := message.get("method"), str):
                params = message.get("params")
                identity, wants = message.get("id"), "id" in message
                if params is None or isinstance(params, dict):
                    handle(method, params or {}, identity, wants)
                elif wants:
                    self.fail(identity, RpcError(INVALID_PARAMS, "params must be an object"))
            elif isinstance(answered := message.get("id"), int) and (box := self._waiting.get(answered)) is not None:
                box.put(message)

    def send(self, message: Json) -> None:
        """Write one message. Raises OSError once the client is gone."""
        data = memoryview(encode(message).encode() + b"\n")
        with self._lock:
            while data:
                data = data[os.write(self._out, data) :]

    def notify(self, method: str, params: Json) -> None:
        """Send a notification."""
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def answer(self, identity: Id, result: Json) -> None:
        """Answer a request."""
        self.send({"jsonrpc": "2.0", "id": identity, "result": result})

    def fail(self, identity: Id, error: RpcError) -> None:
        """Answer a request with an error."""
        body: Json = {"code": error.code, "message": str(error)}
        if error.data is not None:
            body["data"] = error.data
        self.send({"jsonrpc": "2.0", "id": identity, "error": body})

    def request(self, method: str, params: Json, cancel: Cancel) -> Json:
        """Ask the client and wait for its answer, however long that takes.

        Raises:
            Cancelled: by `cancel`, without waiting for the answer.
            RpcError: the client answered with an error.
        """
        box: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        with self._lock:
            self._next += 1
            identity = self._next
        self._waiting[identity] = box
        try:
            with cancel.stopping(lambda: box.put(None)):
                self.send({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})
                message = box.get()
        finally:
            del self._waiting[identity]
        if message is None:
            raise Cancelled
        if error := message.get("error"):
            raise RpcError(error.get("code", INTERNAL), str(error.get("message", error)), error.get("data"))
        result = message.get("result")
        return result if isinstance(result, dict) else {}
