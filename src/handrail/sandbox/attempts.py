"""What `probe` tries, run as a program inside the walls and once more outside of them. Standard library only.

Argument: a JSON object (see `Targets`). Output: one JSON object, attempt → [got through, what happened]. Nothing is
harmed where an attempt gets through: kernel settings are opened and not written, files outside are new and empty.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import pty
import signal
import socket
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

CLONE_NEWUSER = 0x10000000
KEYCTL = {"x86_64": 250, "aarch64": 219}
AF_VSOCK = 40
METADATA = "169.254.169.254"
PATIENCE = 0.3

_libc = ctypes.CDLL(None, use_errno=True)


class Targets(TypedDict):
    """What to try to reach."""

    canary: str
    """a file outside, which anybody may read"""
    outside: str
    """a directory outside, which anybody may write"""
    port: int
    """a listener on the host's loopback"""
    process: str
    """a word in the command line of a process outside"""
    variables: list[str]
    """names of variables in the server's environment"""
    workspace: str
    home: str


Answer = tuple[bool, str]


def workspace(targets: Targets) -> Answer:
    """What must be possible: writing where the walls allow it."""
    for directory in (targets["workspace"], targets["home"], os.environ.get("TMPDIR", "/tmp")):  # noqa: S108
        # a name of its own: the same is tried outside at the same time, in the same directories
        file = Path(directory, f"handrail-probe-{os.urandom(8).hex()}")
        with file.open("x", encoding="ascii") as opened:
            opened.write("x")
        file.unlink()
    return True, "workspace, home and scratch can be written"


def read_file(targets: Targets) -> Answer:
    """A file outside of the walls that every user may read."""
    return True, f"read {len(Path(targets['canary']).read_bytes())} bytes of {targets['canary']}"


def read_shadow(_: Targets) -> Answer:
    """The password hashes of this machine."""
    Path("/etc/shadow").read_bytes()
    return True, "/etc/shadow was read"


def write_file(targets: Targets) -> Answer:
    """A new file in a directory outside that every user may write."""
    file = Path(targets["outside"], f"written-{os.getpid()}")
    file.touch()
    return True, f"made {file}"


def write_system(_: Targets) -> Answer:
    """Opening /usr for writing."""
    file = Path("/usr/handrail-probe")
    file.touch()
    file.unlink()
    return True, "made a file in /usr"


def kernel_setting(_: Targets) -> Answer:
    """A kernel setting that would run code outside."""
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    return True, "/proc/sys/kernel/core_pattern opens for writing"


def see_process(targets: Targets) -> Answer:
    """Any process outside."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if targets["process"].encode() in words:
                return True, f"process {entry.name} outside is seen"
    return False, "no process outside is seen"


def environments(targets: Targets) -> Answer:
    """The server's environment, in any process that can be seen, pid 1 above all."""
    wanted = {name.encode() for name in targets["variables"]}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                names = {item.partition(b"=")[0] for item in (entry / "environ").read_bytes().split(b"\0")}
            except OSError:
                continue
            if leaked := names & wanted:
                return True, f"process {entry.name} shows {leaked.pop().decode(errors='replace')}"
    return False, "no environment holds a variable of the server"


def host_loopback(targets: Targets) -> Answer:
    """A service on the host's loopback."""
    with socket.create_connection(("127.0.0.1", targets["port"]), PATIENCE):
        return True, "a service on the host's loopback answered"


def metadata(_: Targets) -> Answer:
    """The metadata service of a cloud."""
    with socket.create_connection((METADATA, 80), PATIENCE):
        return True, f"{METADATA} answered"


def route(_: Targets) -> Answer:
    """A route to any other machine; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.connect((METADATA, 53))
        return True, f"packets to other machines would leave from {endpoint.getsockname()[0]}"


def vsock(_: Targets) -> Answer:
    """A socket to the hypervisor, which no network namespace holds."""
    socket.socket(AF_VSOCK, socket.SOCK_STREAM).close()
    return True, "an AF_VSOCK socket was made"


def user_namespace(_: Targets) -> Answer:
    """A user namespace, where most kernel holes of late years begin."""
    if _libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return True, "a user namespace was made"


def keyring(_: Targets) -> Answer:
    """The kernel's keyrings, which follow a uid."""
    number = KEYCTL.get(os.uname().machine)
    if number is None:
        return True, "not tried on this architecture"
    if _libc.syscall(number, 0, -3, 0) < 0:  # KEYCTL_GET_KEYRING_ID of the session
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return True, "the session keyring can be used"


def terminal_input(_: Targets) -> Answer:
    """Typing into a terminal (TIOCSTI)."""
    os.setsid()
    terminal = pty.openpty()[1]
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    fcntl.ioctl(terminal, termios.TIOCSTI, b"x")
    return True, "a key was typed into a terminal"


def processes(_: Targets) -> Answer:
    """Processes without end; 200 are tried."""
    children: list[int] = []
    try:
        for _number in range(200):
            child = os.fork()
            if child == 0:
                time.sleep(30)
                os._exit(0)
            children.append(child)
    except BlockingIOError:
        return False, f"{len(children)} more processes were made, then no more"
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
    return True, "200 more processes were made"


ATTEMPTS: tuple[Callable[[Targets], Answer], ...] = (
    workspace,
    read_file,
    read_shadow,
    write_file,
    write_system,
    kernel_setting,
    see_process,
    environments,
    host_loopback,
    metadata,
    route,
    vsock,
    user_namespace,
    keyring,
    terminal_input,
)


def tried(attempt: Callable[[Targets], Answer], targets: Targets) -> Answer:
    """One attempt in a process of its own, so that none changes what the next one finds."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = attempt(targets)
        except OSError as error:
            answer = (False, error.strerror or str(error))
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    if not data:
        return False, "the attempt was ended"
    got, said = json.loads(data)
    return bool(got), str(said)


def main() -> None:
    """Try everything, or the one attempt that a second argument names."""
    targets: Targets = json.loads(sys.argv[1])
    chosen = [processes] if sys.argv[2:] == ["processes"] else list(ATTEMPTS)
    print(json.dumps({attempt.__name__: tried(attempt, targets) for attempt in chosen}))  # noqa: T201


if __name__ == "__main__":
    main()
