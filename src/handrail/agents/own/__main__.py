"""`python -m handrail.agents.own`: the agent on stdin and stdout."""

from __future__ import annotations

import os
import signal
import sys

from handrail.agents.own import settings
from handrail.agents.own.rpc import Peer
from handrail.agents.own.server import Server
from handrail.agents.own.wires.anthropic import ANTHROPIC
from handrail.agents.own.wires.chat import CHAT
from handrail.agents.own.wires.gemini import GEMINI
from handrail.agents.own.wires.responses import RESPONSES
from handrail.errors import HandrailError, InvalidInput

_WIRES = {wire.name: wire for wire in (CHAT, RESPONSES, ANTHROPIC, GEMINI)}


def main() -> None:
    """Serve until the input ends; then everything that was started is ended too. Does not return."""
    try:
        told = settings.read(os.environ)
        if told.wire not in _WIRES:
            raise InvalidInput("HANDRAIL_WIRE", told.wire, f"give one of {', '.join(_WIRES)}")
    except HandrailError as error:
        sys.exit(error.message)
    # Only messages may reach the client: whatever else is printed goes to stderr.
    out = os.dup(1)
    os.dup2(2, 1)
    peer = Peer(sys.stdin.buffer, out)
    server = Server(told, _WIRES[told.wire], peer)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    code = 0
    try:
        peer.serve(server.handle)
    except BrokenPipeError:
        pass
    except (KeyboardInterrupt, SystemExit):
        code = 130
    finally:
        server.close()
        # A thread may still wait for its provider; nothing is left to wait for.
        os._exit(code)


if __name__ == "__main__":
    main()
