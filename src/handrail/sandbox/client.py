"""The server's end of the launcher: starts it when it is first needed, sends orders, hands on what it reports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import shutil
import socket
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct, field

from handrail.errors import SandboxError
from handrail.sandbox.linux import receive
from handrail.sandbox.orders import Order
from handrail.sandbox.seccomp import filter_program

SCRIPT = Path(__file__).with_name("launcher.py")

Settled = TypeVar("Settled")


class Ended(Struct, frozen=True):
    """How a started process ended; `ran` is whether the command itself was ever executed."""

    code: int
    ran: bool
    detail: str = ""


class Started(Struct):
    """One order under way."""

    id: int
    running: asyncio.Future[int]
    """pid of the outermost process, once the command is about to be executed"""
    ended: asyncio.Future[Ended]
    door: socket.socket | None = None
    forked: int = 0
    """pid of what a kiln forked into the walls of that process; 0 for nothing"""
    detail: list[str] = field(default_factory=list)


class LauncherClient:
    """A running launcher, bound to the event loop that started it.

    Args:
        scratch: a directory that the launcher removes when it ends, however the server ends.
    """

    def __init__(self, scratch: Path | None = None) -> None:
        self.scratch = scratch
        self._loop = asyncio.get_running_loop()
        self._orders: dict[int, Started] = {}
        self._last = 0
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = os.memfd_create("seccomp")
        try:
            os.write(program, filter_program(platform.machine()) or b"")
            os.lseek(program, 0, os.SEEK_SET)
            for descriptor in (theirs.fileno(), program):
                os.set_inheritable(descriptor, True)
            words = [sys.executable, "-I", "-S", str(SCRIPT), str(theirs.fileno()), str(program)]
            words += [str(scratch)] if scratch else []
            # the launcher inherits neither our environment nor any variable that steers Python
            self.pid = os.posix_spawn(sys.executable, words, {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"})
        except OSError as error:
            ours.close()
            raise SandboxError(f"sandbox: the launcher could not be started: {error.strerror}") from error
        finally:
            theirs.close()
            os.close(program)
        ours.setblocking(False)
        self._socket = ours
        self._loop.add_reader(ours.fileno(), self._receive)
        self._finalizer = weakref.finalize(self, _reap, ours, self.pid, scratch)

    @property
    def alive(self) -> bool:
        """Whether orders can be sent, from this event loop."""
        return self._finalizer.alive and not self._loop.is_closed() and self._loop is asyncio.get_running_loop()

    async def start(self, order: Order, stdio: Sequence[int]) -> Started:
        """Send an order with its three descriptors (which stay the caller's to close).

        Raises:
            SandboxError: the launcher is gone.
        """
        self._last += 1
        order["id"] = self._last
        started = Started(self._last, self._loop.create_future(), self._loop.create_future())
        self._orders[started.id] = started
        body = os.memfd_create("order")
        try:
            with os.fdopen(os.dup(body), "wb") as file:
                file.write(json.dumps(order).encode())
            await self._send({"op": "start"}, [body, *stdio])
        except BaseException:
            self._orders.pop(started.id, None)
            raise
        finally:
            os.close(body)
        return started

    async def signal(self, started: Started, number: int) -> None:
        """Send a signal to everything that belongs to an order; nothing happens after its end."""
        if not started.ended.done():
            with contextlib.suppress(SandboxError):
                await self._send({"op": "signal", "id": started.id, "signal": int(number)}, [])

    def close(self) -> None:
        """End the launcher and everything it started."""
        if self._finalizer.alive:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._socket.fileno())
            self._lost()
            self._finalizer()

    async def _send(self, message: dict[str, object], descriptors: list[int]) -> None:
        data = json.dumps(message).encode()
        while True:
            try:
                socket.send_fds(self._socket, [data], descriptors)
            except BlockingIOError:
                await asyncio.sleep(0.002)
            except OSError as error:
                self._lost()
                raise SandboxError("sandbox: the launcher has ended: start the process again") from error
            else:
                return

    def _receive(self) -> None:
        while True:
            try:
                data, descriptors = receive(self._socket)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                self.close()
                return
            self._take(json.loads(data), descriptors)

    def _take(self, message: dict[str, Any], descriptors: list[int]) -> None:
        started = self._orders.get(message["id"])
        if started is None:
            for descriptor in descriptors:
                os.close(descriptor)
            return
        match message["event"]:
            case "door":
                started.door = socket.socket(fileno=descriptors[0])
            case "detail":
                started.detail.append(str(message["text"]))
            case "forked":
                started.forked = int(message["pid"])
            case "started":
                _settle(started.running, int(message["pid"]))
            case "ended":
                del self._orders[started.id]
                if message["ran"]:
                    # it was over before anybody saw it begin
                    _settle(started.running, int(message["pid"]))
                if message["detail"]:
                    started.detail.append(str(message["detail"]).strip())
                _settle(started.ended, Ended(int(message["code"]), bool(message["ran"]), "; ".join(started.detail)))

    def _lost(self) -> None:
        for started in self._orders.values():
            _settle(started.ended, Ended(-9, ran=started.running.done(), detail="the launcher ended"))
        self._orders.clear()


def _settle(future: asyncio.Future[Settled], value: Settled) -> None:
    if not future.done():
        future.set_result(value)


def _reap(control: socket.socket, pid: int, scratch: Path | None) -> None:
    control.close()
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    if scratch is not None:
        # it is still there if the launcher was killed
        shutil.rmtree(scratch, ignore_errors=True)
