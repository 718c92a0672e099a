"""One started process as the server sees it: three pipes, an end, and the door that is open as long as it runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from msgspec import Struct

from handrail.errors import SandboxError
from handrail.sandbox import Closer, Door, Exit
from handrail.sandbox.client import Ended, LauncherClient, Started
from handrail.sandbox.orders import Order
from handrail.types import Completed

TAIL_BYTES = 8192
FILE_BYTES = 5 << 20
DRAIN_SECONDS = 2.0
START_SECONDS = 30.0
TERMINATE_SECONDS = 2.0
SLOW_READER_SECONDS = 60.0
CHUNK = 1 << 16

Sink = Callable[[bytes], None]
"""takes standard error as it comes"""


class Drain(asyncio.Protocol):
    """Takes everything that comes out of a pipe: the tail, the head up to `keep` bytes, and a file up to 5 MB.

    `sink` is given everything as it comes.
    """

    def __init__(self, file: BinaryIO | None = None, keep: int = 0, sink: Sink | None = None) -> None:
        self.tail = bytearray()
        self.head = bytearray()
        self.total = 0
        self.closed = asyncio.get_running_loop().create_future()
        self._file = file
        self._keep = keep
        self._sink = sink

    def data_received(self, data: bytes) -> None:
        """Keep what there is room for."""
        if self._sink is not None:
            self._sink(data)
        if self._keep > len(self.head):
            self.head += data[: self._keep - len(self.head)]
        if self._file is not None and self.total < FILE_BYTES:
            with contextlib.suppress(OSError):
                self._file.write(data[: FILE_BYTES - self.total])
        self.total += len(data)
        self.tail += data
        del self.tail[:-TAIL_BYTES]

    def connection_lost(self, _: Exception | None) -> None:
        """The last writer closed the pipe."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        if not self.closed.done():
            self.closed.set_result(None)

    def text(self) -> str:
        """The tail, printable."""
        return printable(bytes(self.tail))


class Output(asyncio.StreamReaderProtocol):
    """A StreamReader's protocol that tells when the pipe ended."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self.closed = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        """The last writer closed the pipe, or the deadline passed."""
        super().connection_lost(exc)
        if not self.closed.done():
            self.closed.set_result(None)


def printable(data: bytes) -> str:
    """Text of any bytes, without control characters but line feeds and tabs."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    return "".join(c if c in "\n\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


class Pipes(Struct):
    """The server's ends, connected to the loop."""

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    input: Output
    output: Output
    errors: Drain
    transports: tuple[asyncio.ReadTransport, asyncio.ReadTransport]

    def close(self) -> None:
        """Let go of all three."""
        self.close_input()
        for transport in self.transports:
            transport.close()

    def close_input(self) -> None:
        """Let go of stdin, with what was not written yet."""
        transport = self.stdin.transport
        if not transport.is_closing() or transport.get_write_buffer_size():  # else its end is on the way already
            transport.abort()


async def make_pipes(stderr_file: Path | None) -> tuple[BinaryIO | None, list[int]]:
    """Three pipes as [stdin, our end, our end, stdout, our end, stderr], and the file for what stderr says.

    Raises:
        SandboxError: no descriptor is left, or the file for stderr cannot be written.
    """
    descriptors: list[int] = []
    try:
        file = await asyncio.to_thread(_open_log, stderr_file) if stderr_file is not None else None
        for _ in range(3):
            descriptors += os.pipe()
    except OSError as error:
        for descriptor in descriptors:
            os.close(descriptor)
        raise SandboxError(f"sandbox: no pipes for the process: {error.strerror or error}") from error
    return file, descriptors


async def connect_pipes(
    ours: Sequence[int], file: BinaryIO | None, *, limit: int, keep: int, sink: Sink | None = None
) -> Pipes:
    """Connect our ends of [stdin, stdout, stderr] to the loop."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit)
    output = Output(reader)
    drain = Drain(file, keep, sink)
    feed = Output(asyncio.StreamReader())
    in_write, out_read, err_read = ours
    writing, _ = await loop.connect_write_pipe(lambda: feed, os.fdopen(in_write, "wb", 0))
    first, _ = await loop.connect_read_pipe(lambda: output, os.fdopen(out_read, "rb", 0))
    second, _ = await loop.connect_read_pipe(lambda: drain, os.fdopen(err_read, "rb", 0))
    return Pipes(asyncio.StreamWriter(writing, feed, None, loop), reader, feed, output, drain, (first, second))


def _open_log(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "wb", 0)


class BoxProcess:
    """The `Process` of every backend that starts through the launcher."""

    def __init__(
        self, client: LauncherClient, started: Started, pipes: Pipes, out_of_memory: Callable[[], bool]
    ) -> None:
        self.pid = 0
        self.stdin = pipes.stdin
        self.stdout = pipes.stdout
        self._client = client
        self._started = started
        self._pipes = pipes
        self._out_of_memory = out_of_memory
        self._killed = ""
        self._closer: Closer | None = None
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._follower = asyncio.create_task(self._follow(), name=f"sandbox-process-{started.id}")

    @property
    def errors(self) -> Drain:
        """What standard error said."""
        return self._pipes.errors

    @property
    def pids(self) -> list[int]:
        """All that runs inside descends from one of these."""
        return [pid for pid in (self.pid, self._started.forked) if pid]

    @property
    def done(self) -> bool:
        """Whether it has ended and everything of it was let go."""
        return self._exit.done()

    def stderr_tail(self) -> str:
        """The last 8 KB of standard error, made printable."""
        return self._pipes.errors.text()

    async def wait(self) -> Exit:
        """Wait for the end; safe to call more than once, and to cancel."""
        return await asyncio.shield(self._exit)

    async def kill(self, why: str = "killed") -> Exit:
        """SIGKILL everything inside; returns when nothing is left. Idempotent. `why` is the reason of its exit."""
        self._killed = self._killed or why
        await self._client.signal(self._started, signal.SIGKILL)
        return await self.wait()

    async def stop(self, grace: float = 3.0) -> Exit:
        """Close stdin, wait `grace` s, SIGTERM, wait 2 s, then `kill`."""
        with contextlib.suppress(OSError, RuntimeError):
            self.stdin.close()
        for patience in (grace, TERMINATE_SECONDS):
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(self.wait(), patience)
            if patience is grace:
                await self._client.signal(self._started, signal.SIGTERM)
        return await self.kill()

    async def release(self) -> None:
        """Kill it, and let go of its pipes even if nobody reads what is left in them."""
        await self.kill()
        self._pipes.close()
        await self._follower

    async def begin(self, door: Door | None) -> None:
        """Wait until the command is about to be executed, and open the door.

        Raises:
            SandboxError: the walls could not be raised.
        """
        running, ended = self._started.running, self._started.ended
        try:
            async with asyncio.timeout(START_SECONDS):
                waiting: set[asyncio.Future[Any]] = {running, ended}
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await self._refuse()
            self.pid = running.result()
            if door is not None and self._started.door is not None:
                listener, self._started.door = self._started.door, None
                listener.setblocking(False)
                self._closer = await door(listener)
                if self._exit.done():
                    await self._closer()
        except TimeoutError as error:
            await self.kill()
            raise SandboxError("sandbox: the walls did not stand after 30 s: the machine may be overloaded") from error
        except BaseException:
            await self.kill()
            raise

    async def _refuse(self) -> NoReturn:
        ended = await asyncio.shield(self._started.ended)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.errors.closed), DRAIN_SECONDS)
        lines = self.stderr_tail().strip().splitlines()
        lines = [line for line in lines if line.startswith("bwrap:")] or lines[-1:]
        said = "; ".join(part for part in (ended.detail, *lines) if part)
        said = said or f"the starter ended with {ended.code}"
        raise SandboxError(f"sandbox: the process could not be started: {said}{mend(said)}")

    async def _follow(self) -> None:
        transports = self._pipes.transports
        try:
            ended = await self._started.ended
            # a process that left a bare command's group may hold the pipes open
            await _drained(transports[1], self.errors.closed)
            self._pipes.close_input()
            try:
                if self._closer is not None:
                    await self._closer()
                if self._started.door is not None:
                    self._started.door.close()
                    self._started.door = None
            finally:
                self._exit.set_result(self._judge(ended))
            await _drained(transports[0], self._pipes.output.closed, slow=0.0 if self._killed else SLOW_READER_SECONDS)
        finally:
            # cancelled with its loop: nobody may wait for ever, and closing the launcher ends the process
            if not self._exit.done():
                self._exit.set_result(Exit(-signal.SIGKILL, "killed"))
                self._pipes.close()

    def _judge(self, ended: Ended) -> Exit:
        code = ended.code
        # bwrap tells a signal as a shell does
        if 128 < code < 128 + signal.NSIG:
            code = 128 - code
        if self._out_of_memory() and code != 0:
            return Exit(code, "out_of_memory")
        if self._killed and code < 0:
            return Exit(code, self._killed)
        if not ended.ran:
            return Exit(127, "exited")
        return Exit(code, "signalled" if code < 0 else "exited")


def is_reading(transport: asyncio.ReadTransport) -> bool:
    """Whether the transport takes what comes, or was paused by a reader that is behind."""
    try:
        return transport.is_reading()
    except NotImplementedError:  # pipes in the Python 3.11.2 of Debian 12 do not tell
        return not getattr(transport, "_paused", False)


async def _drained(transport: asyncio.ReadTransport, closed: asyncio.Future[None], slow: float = 0.0) -> None:
    began = time.monotonic()
    until = began + DRAIN_SECONDS
    while not closed.done():
        now = time.monotonic()
        if not is_reading(transport) and now < began + slow:
            # what its reader has not taken yet is not lost
            until = now + DRAIN_SECONDS
        elif now > until:
            transport.close()
        await asyncio.wait([closed], timeout=0.1)


def mend(said: str) -> str:
    """What to do about a failure that is known, as the end of a sentence."""
    if any(word in said for word in ("user namespace", "uid map", "new namespace")):
        return (
            ". Allow user namespaces: `sysctl kernel.unprivileged_userns_clone=1` (Debian),"
            " an AppArmor profile for bwrap (Ubuntu, `apt-get install apparmor-profiles`),"
            " or user.max_user_namespaces above 0"
        )
    if "CAP_SYS_ADMIN" in said:
        return ". Run the server as an ordinary user"
    return ""


async def launch(
    client: LauncherClient,
    order: Order,
    *,
    door: Door | None,
    stderr_file: Path | None,
    stdout_limit: int,
    keep: int = 0,
    sink: Sink | None = None,
    out_of_memory: Callable[[], bool] = lambda: False,
    listener: socket.socket | None = None,
) -> BoxProcess:
    """Start what `order` says, with pipes; `listener` is the door of a backend whose launcher makes none.

    Raises:
        SandboxError: it could not be started; nothing runs.
    """
    file, (in_read, in_write, out_read, out_write, err_read, err_write) = await make_pipes(stderr_file)
    try:
        started = await client.start(order, (in_read, out_write, err_write))
    except BaseException:
        for descriptor in (in_write, out_read, err_read):
            os.close(descriptor)
        if file is not None:
            file.close()
        raise
    finally:
        for descriptor in (in_read, out_write, err_write):
            os.close(descriptor)
    # the launcher is at work meanwhile
    pipes = await connect_pipes((in_write, out_read, err_read), file, limit=stdout_limit, keep=keep, sink=sink)
    if listener is not None:
        started.door = listener
    process = BoxProcess(client, started, pipes, out_of_memory)
    await process.begin(door)
    return process


async def complete(process: BoxProcess, *, stdin: bytes, limit: int, timeout: float) -> Completed:
    """Feed a process, read it to the end with bounds, and kill it when the time is over."""
    began = time.monotonic()
    feeding = asyncio.create_task(_feed(process.stdin, stdin))
    output = bytearray()
    size = 0

    async def read() -> Exit:
        nonlocal size
        while chunk := await process.stdout.read(CHUNK):
            size += len(chunk)
            output.extend(chunk[: max(0, limit - len(output))])
        return await process.wait()

    reading = asyncio.create_task(read())
    timed_out = False
    try:
        done, _ = await asyncio.wait([reading], timeout=timeout)
        if not done:
            timed_out = True
            await process.kill()
        ended = await reading
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        if not process.done:
            await process.kill()
        await asyncio.gather(reading, return_exceptions=True)
    cut = size > limit or process.errors.total > limit
    return Completed(
        code=ended.code,
        stdout=bytes(output),
        stderr=bytes(process.errors.head[:limit]),
        truncated=cut,
        timed_out=timed_out,
        seconds=time.monotonic() - began,
    )


async def _feed(writer: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(OSError):
        for start in range(0, len(data), CHUNK):
            writer.write(data[start : start + CHUNK])
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def close_all(processes: Sequence[BoxProcess]) -> None:
    """Kill them all, side by side, and let go of their pipes."""
    await asyncio.gather(*(process.release() for process in processes))


def door_socket(port: int = 0) -> socket.socket:
    """A listening socket on loopback for a backend without a network of its own."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # so asyncio sets TCP_NODELAY
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener
