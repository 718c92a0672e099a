"""One running agent process of a session: started inside the box, spoken to over ACP, ended for certain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from msgspec import Struct

from handrail.agents import Capabilities, Endpoint, Launch, Link, OnPermission, OnUpdate
from handrail.agents.catalogue import AgentSpec
from handrail.agents.link import AcpLink
from handrail.errors import AgentError, HandrailError
from handrail.sandbox import Box, Door, Exit, Process
from handrail.sessions import outside

TRANSCRIPT_LIMIT = 256 << 20
"""bytes of raw protocol kept for one session; beyond it the file starts anew"""
WRITE_AFTER = 0.05
"""seconds that a message waits for others"""
WRITE_AT_ONCE = 1 << 16
"""bytes of a message that waits for none"""


class Transcript:
    """The raw ACP messages of a session, one JSON line each with direction and time, appended soon after they passed.

    They are written together: each write of its own made the loop wait for its turn behind every other thread. Whoever
    kills the server loses the last `WRITE_AFTER` seconds of this file, and nothing of the session's log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._size = 0
        self._waiting: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self.heard = time.monotonic()
        """when the agent last said anything (monotonic seconds)"""

    def __call__(self, direction: str, line: bytes) -> None:
        """`agents.OnRaw`: note that the agent spoke and keep the line."""
        if direction == "in":
            self.heard = time.monotonic()
        said = b'{"%s":%.3f,"message":%s}\n' % (direction.encode(), time.time(), line.strip() or b"null")
        self._waiting.append(said)
        if len(said) > WRITE_AT_ONCE:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_AFTER, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        if waiting:
            with contextlib.suppress(OSError):  # a full disk leaves a hole here; that it is full, the log says
                self._write(b"".join(waiting))

    def _write(self, lines: bytes) -> None:
        if self._file is None:
            self._file = self._path.open("ab", buffering=0)
            self._path.chmod(0o600)
            self._size = self._file.tell()
        if self._size > TRANSCRIPT_LIMIT:
            self._file.truncate(0)
            self._size = 0
        self._size += self._file.write(lines)

    def close(self) -> None:
        """Write what waits and close the file; the next message opens it again."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None


class RunningAgent(Struct):
    """An agent process with its connection. `how` says where its memory comes from: new, loaded or lost."""

    process: Process
    link: Link
    capabilities: Capabilities
    agent_session: str
    how: str
    ended: asyncio.Task[Exit]

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return not self.ended.done()

    async def stop(self) -> Exit:
        """End the connection and the process, gently first."""
        await self.link.close()
        return await self.process.stop()

    async def kill(self) -> Exit:
        """End the process now."""
        exit_ = await self.process.kill()
        await self.link.close()
        return exit_


class Start(Struct, frozen=True):
    """All that starting an agent needs."""

    spec: AgentSpec
    launch: Launch
    box: Box
    door: Door
    folder: Path
    """the session's own folder on the host"""
    timeout: float
    asks: bool
    """the agent must ask before it acts"""
    endpoint: Endpoint | None = None
    """where it finds the MCP server of its session, and models unless it has a login of its own"""
    untrusted: bool = False
    """it is to read no settings of its work tree"""


async def start(
    order: Start, known: str | None, transcript: Transcript, on_update: OnUpdate, on_permission: OnPermission
) -> RunningAgent:
    """Start the agent and open its session: the one it had (`known`) where it really can load it, else a new one.

    Raises:
        AgentError: it did not start, did not answer in time, or refused its mode.
        SandboxError: the walls could not be raised.
    """
    launch = order.launch
    await asyncio.to_thread(_write_home, order.box.walls.home, launch, order.box.walls.uid)
    process = await order.box.start(
        launch.argv,
        env=launch.env,
        cwd=order.box.walls.workspace,
        door=order.door,
        stderr_file=order.folder / "agent.log",
        warm=launch.warm,
    )
    link = AcpLink(
        order.spec,
        process.stdout,
        process.stdin,
        on_update=on_update,
        on_permission=on_permission,
        on_raw=transcript,
    )
    link.asks = order.asks
    if order.untrusted:
        link.meta = dict(order.spec.untrusted.meta)
    try:
        async with asyncio.timeout(order.timeout):
            capabilities = await link.initialize()
            if order.endpoint is not None:
                link.servers = outside.servers(order.spec.name, order.endpoint, capabilities)
            how, agent_session = await _open(link, known, order.box.walls.workspace)
    except (HandrailError, TimeoutError) as error:
        tail = process.stderr_tail().strip()
        await process.kill()
        await link.close()
        raise _not_started(order, error, tail) from error
    except asyncio.CancelledError:
        await process.kill()
        await link.close()
        raise
    ended = asyncio.create_task(process.wait(), name=f"agent {process.pid}")
    return RunningAgent(process, link, capabilities, agent_session, how, ended)


async def _open(link: Link, known: str | None, cwd: Path) -> tuple[str, str]:
    if known is not None and await link.load_session(known, cwd):
        return "loaded", known
    return ("new" if known is None else "lost"), await link.new_session(cwd)


def _not_started(order: Start, error: Exception, tail: str) -> AgentError:
    if isinstance(error, TimeoutError):
        what = f"did not answer its handshake within {order.timeout:.0f} s"
    else:
        what = str(error)
    said = f"; it last said: {tail[-300:]}" if tail else ""
    return AgentError(f"agent {order.spec.name}: {what}{said}")


def _write_home(home: Path, launch: Launch, uid: int | None) -> None:
    """Write the agent's settings into its private home, never through a link that an earlier turn planted."""
    root = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for name, content in launch.files.items():
            _write_under(root, Path(name), content, uid)
    finally:
        os.close(root)


def erase_home(home: Path, names: Iterable[str]) -> None:
    """Remove files from a session's private home, never through a link that its agent planted; what is missing is so.

    Args:
        home: the home; it need not be there.
        names: paths below it.

    Raises:
        OSError: something else stood in the way.
    """
    for name in map(Path, names):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            here = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                for part in name.parts[:-1]:
                    below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
                    os.close(here)
                    here = below
                os.unlink(name.name, dir_fd=here)
            finally:
                os.close(here)


def _write_under(root: int, name: Path, content: str, uid: int | None) -> None:
    here = os.dup(root)
    try:
        for part in name.parts[:-1]:
            try:
                os.mkdir(part, 0o700, dir_fd=here)
                if uid is not None:
                    os.chown(part, uid, uid, dir_fd=here, follow_symlinks=False)
            except FileExistsError:
                pass
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        temporary = f".{name.name}.handrail"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=here)
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=here)
        with os.fdopen(file, "w", encoding="utf-8") as out:
            out.write(content)
            if uid is not None:
                os.fchown(out.fileno(), uid, uid)
        os.rename(temporary, name.name, src_dir_fd=here, dst_dir_fd=here)
    except OSError as error:
        raise AgentError(f"the agent's settings could not be written to {name}: {error.strerror}") from error
    finally:
        os.close(here)
