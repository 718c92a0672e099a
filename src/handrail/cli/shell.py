"""The verb `shell`: a shell inside the walls of a session, on this terminal; or what the agent's own shell says.

It is the line that the page's terminal has: bytes are what a terminal shows, the rest is JSON (`web.pages.terminal`).
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import os
import re
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import quote

import typer
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from handrail.cli import options
from handrail.cli.client import Client, Failed, Obj, Refused
from handrail.cli.finding import Address, read_address
from handrail.errors import Unavailable

LEAVE = b"\x1d"
"""Ctrl-], as telnet has it: what is typed besides is the shell's"""
_END = "\x04"
_PIECE = 1 << 16
_LARGEST = 16 << 20
_AGAIN = 1.0
"""seconds until the end of a pipe is told once more, since what runs in the shell may have taken it for its own"""


def shell(
    session: options.Session = "last",
    watch: Annotated[bool, typer.Option("--watch", help="Show what the agent's shell says; read only.")] = False,
    data: options.Data = None,
) -> int:
    """Open a shell inside the walls of a session that you hold; Ctrl-] leaves it. In a pipe, stdin is typed into it."""
    return options.run(_shell(options.client(data), session, watch=watch))


async def _shell(client: Client, session: str, *, watch: bool) -> int:
    async with client:
        told = await client.get(f"/sessions/{quote(session)}")
        address = read_address(client.data)
    if address is None:
        raise Unavailable("the server ended just now: run this again")
    columns, rows = _size()
    query = "" if watch else f"shell=new&columns={columns}&rows={rows}"
    path = f"/api/v1/sessions/{quote(str(told['id']))}/terminal?{query}"
    try:
        async with _dial(address, path) as line:
            return await Terminal(line, typing=not watch).carry()
    except (OSError, InvalidHandshake) as error:
        raise Unavailable(f"the server gave no terminal: {error}") from error


def _dial(address: Address, path: str) -> connect:
    if address.socket is not None and address.socket.exists():
        return unix_connect(str(address.socket), f"ws://handrail{path}", max_size=_LARGEST)
    headers = {"Authorization": f"Bearer {address.token}"}
    url = address.url.replace("http", "ws", 1) + path
    return connect(url, additional_headers=headers, max_size=_LARGEST, proxy=None)


class Terminal:
    """This terminal, or pipe, at one end of the line.

    Args:
        line: to the server.
        typing: whether what is typed goes there.
    """

    def __init__(self, line: ClientConnection, *, typing: bool) -> None:
        self._line = line
        self._typing = typing
        self._tame = Tame()
        self._typed: asyncio.Queue[bytes] = asyncio.Queue()
        self._live = sys.stdin.isatty() and sys.stdout.isatty()

    async def carry(self) -> int:
        """Carry both ways until the shell ends or the person leaves; the exit status.

        Raises:
            Refused: it cannot be had.
            Failed: the line broke.
        """
        loop = asyncio.get_running_loop()
        with _raw(self._live):
            if self._typing or self._live:
                threading.Thread(target=self._pour, args=(loop,), daemon=True).start()
            if self._typing and self._live:
                loop.add_signal_handler(signal.SIGWINCH, lambda: self._typed.put_nowait(b""))
            sending = asyncio.create_task(self._send())
            showing = asyncio.create_task(self._show())
            try:
                done, _ = await asyncio.wait({sending, showing}, return_when=asyncio.FIRST_COMPLETED)
                return await done.pop()
            finally:
                for task in (sending, showing):
                    task.cancel()
                await asyncio.gather(sending, showing, return_exceptions=True)

    def _pour(self, loop: asyncio.AbstractEventLoop) -> None:
        """What is typed, from a thread: a read that never ends holds up no exit."""
        while data := os.read(sys.stdin.fileno(), _PIECE):
            loop.call_soon_threadsafe(self._typed.put_nowait, data)
        loop.call_soon_threadsafe(self._typed.put_nowait, LEAVE if self._live else _END.encode())

    async def _send(self) -> int:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            while True:
                data = await self._typed.get()
                if self._live and LEAVE in data:
                    return 0
                if not data:
                    await self._line.send(json.dumps({"size": _size()}))
                elif self._typing:
                    await self._line.send(json.dumps({"typed": decoder.decode(data)}))
                if not self._live and data == _END.encode():
                    await asyncio.sleep(_AGAIN)
                    self._typed.put_nowait(data)
        except ConnectionClosed:
            return await asyncio.Future()  # whoever shows says why

    async def _show(self) -> int:
        ended = ""
        out = sys.stdout.buffer
        try:
            async for said in self._line:
                if isinstance(said, bytes):
                    out.write(self._tame.feed(said))
                    out.flush()
                    continue
                told: Obj = json.loads(said)
                if told.get("refused"):
                    raise Refused(str(told["refused"]), 409)
                ended = str(told.get("ended") or ended)
        except ConnectionClosed as error:
            raise Failed("the line to the server broke, and the shell ended with it", 500) from error
        if "control" in ended:
            raise Failed(ended, 409)
        return 0


class Tame:
    """Takes out of what a shell says whatever acts on more than this terminal's picture.

    A full-screen program may move the cursor and paint. Nothing sets the title or the clipboard (OSC), and nothing asks
    the terminal for an answer, which would arrive as if it had been typed: what runs in there may be hostile
    (https://invisible-island.net/xterm/ctlseqs/ctlseqs.html).
    """

    _OPEN = re.compile(rb"(?:\x1b[\]PX^_][^\x07\x1b]{0,65536}\x1b?|\x1b[ -/]{0,8}|\x1b\[[0-?]{0,64}[ -/]{0,8}|\xc2)\Z")
    _TAKEN = re.compile(
        rb"\x1b[\]PX^_][^\x07\x1b]{0,65536}(?:\x07|\x1b\\)"  # OSC, DCS, SOS, PM, APC: strings
        rb"|\x1b\[[0-?]{0,64}[ -/]{0,8}[cntx]|\x1b\[>[0-?]{0,64}q|\x1b\[[0-?]{0,64}\$p|\x1bZ"  # questions
        rb"|\x1b[\]PX^_]|\x05|\xc2[\x80-\x9f]"  # a string that never ends, ENQ, eight-bit controls
    )

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may be shown of the next bytes; the beginning of a sequence waits for its end."""
        data = self._held + data
        opened = self._OPEN.search(data)
        self._held = b"" if opened is None else data[opened.start() :]
        return self._TAKEN.sub(b"", data[: len(data) - len(self._held)])


@contextlib.contextmanager
def _raw(live: bool) -> Iterator[None]:
    """The terminal hands over each key as it is, and is as before afterwards."""
    if not live:
        yield
        return
    place = sys.stdin.fileno()
    before = termios.tcgetattr(place)
    tty.setraw(place, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(place, termios.TCSAFLUSH, before)  # without what came in and nobody read
        sys.stdout.write("\r\n")
        sys.stdout.flush()


def _size() -> tuple[int, int]:
    try:
        size = os.get_terminal_size()
    except OSError:  # no terminal
        return 80, 24
    return size.columns or 80, size.lines or 24
