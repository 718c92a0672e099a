"""A pseudo-terminal inside walls, told over pipes. Standard library only: it runs as `python -I -S terminal.py`.

    terminal.py COLUMNS ROWS PROGRAM [ARGUMENT …]

The walls hand a process three pipes and no terminal of the host, so the terminal is made in there, from the walls' own
devpts. Standard input is frames (`frame`): what was typed, and new sizes. Standard output is what the program writes,
as it is; while nobody takes it, the program waits. The end of standard input hangs the program up, as a closed window
does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
from collections.abc import Iterator

TYPED, SIZED = b"i", b"s"
MOST_PENDING = 1 << 16
"""bytes typed that the program has not taken; beyond, no more is read"""
_HEAD = struct.Struct(">cI")
_SIZE = struct.Struct(">HH")
_CHUNK = 1 << 14


def frame(kind: bytes, payload: bytes) -> bytes:
    """One frame of standard input."""
    return _HEAD.pack(kind, len(payload)) + payload


def size(columns: int, rows: int) -> bytes:
    """The frame of a new size."""
    return frame(SIZED, _SIZE.pack(columns, rows))


def frames(given: bytearray) -> Iterator[tuple[bytes, bytes]]:
    """The whole frames at the beginning of `given`, which are taken out of it."""
    while len(given) >= _HEAD.size:
        kind, length = _HEAD.unpack_from(given)
        end = _HEAD.size + length
        if len(given) < end:
            return
        payload = bytes(given[_HEAD.size : end])
        del given[:end]
        yield kind, payload


def main(words: list[str]) -> int:
    """Run the program to its end; returns its exit status as a shell tells it."""
    columns, rows, *program = words
    pid, master = pty.fork()
    if pid == 0:
        try:
            os.execvp(program[0], program)  # noqa: S606  # its words come from the server
        finally:
            os._exit(127)
    _resize(master, int(columns), int(rows))
    os.set_blocking(master, False)  # its one argument
    try:
        _relay(master)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGHUP)
        os.close(master)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _relay(master: int) -> None:
    """Carry both ways until one side ends."""
    given, pending = bytearray(), bytearray()
    while True:
        reading = [master] if len(pending) >= MOST_PENDING else [master, 0]
        ready, writable, _ = select.select(reading, [master] if pending else [], [])
        if master in ready:
            try:
                said = os.read(master, _CHUNK)
            except OSError:  # EIO: nobody holds the other side any more
                return
            if not said:
                return
            _write_all(1, said)
        if 0 in ready:
            more = os.read(0, _CHUNK)
            if not more:
                return
            given += more
            pending += _told(master, given)
        if writable and pending:
            with contextlib.suppress(BlockingIOError):
                del pending[: os.write(master, pending[:_CHUNK])]


def _told(master: int, given: bytearray) -> bytes:
    """What the whole frames of `given` type; a new size is set at once."""
    typed = b""
    for kind, payload in frames(given):
        if kind == TYPED:
            typed += payload
        elif kind == SIZED and len(payload) == _SIZE.size:
            _resize(master, *_SIZE.unpack(payload))
    return typed


def _resize(master: int, columns: int, rows: int) -> None:
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
