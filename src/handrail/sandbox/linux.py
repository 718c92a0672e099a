"""What the launcher and the kiln ask of the kernel. Standard library only: both run without a package on their path."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import stat
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handrail.sandbox.orders import Source

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID = 0x02000000, 0x04000000, 0x08000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
IP_FREEBIND = 15
# https://man7.org/linux/man-pages/man2/mount_setattr.2.html; the numbers are the same on every architecture
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_MOUNT_SETATTR = 428, 429, 442
AT_FDCWD, OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC, AT_EMPTY_PATH, AT_RECURSIVE = -100, 1, 0x80000, 0x1000, 0x8000
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 0x4, 0x40
MOUNT_ATTR_RDONLY = 1

STAGE = "/tmp"  # noqa: S108  # bwrap needs /tmp to exist too; the tmpfs over it is private to the launched process

SWEEP_SECONDS = 2.0

libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """One sentence on why the process was not started."""


def check(result: int, what: str) -> int:
    """Return `result` of a C call, or raise with its errno."""
    if result < 0:
        number = ctypes.get_errno()
        raise Failure(f"{what}: {os.strerror(number)}")
    return result


class _MountAttributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd"))


def stage(sources: list[Source]) -> None:
    """Make a private mount namespace in which every source stands at `STAGE/name`, open to any uid."""
    check(libc.unshare(CLONE_NEWNS), "a private mount namespace (needs CAP_SYS_ADMIN)")
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "making mounts private")
    opened = [(source, os.open(source["path"], os.O_PATH)) for source in sources]
    options = b"mode=0755,size=1m,nr_inodes=4096"
    check(libc.mount(b"tmpfs", STAGE.encode(), b"tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options), "staging tmpfs")
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
    tree = check(libc.syscall(SYS_OPEN_TREE, source, b"", flags), f"mounting {what}")
    if read_only:
        _close_to_writing(tree, what)
    moved = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    check(libc.syscall(SYS_MOVE_MOUNT, tree, b"", target, b"", moved), f"mounting {what}")
    os.close(tree)


def _close_to_writing(tree: int, what: str) -> None:
    attributes = _MountAttributes(attr_set=MOUNT_ATTR_RDONLY)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    code = libc.syscall(SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | AT_RECURSIVE, ctypes.byref(attributes), size)
    check(code, f"making {what} read-only")


def read_only(path: str) -> int:
    """Open a file through a mount of its own that nobody can write through, whoever owns the file.

    Raises:
        Failure, OSError: the kernel or its settings do not let us.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        # in a process of its own: it enters a namespace, and the mount outlives that as long as it is open
        if (helper := os.fork()) == 0:
            try:
                check(libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if os.geteuid() else 0)), "a mount namespace")
                flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
                tree = check(libc.syscall(SYS_OPEN_TREE, AT_FDCWD, os.fsencode(path), flags), f"mounting {path}")
                _close_to_writing(tree, path)
                socket.send_fds(theirs, [b"x"], [tree])
            finally:
                os._exit(0)
        theirs.close()
        _, descriptors = receive(ours)
        os.waitpid(helper, 0)
    if not descriptors:
        raise Failure(f"{path} could not be mounted read-only")
    return descriptors[0]


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


def limit(rlimits: Mapping[str, int]) -> None:
    """Set limits of this process by name, none above what it may have."""
    for name, value in rlimits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bounded, bounded))


def listen_to_signals() -> None:
    """Let signals do what they do in a new process, though Python, `nohup` or a script's `&` had them ignored."""
    for number in signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)


def die_with(parent: int) -> None:
    """End when `parent` ends; to be called after a change of credentials, which clears it."""
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "PR_SET_PDEATHSIG")
    if os.getppid() != parent:
        os._exit(125)


def join(groups: Sequence[str]) -> None:
    """Move this process into control groups, by their files `cgroup.procs`."""
    for path in groups:
        with open(path, "w") as procs:  # noqa: PTH123
            procs.write("0")


def memory_file(name: str, content: bytes) -> int:
    """An anonymous file that holds `content`, read from its beginning."""
    descriptor = os.memfd_create(name, 0)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


# --- bare commands: no namespace holds them, so their descendants are looked for --------------------------------------


def sweep(root: int, mark: str | None, *, wait: bool = False) -> None:
    """Kill the descendants of `root` and all that carry the mark of a bare command, until none is left (or for 2 s).

    With `wait` children of this process are waited for: a pid namespace ends once all that was forked into it is gone.
    """
    until = time.monotonic() + SWEEP_SECONDS
    while (found := kindred(root, mark)) and time.monotonic() < until:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while wait and os.waitpid(-1, os.WNOHANG)[0]:
                pass
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
