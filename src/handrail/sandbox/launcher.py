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
import ctypes
import fcntl
import json
import os
import resource
import select
import shutil
import signal
import socket
import stat
import sys
import termios
import time
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    # the script itself runs without any package on its path
    from handrail.sandbox.orders import Order, Source

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
IP_FREEBIND = 15
# https://man7.org/linux/man-pages/man2/mount_setattr.2.html; the numbers are the same on every architecture
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_MOUNT_SETATTR = 428, 429, 442
OPEN_TREE_CLONE, AT_EMPTY_PATH, AT_RECURSIVE = 1, 0x1000, 0x8000
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 0x4, 0x40
MOUNT_ATTR_RDONLY = 1

STAGE = "/tmp"  # noqa: S108  # bwrap needs /tmp to exist too; the tmpfs over it is private to the launched process
SWEEP_SECONDS = 2.0

_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """One sentence on why the process was not started."""


def check(result: int, what: str) -> int:
    """Return `result` of a C call, or raise with its errno."""
    if result < 0:
        number = ctypes.get_errno()
        raise Failure(f"{what}: {os.strerror(number)}")
    return result


# --- as root: sources that the uid could not reach are mounted where it can ------------------------------------------


class _MountAttr(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd"))


def stage(sources: list[Source]) -> None:
    """Make a private mount namespace in which every source stands at `STAGE/name`, open to any uid."""
    check(_libc.unshare(CLONE_NEWNS), "a private mount namespace (needs CAP_SYS_ADMIN)")
    check(_libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "making mounts private")
    opened = [(source, os.open(source["path"], os.O_PATH)) for source in sources]
    options = b"mode=0755,size=1m,nr_inodes=4096"
    check(_libc.mount(b"tmpfs", STAGE.encode(), b"tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options), "staging tmpfs")
    for source, descriptor in opened:
        target = f"{STAGE}/{source['name']}"
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.mkdir(target, 0o755)  # noqa: PTH102
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o444))
        _attach(descriptor, os.open(target, os.O_PATH), source["path"], read_only=False)
        root = os.open(target, os.O_PATH)
        for relative in source["protected"]:
            below = walk(root, relative)
            _attach(below, below, f"{source['path']}/{relative}", read_only=True)


def walk(root: int, relative: str) -> int:
    """Open `relative` below the descriptor `root`, following no link in any component."""
    current = root
    for part in relative.split("/"):
        try:
            current = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=current)
        except OSError as error:
            raise Failure(f"protected path {relative}: {error.strerror}") from error
    if stat.S_ISLNK(os.fstat(current).st_mode):
        raise Failure(f"protected path {relative} is a link")
    return current


def _attach(source: int, target: int, what: str, *, read_only: bool) -> None:
    flags = OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE
    tree = check(_libc.syscall(SYS_OPEN_TREE, source, b"", flags), f"mounting {what}")
    if read_only:
        attributes = _MountAttr(attr_set=MOUNT_ATTR_RDONLY)
        size = ctypes.c_size_t(ctypes.sizeof(attributes))
        code = _libc.syscall(SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | AT_RECURSIVE, ctypes.byref(attributes), size)
        check(code, f"making {what} read-only")
    moved = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    check(_libc.syscall(SYS_MOVE_MOUNT, tree, b"", target, b"", moved), f"mounting {what}")
    os.close(tree)


def receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """One message and its descriptors, none of which a later child inherits (`socket.recv_fds` drops that flag)."""
    room = socket.CMSG_SPACE(8 * ctypes.sizeof(ctypes.c_int))
    body, ancillary, _, _ = control.recvmsg(65536, room, socket.MSG_CMSG_CLOEXEC)
    descriptors: list[int] = []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors += memoryview(data[: len(data) // 4 * 4]).cast("i").tolist()
    return body, descriptors


def drop(uid: int) -> None:
    """Become `uid` for good, with no group but its own."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def memory_file(name: str, content: bytes) -> int:
    """An anonymous file that holds `content`, read from its beginning."""
    descriptor = os.memfd_create(name, 0)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def become(order: Order, stdio: list[int], made: dict[str, int], parent: int, seccomp: bytes) -> NoReturn:
    """Turn this forked child into the ordered process. Never returns."""
    os.umask(0o022)
    for number in signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)  # ignored by Python, by `nohup`, or by a script's `&`
    for path in order["cgroups"]:
        with open(path, "w") as procs:  # noqa: PTH123
            procs.write("0")
    if order["stage"]:
        stage(order["stage"])
    if order["uid"] is not None:
        drop(order["uid"])
    # set after the credentials: changing them clears it
    check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "PR_SET_PDEATHSIG")
    if os.getppid() != parent:
        os._exit(125)
    for target, descriptor in enumerate(stdio):
        os.dup2(descriptor, target, inheritable=True)
    for name, value in order["rlimits"].items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bounded, bounded))
    if order["walled"]:
        argv = with_descriptors(order, made, seccomp)
    else:
        argv = order["argv"]
        os.setsid()
        os.chdir(order["cwd"])
    os.execvpe(argv[0], argv, order["env"])  # noqa: S606


def with_descriptors(order: Order, made: dict[str, int], seccomp: bytes) -> list[str]:
    """The command line of bwrap, once everything it reads from a descriptor has one."""
    made |= {name: memory_file(name, text.encode()) for name, text in order["data"].items()}
    made["seccomp"] = memory_file("seccomp", seccomp)
    numbers = {f"\0{name}": str(number) for name, number in made.items()}
    words = [os.fsencode(numbers.get(word, word)) for word in order["args"]]
    made["args"] = memory_file("args", b"\0".join(words))
    for descriptor in made.values():
        os.set_inheritable(descriptor, True)
    return [str(made["args"]) if word == "\0args" else word for word in order["argv"]]


def fit(control: socket.socket, order: Order, inner: int, pidfd: int, release: int) -> None:
    """Set the inner process's limits, bind the door in its network namespace, and let it go on."""
    if order["uid"] is not None:
        drop(order["uid"])
    limit = order["processes"]
    resource.prlimit(inner, resource.RLIMIT_NPROC, (limit, limit))
    if order["door"] is not None:
        check(_libc.setns(pidfd, CLONE_NEWUSER | CLONE_NEWNET), "entering the network namespace")
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # bwrap may not have brought loopback up yet
        door.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        door.bind(("127.0.0.1", order["door"]))
        door.listen(128)
        socket.send_fds(control, [json.dumps({"id": order["id"], "event": "door"}).encode()], [door.fileno()])
    os.write(release, b"x")


class Child:
    """One started process, from fork until nothing of it is left."""

    def __init__(self, order: Order, pid: int, status: int, release: int) -> None:
        self.order = order
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
        self.poll = select.poll()
        self.watched: dict[int, tuple[Child, str]] = {}
        self.poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Run until the server closes its end, then kill what is left."""
        while True:
            ready = [(descriptor, self.watched.get(descriptor)) for descriptor, _ in self.poll.poll()]
            for descriptor, watch in ready:
                if descriptor == self.control.fileno():
                    if not self.receive():
                        self.end_all()
                        return
                # an earlier one of this round may have closed it, and its number may belong to another by now
                elif watch is not None and self.watched.get(descriptor) is watch:
                    getattr(self, f"on_{watch[1]}")(watch[0])

    def send(self, **message: object) -> None:
        """Tell the server; it being gone is noticed by `receive`."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.control.send(json.dumps(message).encode())

    def receive(self) -> bool:
        """Take one message; False at the end of the connection."""
        try:
            body, descriptors = receive(self.control)
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
            check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "PR_SET_CHILD_SUBREAPER")
        pid = os.fork()
        if pid == 0:
            made = {"block": block_read, "status": status_write}
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
        child = Child(order, pid, status_read, block_write)
        self.children[order["id"]] = child
        self.watch(child.pidfd, child, "exit")
        self.watch(status_read, child, "status")

    def watch(self, descriptor: int, child: Child, what: str, events: int = select.POLLIN) -> None:
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
            except (OSError, Failure, ValueError) as error:
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
        else:
            self.signal(child, signal.SIGKILL)

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
            sweep(child.pid, child.order["mark"])
        elif child.inner_pidfd < 0:
            self.end_orphans()
        elif not child.inner_gone:
            # until bwrap has fitted it, nothing but we would end it; afterwards bwrap may have waited for it already
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(child.inner_pidfd, signal.SIGKILL)
        self.finish(child)

    def end_orphans(self) -> None:
        """End what a bwrap leaves that is killed right after its clone: it waits for a word of that for ever."""
        known = {pid for child in self.children.values() for pid in (child.pid, child.inner, child.fitter)}
        for pid, (parent, _) in processes().items():
            if parent == os.getpid() and pid not in known:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def finish(self, child: Child) -> None:
        """Report the end once nothing is left."""
        if child.code is None or not child.inner_gone:
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
        detail = "" if child.ran else child.text.decode(errors="replace")
        self.send(id=child.order["id"], event="ended", pid=child.pid, code=child.code, ran=child.ran, detail=detail)

    def signal(self, child: Child, number: int) -> None:
        """Send a signal to everything inside; SIGKILL ends it all."""
        if child.code is not None and child.order["walled"] and not child.inner:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if not child.order["walled"]:
                if number == signal.SIGKILL:
                    sweep(child.pid, child.order["mark"])
                os.killpg(child.pid, number)
            elif number == signal.SIGKILL:
                if child.inner_pidfd >= 0:
                    signal.pidfd_send_signal(child.inner_pidfd, number)
                if child.code is None:
                    os.kill(child.pid, number)
            elif child.inner and not child.inner_gone:
                # bwrap made a session of its own: its group is everything that has not left it, and pid 1 ignores this
                os.killpg(child.inner, number)

    def end_all(self) -> None:
        """Kill every child and all that descends from it, and wait until nothing is left."""
        for child in list(self.children.values()):
            self.signal(child, signal.SIGKILL)
        sweep(os.getpid(), None)


# --- bare commands: no namespace holds them, so their descendants are looked for --------------------------------------


def sweep(root: int, mark: str | None) -> None:
    """Kill the descendants of `root` and all that carry the mark of a bare command, until none is left (or for 2 s)."""
    until = time.monotonic() + SWEEP_SECONDS
    while (found := kindred(root, mark)) and time.monotonic() < until:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def processes() -> dict[int, tuple[int, bytes]]:
    """Parent and state of every process, also of those that have ended and were not waited for."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                state, parent = file.read().rpartition(b")")[2].split()[:2]
                found[int(name)] = int(parent), state
    return found


def kindred(root: int, mark: str | None) -> set[int]:
    """Every living process that descends from `root`, or whose first environment holds `mark`."""
    known = {pid: parent for pid, (parent, state) in processes().items() if state not in b"ZX"}
    found = set()
    for pid, ancestor in known.items():
        while ancestor > 1 and ancestor != root:
            ancestor = known.get(ancestor, 0)  # noqa: PLW2901
        if ancestor == root:
            found.add(pid)
        elif mark is not None:
            with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
                found |= {pid} if f"HANDRAIL_BOX={mark}".encode() in file.read().split(b"\0") else set()
    return found


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
