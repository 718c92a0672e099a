"""The launcher: a small single-threaded process that starts what runs inside walls. Standard library only.

A server starts one (`python -I -S launcher.py FD`) and talks to it over a SOCK_SEQPACKET socket. It exists because
four things cannot be done safely from a threaded server: staging mounts as root, changing to another uid, entering a
new network namespace to bind the door there before any untrusted code runs, and outliving a SIGKILL of the server just
long enough to end everything (it reads end-of-file on its socket).

Nothing of ours runs inside the walls: bwrap waits on `--block-fd` while a forked fitter sets the limits of the inner
process from outside (prlimit) and enters its user and network namespaces (setns) to bind the door.

Messages to it: `{"op": "start"}` with descriptors [order, stdin, stdout, stderr], `{"op": "signal", id, signal}`.
Messages from it: `door` (with the listening socket), `started`, `detail`, `ended`. `orders.Order` is an order.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import shutil
import signal
import socket
import sys
import termios
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING or __package__:
    from handrail.sandbox import kiln, linux
    from handrail.sandbox.orders import Order
else:  # the script itself runs without any package on its path
    sys.path.append(str(Path(__file__).parent))
    import kiln
    import linux


def become(order: Order, stdio: list[int], made: dict[str, int], parent: int, seccomp: bytes) -> NoReturn:
    """Turn this forked child into the ordered process. Never returns."""
    os.umask(0o022)
    linux.listen_to_signals()
    linux.join(order["cgroups"])
    if order["stage"]:
        linux.stage(order["stage"])
    if order["uid"] is not None:
        linux.drop(order["uid"])
    linux.die_with(parent)
    for target, descriptor in enumerate(stdio):
        os.dup2(descriptor, target, inheritable=True)
    linux.limit(order["rlimits"])
    if order["walled"]:
        held = made.pop("held", None)
        argv = with_descriptors(order, made, seccomp) if held is None else holding(held, order, made, seccomp)
    else:
        argv = order["argv"]
        os.setsid()
        os.chdir(order["cwd"])
    os.execvpe(argv[0], argv, order["env"])  # noqa: S606


def with_descriptors(order: Order, made: dict[str, int], seccomp: bytes) -> list[str]:
    """The command line of bwrap, once everything it reads from a descriptor has one."""
    made |= {name: linux.memory_file(name, text.encode()) for name, text in order["data"].items()}
    made["seccomp"] = linux.memory_file("seccomp", seccomp)
    numbers = {f"\0{name}": str(number) for name, number in made.items()}
    words = [os.fsencode(numbers.get(word, word)) for word in order["args"]]
    made["args"] = linux.memory_file("args", b"\0".join(words))
    for descriptor in made.values():
        os.set_inheritable(descriptor, True)
    return [str(made["args"]) if word == "\0args" else word for word in order["argv"]]


def holding(held: int, order: Order, made: dict[str, int], seccomp: bytes) -> list[str]:
    """The same with a shell round the command, which waits for a word at the descriptor `held`."""
    # shells know descriptors of one digit only
    digit = next(number for number in range(3, 10) if number not in made.values())
    os.dup2(held, digit, inheritable=True)
    argv = with_descriptors(order, made, seccomp)
    at = argv.index("--") + 1
    return [*argv[:at], "/bin/sh", "-c", kiln.HOLD.format(digit), "sh", *argv[at:]]


def fit(control: socket.socket, order: Order, inner: int, pidfd: int, release: int) -> None:
    """Set the inner process's limits, bind the door in its network namespace, and let it go on."""
    if order["uid"] is not None:
        linux.drop(order["uid"])
    limit = order["processes"]
    resource.prlimit(inner, resource.RLIMIT_NPROC, (limit, limit))
    if order["door"] is not None:
        linux.check(linux.libc.setns(pidfd, linux.CLONE_NEWUSER | linux.CLONE_NEWNET), "entering the network namespace")
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # bwrap may not have brought loopback up yet
        door.setsockopt(socket.IPPROTO_IP, linux.IP_FREEBIND, 1)
        door.bind(("127.0.0.1", order["door"]))
        door.listen(128)
        socket.send_fds(control, [json.dumps({"id": order["id"], "event": "door"}).encode()], [door.fileno()])
    os.write(release, b"x")


class Child:
    """One started process, from fork until nothing of it is left."""

    def __init__(self, order: Order, pid: int, status: int, release: int, fork: kiln.Fork | None = None) -> None:
        self.order = order
        self.fork = fork
        self.signalled = False
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.status = status  # bwrap's --json-status-fd, or the error pipe of a bare command
        self.release = release  # our end of bwrap's --block-fd; -1 once closed
        self.text = b""
        self.inner = 0
        self.inner_pidfd = -1
        self.fitter = 0
        self.fitted = False
        self.started = False
        self.code: int | None = None
        self.inner_gone = True

    @property
    def ran(self) -> bool:
        """Whether the command itself was executed (bwrap reports its exit status only then)."""
        return b"exit-code" in self.text if self.order["walled"] else not self.text


class Launcher:
    """The loop: takes orders, follows its children, and ends them all when its server is gone."""

    def __init__(self, control: socket.socket, seccomp: bytes) -> None:
        self.control = control
        self.seccomp = seccomp
        self.children: dict[int, Child] = {}
        # not poll, which would look at every idle session's descriptors each time
        self.poll = select.epoll()
        self.watched: dict[int, tuple[Child, str]] = {}
        self.poll.register(control, select.EPOLLIN)
        self.kiln = kiln.Kiln(seccomp)

    def serve(self) -> None:
        """Run until the server closes its end, then kill what is left."""
        while True:
            ready = [
                (descriptor, self.watched.get(descriptor)) for descriptor, _ in self.poll.poll(self.kiln.patience())
            ]
            for descriptor, watch in ready:
                if descriptor == self.control.fileno():
                    if not self.receive():
                        self.end_all()
                        return
                elif watch is None and self.kiln.control is not None and descriptor == self.kiln.control.fileno():
                    self.on_kiln(self.kiln.control)
                # an earlier one of this round may have closed it, and its number may belong to another by now
                elif watch is not None and self.watched.get(descriptor) is watch:
                    getattr(self, f"on_{watch[1]}")(watch[0])
            self.kiln.hurry()

    def send(self, **message: object) -> None:
        """Tell the server; it being gone is noticed by `receive`."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.control.send(json.dumps(message).encode())

    def receive(self) -> bool:
        """Take one message; False at the end of the connection."""
        try:
            body, descriptors = linux.receive(self.control)
        except ConnectionResetError:
            return False
        if not body:
            return False
        message = json.loads(body)
        if message["op"] == "start":
            try:
                self.start(descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
        elif (child := self.children.get(message["id"])) is not None:
            self.signal(child, message["signal"])
        return True

    def start(self, descriptors: list[int]) -> None:
        """Fork one ordered process."""
        with open(os.dup(descriptors[0]), "rb") as file:  # noqa: PTH123
            file.seek(0)
            order: Order = json.loads(file.read())
        status_read, status_write = os.pipe()
        block_read, block_write = os.pipe()
        parent = os.getpid()
        if order["walled"]:
            # an inner process whose bwrap dies before it can tell of it becomes ours, not init's
            linux.check(linux.libc.prctl(linux.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "PR_SET_CHILD_SUBREAPER")
        before = self.kiln.control
        fork = self.kiln.prepare(order["warm"], descriptors)
        if self.kiln.control is not None and before is None:
            self.poll.register(self.kiln.control, select.EPOLLIN)
        pid = os.fork()
        if pid == 0:
            made = {"block": block_read, "status": status_write} | ({"held": fork.held} if fork else {})
            try:
                become(order, descriptors[1:], made, parent, self.seccomp)
            except BaseException as error:  # noqa: BLE001  # a forked child may only exit
                text = error.strerror or str(error) if isinstance(error, OSError) else str(error)
                prefix = f"{os.fsdecode(error.filename)}: " if isinstance(error, OSError) and error.filename else ""
                os.write(status_write, f"{prefix}{text}\n".encode(errors="replace"))
            finally:
                os._exit(126)
        os.close(status_write)
        os.close(block_read)
        if fork is not None:
            os.close(fork.held)
        child = Child(order, pid, status_read, block_write, fork)
        self.children[order["id"]] = child
        self.watch(child.pidfd, child, "exit")
        self.watch(status_read, child, "status")

    def watch(self, descriptor: int, child: Child, what: str, events: int = select.EPOLLIN) -> None:
        """Call `on_<what>(child)` whenever `descriptor` has something to say."""
        self.watched[descriptor] = (child, what)
        self.poll.register(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Stop watching."""
        if self.watched.pop(descriptor, None) is not None:
            self.poll.unregister(descriptor)

    def on_status(self, child: Child) -> None:
        """Take what bwrap says of itself, or notice that a bare command was executed."""
        data = os.read(child.status, 65536)
        child.text += data
        if not data:
            self.forget(child.status)
            if not child.order["walled"] and not child.text:
                child.started = True
                self.send(id=child.order["id"], event="started", pid=child.pid)
        elif child.order["walled"] and not child.inner and b"\n" in child.text:
            self.on_inner(child)

    def on_inner(self, child: Child) -> None:
        """The inner process exists: fit it while bwrap goes on with the mounts."""
        try:
            child.inner = int(json.loads(child.text.splitlines()[0])["child-pid"])
            child.inner_pidfd = os.pidfd_open(child.inner)
        except (ValueError, KeyError, OSError):
            return  # it ended already, or a sentence of ours stands there: `on_exit` tells
        child.inner_gone = False
        self.watch(child.inner_pidfd, child, "inner_exit")
        self.watch(child.release, child, "release", 0)
        child.fitter = os.fork()
        if child.fitter == 0:
            code = 1
            try:
                fit(self.control, child.order, child.inner, child.inner_pidfd, child.release)
                code = 0
            except (OSError, linux.Failure, ValueError) as error:
                self.send(id=child.order["id"], event="detail", text=f"fitting the walls: {error}")
            finally:
                os._exit(code)

    def on_release(self, child: Child) -> None:
        """Bwrap let go of its block descriptor: its set-up is complete if it took the byte, else it failed."""
        self.forget(child.release)
        child.fitted = os.waitstatus_to_exitcode(os.waitpid(child.fitter, 0)[1]) == 0
        child.fitter = 0
        left = int.from_bytes(fcntl.ioctl(child.release, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder)
        os.close(child.release)
        child.release = -1
        if child.fitted and left == 0:
            child.started = True
            self.send(id=child.order["id"], event="started", pid=child.pid, inner=child.inner)
            if child.fork is not None:
                if child.fork.ask(self.kiln, child.inner, child.inner_pidfd):
                    self.watch(child.fork.report, child, "report")
                else:
                    self.start_cold(child)
        else:
            self.signal(child, signal.SIGKILL)

    def on_kiln(self, control: socket.socket) -> None:
        """The kiln is ready, or cannot be, or is gone; what it forked goes on without it."""
        self.poll.unregister(control)
        if self.kiln.listen():
            self.poll.register(control, select.EPOLLIN)
        else:
            self.end_orphans()

    def on_report(self, child: Child) -> None:
        """Take what the kiln and what it forked say. Without a word that the module runs, the command is executed."""
        fork = child.fork
        assert fork is not None  # noqa: S101
        more = fork.listen()
        if fork.pid and fork.adopted and fork.pidfd < 0:
            fork.pidfd = os.pidfd_open(fork.pid)
            self.watch(fork.pidfd, child, "fork_exit")
            self.send(id=child.order["id"], event="forked", pid=fork.pid)
        if more and not fork.told:
            return
        self.forget(fork.report)
        os.close(fork.report)
        fork.report = -1
        if fork.ran and fork.adopted:
            self.kiln.judge(good=True)
        elif fork.silent or (fork.adopted and not fork.pid):
            self.start_cold(child)
        elif not fork.adopted:
            # the kiln died over it: nobody knows what runs
            self.signal(child, signal.SIGKILL)
            self.end_orphans()
        self.finish(child)

    def on_fork_exit(self, child: Child) -> None:
        """What was forked ended: so do its walls, unless it never came to run the module."""
        fork = child.fork
        assert fork is not None  # noqa: S101
        fork.gone = True
        if fork.report >= 0:
            self.on_report(child)
        self.forget(fork.pidfd)
        os.close(fork.pidfd)
        fork.pidfd = -1
        code = os.waitstatus_to_exitcode(os.waitpid(fork.pid, 0)[1])
        fork.pid = 0
        if not fork.ran:
            self.start_cold(child)
        else:
            # as a shell tells it, and as bwrap does; it may be the walls' end that killed it
            fork.code = None if code == -signal.SIGKILL else code if code >= 0 else 128 - code
            if not child.inner_gone:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(child.inner_pidfd, signal.SIGKILL)
        self.finish(child)

    def start_cold(self, child: Child) -> None:
        """Nothing was forked into the walls: let what keeps them up become the command."""
        assert child.fork is not None  # noqa: S101
        child.fork.start_cold()
        if not child.signalled and not child.fork.silent:  # else it may have failed for that, or the kiln's end counts
            self.kiln.judge(good=False)

    def on_inner_exit(self, child: Child) -> None:
        """The first process of the pid namespace is gone, and with it, by then, every other one."""
        self.forget(child.inner_pidfd)
        child.inner_gone = True
        self.finish(child)

    def on_exit(self, child: Child) -> None:
        """The process that was forked here ended."""
        self.forget(child.pidfd)
        child.code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        if not child.order["walled"]:
            linux.sweep(child.pid, child.order["mark"])
        elif child.inner_pidfd < 0:
            self.end_orphans()
        elif not child.inner_gone:
            # until bwrap has fitted it, nothing but we would end it; afterwards bwrap may have waited for it already
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(child.inner_pidfd, signal.SIGKILL)
        self.finish(child)

    def end_orphans(self) -> None:
        """End what nobody else would: of a bwrap killed right after its clone, or of a kiln. Each may leave more."""
        while True:
            ours = {pid for pid, (parent, _) in linux.processes().items() if parent == os.getpid()}
            for child in self.children.values():
                ours -= {child.pid, child.inner, child.fitter}
                if child.fork is not None:
                    ours -= child.fork.known()
            if not ours - {self.kiln.pid}:
                return
            for pid in ours - {self.kiln.pid}:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def finish(self, child: Child) -> None:
        """Report the end once nothing is left."""
        fork = child.fork
        if child.code is None or not child.inner_gone or (fork is not None and not fork.over):
            return
        if child.status in self.watched:
            self.forget(child.status)
            while select.select([child.status], [], [], 0)[0] and (data := os.read(child.status, 65536)):
                child.text += data
        if child.fitter:
            os.waitpid(child.fitter, 0)
        if child.release >= 0:
            self.forget(child.release)
        if child.inner_pidfd >= 0:
            with contextlib.suppress(ChildProcessError):  # bwrap waited for it, unless it died first
                os.waitid(os.P_PIDFD, child.inner_pidfd, os.WEXITED | os.WNOHANG)
        del self.children[child.order["id"]]
        for descriptor in (child.pidfd, child.status, child.release, child.inner_pidfd):
            if descriptor >= 0:
                os.close(descriptor)
        code, ran = (child.code, child.ran) if fork is None or fork.code is None else (fork.code, True)
        if fork is not None:
            fork.close()
        detail = "" if ran else child.text.decode(errors="replace")
        self.send(id=child.order["id"], event="ended", pid=child.pid, code=code, ran=ran, detail=detail)

    def signal(self, child: Child, number: int) -> None:
        """Send a signal to everything inside; SIGKILL ends it all."""
        child.signalled = True
        if child.code is not None and child.order["walled"] and not child.inner:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if not child.order["walled"]:
                if number == signal.SIGKILL:
                    linux.sweep(child.pid, child.order["mark"])
                os.killpg(child.pid, number)
            elif number == signal.SIGKILL:
                if child.inner_pidfd >= 0:
                    signal.pidfd_send_signal(child.inner_pidfd, number)
                if child.code is None:
                    os.kill(child.pid, number)
            elif child.inner and not child.inner_gone:
                # bwrap made a session of its own: its group is everything that has not left it, and pid 1 ignores this;
                # so did what was forked
                fork = child.fork
                os.killpg(fork.pid if fork is not None and fork.ran and fork.pid else child.inner, number)

    def end_all(self) -> None:
        """Kill every child and all that descends from it, and wait until nothing is left."""
        for child in list(self.children.values()):
            self.signal(child, signal.SIGKILL)
        linux.sweep(os.getpid(), None, wait=True)


def main() -> None:
    """Serve the socket whose descriptor is the first argument; the second is the seccomp program's.

    A third argument is a directory that is removed at the end.
    """
    os.setsid()
    os.chdir("/")
    control, program = int(sys.argv[1]), int(sys.argv[2])
    kept = [2, *sorted((control, program)), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]
    for low, high in pairwise(kept):
        os.closerange(low + 1, high)
    with open(program, "rb") as file:
        seccomp = file.read()
    os.set_inheritable(control, False)
    try:
        Launcher(socket.socket(fileno=control), seccomp).serve()
    finally:
        for directory in sys.argv[3:]:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
