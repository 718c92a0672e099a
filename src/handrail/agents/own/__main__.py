"""`python -m handrail.agents.own`: the agent on stdin and stdout."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from handrail.agents.own import settings
from handrail.agents.own.server import Server, failed
from handrail.agents.rpc import Peer
from handrail.agents.warm import warm_up  # noqa: F401  # a kiln runs it
from handrail.errors import InvalidInput


def main() -> None:
    """Serve until the input ends; then everything that was started is ended too. Does not return."""
    try:
        told = settings.read(os.environ)
    except InvalidInput as error:
        sys.exit(error.message)
    # Only messages may reach the client: whatever else is printed goes to stderr.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    peer = Peer(sys.stdin.buffer, out)
    server = Server(told, peer)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        with suppress(BrokenPipeError, KeyboardInterrupt, SystemExit):
            peer.serve(server.handle, failed)
    finally:
        server.close()
        # A thread may still wait for its provider; nothing is left to wait for.
        os._exit(0)


if __name__ == "__main__":
    main()
