"""`python -m handrail.agents.own`: the agent on stdin and stdout."""

from __future__ import annotations

import os
import signal
import sys
import threading

from handrail.agents.own import settings
from handrail.agents.own.rpc import Peer
from handrail.agents.own.server import Server
from handrail.agents.own.session import connect
from handrail.agents.own.wires import Wire
from handrail.agents.own.wires.anthropic import Anthropic
from handrail.agents.own.wires.chat import Chat
from handrail.agents.own.wires.gemini import Gemini
from handrail.agents.own.wires.responses import Responses
from handrail.errors import HandrailError

_WIRES: dict[str, type[Wire]] = {"anthropic": Anthropic, "gemini": Gemini, "openai-chat": Chat}
_WIRES["openai-responses"] = Responses


def main() -> None:
    """Serve until the input ends; then everything that was started is ended too. Does not return."""
    try:
        told = settings.read(os.environ)
    except HandrailError as error:
        sys.exit(error.message)
    # Only messages may reach the client: whatever else is printed goes to stderr.
    out = os.dup(1)
    os.dup2(2, 1)
    peer = Peer(sys.stdin.buffer, out)
    wire = _WIRES[told.wire]()
    server = Server(told, wire, peer)
    threading.Thread(target=connect, args=(told, wire), daemon=True).start()
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
