"""MCP over stdin and stdout for agents that speak no MCP over HTTP: each message is posted to the session's door.

Runs inside the walls. `HANDRAIL_MCP_URL` and `HANDRAIL_MCP_TOKEN` say where.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

from handrail.agents.door import RefusedError, Remote
from handrail.agents.rpc import Peer

TIMEOUT = 60.0


def main() -> None:
    """Pass messages until stdin ends."""
    token = os.environ["HANDRAIL_MCP_TOKEN"]
    remote = Remote(os.environ["HANDRAIL_MCP_URL"], {"authorization": f"Bearer {token}"}, TIMEOUT)
    Peer(sys.stdin.buffer, sys.stdout.buffer).serve(partial(_pass, remote), _failed)


def _pass(remote: Remote, message: dict[str, Any]) -> object:
    """Pass one message on: the result, where one is due."""
    method, params = message["method"], message.get("params") or {}
    if "id" in message:
        return remote.ask(method, params)
    remote.tell(method, params)
    return None


def _failed(problem: Exception) -> dict[str, Any]:
    if isinstance(problem, RefusedError):
        return problem.error
    return {"code": -32603, "message": f"Handrail's door does not answer: {problem}"}


if __name__ == "__main__":
    main()
