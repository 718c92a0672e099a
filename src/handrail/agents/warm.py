"""What an agent does in each of its calls, done before it is forked from a kiln.

Python specialises code that has run a few times (https://peps.python.org/pep-0659/) and OpenSSL reads its settings for
the first connection; a fork of a process that never called would do both anew, in each session: 6 ms of CPU.
"""

from __future__ import annotations

import socket
from contextlib import closing
from threading import Thread

from handrail.agents.door import Remote

_CALLS = 10
"""more than the eight after which CPython specialises a function"""
_PATIENCE = 2.0
"""seconds"""
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def warm_up() -> None:
    """Post to a server of this process's own, and read its answers. No thread and no connection is left.

    Raises:
        OSError: there is no loopback, or no descriptor is left.
        DoorError: the server was not reached.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(_PATIENCE)
        thread = Thread(target=_serve, args=(server,))
        thread.start()
        try:
            remote = Remote(f"http://127.0.0.1:{server.getsockname()[1]}/", {"x-api-key": "none"}, _PATIENCE)
            with closing(remote.door):
                for _ in range(_CALLS):
                    remote.ask("ping", {})
        finally:
            thread.join()


def _serve(server: socket.socket) -> None:
    """Answer the requests of one connection, which `Remote` numbers from 1."""
    connection, _ = server.accept()
    connection.settimeout(_PATIENCE)
    with connection, connection.makefile("rwb") as stream:
        for number in range(1, _CALLS + 1):
            size = 0
            while line := stream.readline().strip():
                name, _, value = line.partition(b":")
                size = int(value) if name.lower() == b"content-length" else size
            stream.read(size)
            event = b'data: {"jsonrpc":"2.0","id":%d,"result":{}}\n\n' % number
            stream.write(_HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event))
            stream.flush()
