"""Shells that a person opens inside a session's walls, while they hold the session.

A shell is a process of the session's box, without a door and so without network, in the same files and the same home
as the agent. It outlives a lost line for `GRACE` seconds, and keeps the end of what it said for whoever comes back. It
ends with the last one who looks, with the session, and as soon as the agent is in control again.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from handrail.errors import Conflict, InvalidInput, NotFound
from handrail.kinds import Kind
from handrail.sandbox import Process, terminal
from handrail.sessions.actor import Actor
from handrail.store.log import Draft
from handrail.types import Control, SessionId, SessionState

GRACE = 30.0
"""seconds that a shell waits for somebody to come back"""
KEPT = 256 << 10
"""bytes of what it said that are kept for them"""
MOST = 4
"""shells of one session at a time"""
LARGEST = 500
"""columns, and rows"""
RETAKEN = "The agent is in control again: the shell has ended."
_REMEMBERED = 64
"""shells that have ended, of which it is known still why"""
_CHUNK = 1 << 14
# nothing that the agent may have left in the home is run before the first prompt of the person
_SHELL = ("/bin/bash", "--noprofile", "--norc", "-i")
_ENVIRONMENT = {
    "TERM": "xterm-256color",
    "PS1": r"\[\e[1;34m\]\W\[\e[0m\] \$ ",
    "HISTFILE": "/dev/null",
    "INPUTRC": "/dev/null",
}


class Shell:
    """One shell.

    Args:
        actor: its session, which is kept alive by whoever opened it.
        process: `sandbox.terminal` inside the walls.
    """

    def __init__(self, actor: Actor, process: Process) -> None:
        self.id = secrets.token_hex(8)
        self.viewers = 0
        """who looks at it now"""
        self.total = 0
        """bytes that it has said in all"""
        self._actor = actor
        self._process = process
        self._kept = bytearray()
        self._news = asyncio.Event()
        self.ended = False
        self.why = "The shell has ended."
        """what whoever looks is told at its end"""

    @property
    def held(self) -> bool:
        """Whether a person holds the session, so that they may type."""
        return self._actor.record.row.control == Control.YOU and self.lives

    @property
    def lives(self) -> bool:
        """Whether the session has not ended."""
        return self._actor.record.row.state != SessionState.ENDED

    @property
    def first(self) -> int:
        """The first byte of what it said that is still kept."""
        return self.total - len(self._kept)

    async def pump(self) -> None:
        """Take what it says until it ends."""
        while said := await self._process.stdout.read(_CHUNK):
            self._kept += said
            del self._kept[:-KEPT]
            self.total += len(said)
            self.wake()
        self.ended = True
        self.wake()

    async def said(self, after: int) -> tuple[bytes, int]:
        """What it said behind the byte `after`, as soon as there is any, and where that ends; nothing at its end."""
        while self.total <= after and not self.ended:
            await self._news.wait()
        return bytes(self._kept[max(0, after - self.first) :]), self.total

    async def type(self, text: str) -> None:
        """Send what was typed.

        Raises:
            Conflict: the agent is in control.
        """
        if not self.held:
            raise Conflict("the agent is in control of this session: take it over to type")
        await self._send(terminal.frame(terminal.TYPED, text.encode("utf-8", "replace")))

    async def resize(self, columns: int, rows: int) -> None:
        """Give it another size."""
        await self._send(terminal.size(sized("columns", columns), sized("rows", rows)))

    async def kill(self, why: str | None = None) -> None:
        """End it and all that runs in it; `why` is what whoever looks is told."""
        self.why = why or self.why
        await self._process.kill()

    async def _send(self, given: bytes) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # it has just ended
            self._process.stdin.write(given)
            await self._process.stdin.drain()

    def wake(self) -> None:
        """Tell whoever waits to look again."""
        self._news.set()
        self._news = asyncio.Event()


class Shells:
    """All shells of one server.

    Args:
        use: holds the actor of a session.
    """

    def __init__(self, use: Callable[[SessionId], AbstractAsyncContextManager[Actor]]) -> None:
        self._use = use
        self._open: dict[SessionId, dict[str, Shell]] = {}
        self._ends: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, session: SessionId, columns: int, rows: int, by: str) -> Shell:
        """A new shell inside the walls of a session that a person holds.

        Raises:
            Conflict: the agent is in control, the session has ended, or too many are open.
            SandboxError: the walls do not hold.
        """
        words = (str(sized("columns", columns)), str(sized("rows", rows)), *_SHELL)
        async with AsyncExitStack() as holding:
            actor = await holding.enter_async_context(self._use(session))
            row = actor.record.row
            if row.state == SessionState.ENDED:
                raise Conflict(f"session {session} has ended: its files can be read, nothing runs there any more")
            if row.control != Control.YOU:
                raise Conflict(f"the agent is in control of session {session}: take it over first")
            if len(self._open.get(session, {})) >= MOST:
                raise Conflict(f"session {session} has {MOST} shells open: close one first")
            box = await actor.workplace.box()
            helper = (sys.executable, "-I", "-S", str(Path(terminal.__file__).resolve()))
            process = await box.start(
                (*helper, *words),
                env={**_ENVIRONMENT, "PATH": actor.workplace.search_path()},
                cwd=box.walls.workspace,
                stdout_limit=_CHUNK,
            )
            shell = Shell(actor, process)
            self._open.setdefault(session, {})[shell.id] = shell
            text = f"A shell was opened inside the walls by {by}"
            await actor.record.write(Draft(Kind.NOTICE, {"level": "info", "text": text}))
            keeping = holding.pop_all()
            task = asyncio.create_task(self._follow(session, shell, keeping), name=f"shell {shell.id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return shell

    def find(self, session: SessionId, identity: str) -> Shell:
        """An open shell.

        Raises:
            NotFound: it is none of this session, or has ended.
        """
        shell = self._open.get(session, {}).get(identity)
        if shell is None:
            raise NotFound(self._ends.get(identity, f"session {session} has no such shell: it has ended"))
        return shell

    async def retake(self, session: SessionId) -> None:
        """End the shells of a session whose agent is in control now, however soon it gives control back."""
        await asyncio.gather(*(shell.kill(RETAKEN) for shell in list(self._open.get(session, {}).values())))

    async def stop(self) -> None:
        """End them all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, session: SessionId, shell: Shell, keeping: AsyncExitStack) -> None:
        """Keep a shell until it ends by itself, or nobody has looked at it for a while."""
        async with keeping:
            pumping = asyncio.create_task(shell.pump(), name=f"output of shell {shell.id}")
            alone = 0.0
            try:
                while not pumping.done() and alone < GRACE:
                    await asyncio.wait({pumping}, timeout=1.0)
                    alone = alone + 1.0 if shell.viewers == 0 else 0.0
                    if not shell.held:
                        shell.why = RETAKEN if shell.lives else "The session has ended, and its shells with it."
                        break
            finally:
                await shell.kill()
                pumping.cancel()
                await asyncio.gather(pumping, return_exceptions=True)
                shell.ended = True
                shell.wake()
                self._ends[shell.id] = shell.why
                for forgotten in list(self._ends)[:-_REMEMBERED]:
                    del self._ends[forgotten]
                self._open[session].pop(shell.id, None)
                if not self._open[session]:
                    del self._open[session]


def sized(name: str, value: int) -> int:
    """A width or a height that a terminal can have.

    Raises:
        InvalidInput: it cannot.
    """
    if not 1 <= value <= LARGEST:
        raise InvalidInput(name, value, f"give a whole number from 1 to {LARGEST}")
    return value
