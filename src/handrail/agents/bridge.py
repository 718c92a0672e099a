"""MCP over stdin and stdout for agents that speak no MCP over HTTP: each line is posted to the session's door.

Runs inside the walls, with the standard library alone. `HANDRAIL_MCP_URL` and `HANDRAIL_MCP_TOKEN` say where.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request

TIMEOUT = 60.0


def main() -> None:
    """Pass messages until stdin ends."""
    url, token = os.environ["HANDRAIL_MCP_URL"], os.environ["HANDRAIL_MCP_TOKEN"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for line in sys.stdin.buffer:
        if line.strip():
            answer = passed(opener, url, token, line)
            if answer.strip():
                sys.stdout.buffer.write(answer.replace(b"\n", b" ") + b"\n")
                sys.stdout.buffer.flush()


def passed(opener: urllib.request.OpenerDirector, url: str, token: str, line: bytes) -> bytes:
    """The answer to one message; empty where none is due."""
    headers = {
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
    }
    request = urllib.request.Request(url, line, headers)  # noqa: S310  # the door's own address
    try:
        with opener.open(request, timeout=TIMEOUT) as answer:
            read: bytes = answer.read()
            return read
    except (OSError, urllib.error.URLError) as error:
        try:
            id_ = json.loads(line).get("id")
        except (ValueError, AttributeError):
            id_ = None
        failure = {"code": -32603, "message": f"Handrail's door does not answer: {error}"}
        return b"" if id_ is None else json.dumps({"jsonrpc": "2.0", "id": id_, "error": failure}).encode()


if __name__ == "__main__":
    main()
