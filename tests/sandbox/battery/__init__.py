"""The escape battery: a program that tries to get out of the walls it runs in. Standard library only.

Argument: a JSON object of targets (see `test_escapes.Ground`). Output: attempt → [group, got through, what happened].
Run without walls every attempt must get through, or it proves nothing. None of them harms the host when it does.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Targets = dict[str, Any]
Attempt = Callable[[Targets], object]
ATTEMPTS: dict[str, Attempt] = {}
PATIENCE = 3.0
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000

libc = ctypes.CDLL(None, use_errno=True)
ARM = os.uname().machine == "aarch64"


def attempt(function: Attempt) -> Attempt:
    """Add a function: what it returns (if true) is what got through; raising or returning nothing is being held."""
    ATTEMPTS[function.__name__] = function
    return function


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
    """Every process but this one."""
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid()]


def words(entry: Path) -> list[bytes]:
    """The command line of a process, if it still runs."""
    try:
        return (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def make_and_remove(path: str) -> str:
    """Create a file and take it away again."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    Path(path).unlink()
    return path


def tried(function: Attempt, targets: Targets) -> tuple[bool, str]:
    """One attempt in a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            answer = function(targets)
            got = (bool(answer), str(answer)[:100])
        except Exception as error:  # noqa: BLE001  # a held attempt may fail in any way
            got = (False, str(error))
        os.write(write, json.dumps(got).encode())
        os._exit(0)
    os.close(write)
    data = os.read(read, 65536)
    os.waitpid(child, 0)
    os.close(read)
    return tuple(json.loads(data)) if data else (False, "the attempt was ended")
