"""Where a conversation is shown and typed: a pipe, or a terminal with an input line below what scrolls by."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Protocol, TextIO

from msgspec import Struct
from prompt_toolkit import PromptSession
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import FileHistory

from handrail.cli.layout import Span, colourful, columns, fit, line, paint
from handrail.cli.options import STDIN_LIMIT, decoded
from handrail.cli.render import ASCII, UNICODE, Glyphs, Out, Stream
from handrail.errors import InvalidInput


class Typed(Struct, frozen=True):
    """A line that a person, or a pipe, gave."""

    text: str


class Interrupt(Struct, frozen=True):
    """Ctrl-C, and when it came (`time.monotonic`): what it is compared with may be handled much later."""

    at: float


class Eof:
    """Ctrl-D, or the end of the pipe."""


Key = Typed | Interrupt | Eof


class Screen(Protocol):
    """What a conversation needs of its surroundings."""

    live: bool
    """a person types here and can answer questions"""

    def show(self, out: Iterable[Out]) -> None:
        """Write lines and streamed text."""
        ...

    def status(self, told: Callable[[], str]) -> None:
        """What to show beside the input line; asked anew at each drawing."""
        ...

    def ring(self) -> None:
        """Call a person who looks elsewhere."""
        ...

    def keys(self) -> AsyncIterator[Key]:
        """What is typed, until the end of input."""
        ...


def glyphs(stream: TextIO) -> Glyphs:
    """The signs that the stream's encoding can carry."""
    return UNICODE if (stream.encoding or "").lower().replace("-", "").startswith("utf") else ASCII


class Pipe:
    """Plain output; input is read line by line from stdin, which may be a pipe, a file or a bare terminal."""

    live = False

    def __init__(self, out: TextIO, *, reads: bool = True) -> None:
        self._out = out
        self._reads = reads
        self._colour = colourful(out)
        self._open = False
        self._given: asyncio.Queue[bytes | Key] = asyncio.Queue()

    def show(self, out: Iterable[Out]) -> None:
        """Write at once; a line first ends streamed text that is still open."""
        for piece in out:
            if isinstance(piece, Stream):
                if piece.text == "\n" and not self._open:
                    continue
                self._out.write(paint((Span(piece.text, piece.style),), colour=self._colour))
                self._open = not piece.text.endswith("\n")
            else:
                self._out.write(("\n" if self._open else "") + paint(piece, colour=self._colour) + "\n")
                self._open = False
        self._out.flush()

    def status(self, told: Callable[[], str]) -> None:
        """A pipe has no place for it."""

    def ring(self) -> None:
        """What a pipe feeds has no bell."""

    async def keys(self) -> AsyncIterator[Key]:
        """Lines of stdin, with Ctrl-C in between.

        Raises:
            InvalidInput: a line is not UTF-8, or above 16 MiB.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: self._given.put_nowait(Interrupt(time.monotonic())))
        if self._reads:
            # a daemon thread with plain reads: it works for files too, and a read that never ends holds up no exit
            threading.Thread(target=_pour, args=(loop, self._given.put_nowait), daemon=True).start()
        try:
            while True:
                given = await self._given.get()
                if isinstance(given, bytes):
                    given = Typed(_text(given))
                yield given
        finally:
            loop.remove_signal_handler(signal.SIGINT)


def _pour(loop: asyncio.AbstractEventLoop, give: Callable[[bytes | Key], None]) -> None:
    """Read stdin to its end and hand over each line."""
    rest = b""
    with contextlib.suppress(RuntimeError, OSError):  # the loop is closed, or stdin is
        while len(rest) <= STDIN_LIMIT and (piece := os.read(0, 1 << 16)):
            *lines, rest = (rest + piece).split(b"\n")
            for raw in lines:
                loop.call_soon_threadsafe(give, raw)
        if rest:
            loop.call_soon_threadsafe(give, rest)
        loop.call_soon_threadsafe(give, Eof())


def _text(raw: bytes) -> str:
    if len(raw) > STDIN_LIMIT:
        raise InvalidInput("stdin", f"a line above {STDIN_LIMIT >> 20} MiB", "send shorter lines")
    return decoded(raw).rstrip("\r\n")


class Terminal:
    """An input line that stays at the bottom while the conversation scrolls above it.

    Args:
        history: file that keeps what was typed, readable by its owner only.
    """

    live = True

    def __init__(self, history: Path) -> None:
        with contextlib.suppress(OSError):
            history.touch(mode=0o600)
        self._session: PromptSession[str] = PromptSession(
            history=FileHistory(str(history)) if os.access(history, os.W_OK) else None,
            message=self._above,
            erase_when_done=True,
            refresh_interval=0.5,
            reserve_space_for_menu=0,
        )
        self._colour = colourful(sys.stdout)
        self._open: list[Span] = []
        self._told: Callable[[], str] = str

    def status(self, told: Callable[[], str]) -> None:
        """Shown right above the input line."""
        self._told = told

    def show(self, out: Iterable[Out]) -> None:
        """Whole lines scroll; the unfinished line of a stream stands above the input until it is whole."""
        done: list[str] = []
        for piece in out:
            if isinstance(piece, Stream):
                *whole, rest = piece.text.split("\n")
                done += [self._closed(Span(text, piece.style)) for text in whole]
                if rest:
                    self._open.append(Span(rest, piece.style))
            else:
                if self._open:
                    done.append(self._closed())
                done.append(paint(piece, colour=self._colour))
        if done:
            self._scroll("\n".join(done) + "\n")
        self._session.app.invalidate()

    def ring(self) -> None:
        """The terminal's bell: a sound, a flash or a mark at the window, as its user has set it."""
        self._session.app.output.bell()

    def _scroll(self, text: str) -> None:
        """Write above the input line. The terminal stays raw meanwhile, so that a key pressed just then is not lost."""
        app = self._session.app
        if not app.is_running:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        app.renderer.erase()
        app.output.write_raw(text)
        app.output.flush()
        app.renderer.request_absolute_cursor_position()

    def _closed(self, *more: Span) -> str:
        row, self._open = (*self._open, *more), []
        return paint(row, colour=self._colour)

    def _above(self) -> ANSI:
        rows: list[str] = []
        if self._open:
            rows.append(paint(tuple(self._open), colour=self._colour))
        if told := self._told():
            rows.append(paint(line(Span(fit(told, columns() - 2), "dim")), colour=self._colour))
        return ANSI("\n".join([*rows, "> "]))

    async def keys(self) -> AsyncIterator[Key]:
        """What is entered; Ctrl-C and Ctrl-D come as such, and the input line comes back after Ctrl-C."""
        while True:
            try:
                text = await self._session.prompt_async()
            except KeyboardInterrupt:
                yield Interrupt(time.monotonic())
            except EOFError:
                yield Eof()
                return
            else:
                yield Typed(text)
