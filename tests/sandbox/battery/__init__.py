"""The escape battery: programs that try to get out of the walls that they run in, and what looks at them from outside.

The modules `reads`, `writes`, `kernel`, `network`, `proxy`, `secrets`, `resources` and `disk` hold what runs inside,
with the standard library alone: `python -S -m tests.sandbox.battery.inside`, targets as JSON on stdin, answers as JSON
on stdout (attempt → got through, what happened). `git`, `tripwires`, `output` and `persistence` need the host to act,
and hold their attempts as tables. `course` runs them all, once behind the walls of a session and once without any:
there every attempt must get through, or it proves nothing. None of them harms the host when it does.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

Targets = dict[str, Any]
Attempt = Callable[[Targets], object]
ATTEMPTS: dict[str, Attempt] = {}
CONTROLS: dict[str, Attempt] = {}
PATIENCE = float(os.environ.get("BATTERY_PATIENCE", "1"))
"""seconds for an answer; without walls there is one, however busy the machine"""
LONGEST = 20
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000

libc = ctypes.CDLL(None, use_errno=True)
ARM = os.uname().machine == "aarch64"


def attempt(function: Attempt) -> Attempt:
    """Add a function: what it returns (if true) is what got through; raising or returning nothing is being held."""
    ATTEMPTS[function.__name__] = function
    return function


def control(function: Attempt) -> Attempt:
    """Add what must be possible inside, so that the walls are seen to let work be done."""
    CONTROLS[function.__name__] = function
    return function


def group_of(name: str) -> str:
    """The group of an attempt that runs inside."""
    return ATTEMPTS[name].__module__.rpartition(".")[2]


def call(number: int, *arguments: object) -> int:
    """A bare system call."""
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def c(result: int) -> int:
    """The result of a C call."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def others() -> list[Path]:
    """Every process but this one and its parent, the battery itself."""
    own = {os.getpid(), os.getppid()}
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and int(entry.name) not in own]


def words(entry: Path, name: str = "cmdline") -> list[bytes]:
    """The command line (or environment) of a process, if it still runs and may be read."""
    try:
        return (entry / name).read_bytes().split(b"\0")
    except OSError:
        return []


def make_and_remove(path: str) -> str:
    """Create a file and take it away again."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    Path(path).unlink()
    return path


def tried(function: Attempt, targets: Targets) -> tuple[bool, str]:
    """One attempt in a process of its own, which may take 20 s."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        signal.alarm(LONGEST)
        try:
            answer = function(targets)
            got = (bool(answer), str(answer)[:100])
        except BaseException as error:  # noqa: BLE001  # a held attempt may fail in any way
            got = (False, str(error)[:100])
        os.write(write, json.dumps(got).encode())
        os._exit(0)
    os.close(write)
    # a grandchild that is left may hold the pipe open
    data = os.read(read, 65536) if select.select([read], [], [], LONGEST + 1)[0] else b""
    os.waitpid(child, 0)
    os.close(read)
    return tuple(json.loads(data)) if data else (False, "the attempt was ended")
