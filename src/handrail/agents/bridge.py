"""MCP over stdin and stdout for agents that speak no MCP over HTTP: each message is posted to the session's door.

Runs inside the walls. `HANDRAIL_MCP_URL` and `HANDRAIL_MCP_TOKEN` say where.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

from handrail.agents.door import DoorError, Remote
from handrail.agents.rpc import Peer

TIMEOUT = 60.0


def main() -> None:
    """Pass messages until stdin ends."""
    token = os.environ["HANDRAIL_MCP_TOKEN"]
    remote = Remote(os.environ["HANDRAIL_MCP_URL"], {"authorization": f"Bearer {token}"}, TIMEOUT)
    peer = Peer(sys.stdin.buffer, sys.stdout.buffer)
    peer.serve(partial(_pass, remote, peer))


def _pass(remote: Remote, peer: Peer, message: dict[str, Any]) -> None:
    """Pass one message on, and what is answered back."""
    try:
        answers = remote.post(message)
    except DoorError as error:
        failure = {"code": -32603, "message": f"Handrail's door does not answer: {error}"}
        answers = [{"id": message["id"], "error": failure}] if "id" in message else []
    for answer in answers:
        peer.send(**answer)


if __name__ == "__main__":
    main()
