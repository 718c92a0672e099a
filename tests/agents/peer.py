"""A scripted ACP agent without any library: what it does stands in the prompt, a JSON array of steps.

Steps: {"update": {...}}, {"raw": "line"}, {"hex": "bytes of a line"}, {"ask": {...}} (waits for the answer, echoes it
as text), {"ask_open": {...}} (does not wait), {"call": [method, params]} (waits, echoes it), {"notify": [method,
params]}, {"stderr": bytes}, {"big": bytes}, {"sleep": s}, {"wait_cancel": true}, {"exit": code}, {"error": {...}},
{"end": {...}}. Answers to other requests stand in the environment's PEER, a JSON object by method.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

ANSWERS: dict[str, Any] = json.loads(os.environ.get("PEER", "{}"))
DEFAULTS: dict[str, Any] = {
    "initialize": {"result": {"protocolVersion": 1, "agentCapabilities": {"loadSession": True}}},
    "session/new": {"result": {"sessionId": "s1"}},
}
asked = 1000


def put(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def send(message: dict[str, Any]) -> None:
    put(json.dumps({"jsonrpc": "2.0", **message}).encode())


def update(body: dict[str, Any], session: str = "s1") -> None:
    send({"method": "session/update", "params": {"sessionId": session, "update": body}})


def say(text: str) -> None:
    update({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}})


def read() -> dict[str, Any]:
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(0)
    message: dict[str, Any] = json.loads(line)
    return message


def call(method: str, params: dict[str, Any], *, wait: bool) -> None:
    global asked  # noqa: PLW0603
    asked += 1
    send({"id": asked, "method": method, "params": params})
    while wait:
        message = read()
        if message.get("id") == asked and "method" not in message:
            say(json.dumps(message.get("result", message.get("error")), sort_keys=True))
            return


def play(step: dict[str, Any]) -> dict[str, Any] | None:  # noqa: C901, PLR0912  # a table of steps
    match step:
        case {"update": body}:
            update(body)
        case {"raw": line}:
            put(line.encode())
        case {"hex": line}:
            put(bytes.fromhex(line))
        case {"ask": params}:
            call("session/request_permission", {"sessionId": "s1", **params}, wait=True)
        case {"ask_open": params}:
            call("session/request_permission", {"sessionId": "s1", **params}, wait=False)
        case {"call": [method, params]}:
            call(method, params, wait=True)
        case {"notify": [method, params]}:
            send({"method": method, "params": params})
        case {"stderr": count}:
            sys.stderr.write("x" * count)
            sys.stderr.flush()
        case {"big": count}:
            update({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "x" * count}})
        case {"sleep": seconds}:
            time.sleep(seconds)
        case {"wait_cancel": _}:
            while read().get("method") != "session/cancel":
                pass
        case {"read": _}:
            say(json.dumps(read(), sort_keys=True))
        case {"exit": code}:
            os._exit(code)
        case {"error": error}:
            return {"error": error}
        case {"end": result}:
            return {"result": result}
        case _:
            say(f"unknown step {step}")
    return None


def prompt(text: str) -> dict[str, Any]:
    for step in json.loads(text):
        if (answer := play(step)) is not None:
            return answer
    return {"result": {"stopReason": "end_turn"}}


def main() -> None:
    while True:
        message = read()
        method = message.get("method")
        if method == "session/prompt":
            send({"id": message["id"], **prompt(message["params"]["prompt"][0]["text"])})
        elif "id" in message and method is not None:
            answer = ANSWERS.get(
                method, DEFAULTS.get(method, {"error": {"code": -32601, "message": "Method not found"}})
            )
            for body in answer.get("updates", []):
                update(body, message["params"].get("sessionId", "s1"))
            send({"id": message["id"], **{k: v for k, v in answer.items() if k != "updates"}})


main()
