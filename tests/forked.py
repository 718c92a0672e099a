"""`handrail WORDS…` in a fork of one process that has imported the command line already.

Most of the time of a short command is Python's imports, and the suite runs several hundred of them. A fork runs the
same `handrail.cli.main`, in a process of its own, with its own words, folder, environment and standard streams; what
it starts (keeper, server) starts as always. What the imports and the interpreter do at a start is tested elsewhere, by
`tests/cli/test_app.py` and by every command that a test leaves running.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from handrail.cli import main
from handrail.cli.verbs import VERBS

ORDER = 1 << 20
"""bytes of words and environment at the most"""
LATER = (
    "typer._adapters",
    "typer._click.decorators",
    "httpcore2",
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "zoneinfo",
)
"""what libraries import in the middle of a command"""


def run(
    words: Sequence[str], *, stdin: bytes, cwd: Path, env: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[bytes]:
    """Run one command to its end.

    Raises:
        subprocess.TimeoutExpired: it took longer than `seconds`.
    """
    order = json.dumps([[*words], str(cwd), dict(env)]).encode()
    mine, theirs = socket.socketpair()
    reading, writing = os.pipe()
    with mine, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        socket.send_fds(_mother(), [order], [reading, out.fileno(), errors.fileno(), theirs.fileno()])
        theirs.close()
        os.close(reading)
        feeder = threading.Thread(target=_feed, args=(writing, stdin), daemon=True)
        feeder.start()
        mine.settimeout(seconds)
        try:
            code = int(mine.recv(16))
        except TimeoutError:
            raise subprocess.TimeoutExpired([*words], seconds) from None
        feeder.join()
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess([*words], code, out.read(), errors.read())


def _feed(pipe: int, text: bytes) -> None:
    with suppress(BrokenPipeError), os.fdopen(pipe, "wb", buffering=0) as file:
        while text:
            text = text[file.write(text) :]


@functools.cache
def _mother() -> socket.socket:
    """The way to the process that forks; it ends with this one."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ORDER)
    command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
    process = subprocess.Popen(
        command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd=Path(__file__).parents[1]
    )
    theirs.close()
    atexit.register(_let_go, mine, process)
    return mine


def _let_go(way: socket.socket, process: subprocess.Popen[bytes]) -> None:
    way.close()
    process.wait(10)


def _serve(control: socket.socket) -> None:
    for name in (*(f"handrail.cli.{verb.target.partition(':')[0]}" for verb in VERBS.values()), *LATER):
        importlib.import_module(name)
    chosen = selectors.DefaultSelector()
    chosen.register(control, selectors.EVENT_READ)
    while True:
        for key, _ in chosen.select():
            if key.fileobj is not control:
                chosen.unregister(key.fileobj)
                key.data(key.fileobj)
                continue
            order, parts, _, _ = socket.recv_fds(control, ORDER, 4)
            if not order:
                return
            *streams, way = parts
            words, folder, environment = json.loads(order)
            if (pid := os.fork()) == 0:
                chosen.close()
                _child(words, folder, environment, streams)
            for stream in streams:
                os.close(stream)
            chosen.register(os.pidfd_open(pid), selectors.EVENT_READ, functools.partial(_ended, pid, way))


def _ended(pid: int, way: int, descriptor: int) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(descriptor)
    with suppress(OSError):
        os.write(way, str(code).encode())
    os.close(way)


def _child(words: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> None:
    code = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["handrail", *words]
        code = main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does at its end
        traceback.print_exc()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
