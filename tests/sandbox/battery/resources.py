"""Attempts to take more than is given."""

from __future__ import annotations

import errno
import os
import resource
import signal
import threading
import time
from pathlib import Path

from tests.sandbox.battery import Targets, attempt

ALONE = ("memory_without_end", "memory_in_many_processes", "shared_memory_without_end", "time_of_the_processor")
"""what is tried in a box with caps that only a control group can hold, and may take the box down with it"""


@attempt
def processes_without_end(_: Targets) -> object:
    children: list[int] = []
    try:
        for _number in range(150):
            child = os.fork()
            if child == 0:
                time.sleep(20)
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
    return len(children)


@attempt
def raise_process_limit(t: Targets) -> object:
    resource.setrlimit(resource.RLIMIT_NPROC, (5000, 5000))
    return resource.getrlimit(resource.RLIMIT_NPROC)[0] > t["processes"]


@attempt
def open_files_without_end(_: Targets) -> object:
    return len([os.open("/dev/null", os.O_RDONLY) for _number in range(300)])


@attempt
def a_large_file(t: Targets) -> object:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return fill(t["workspace"], 24)


@attempt
def fill_scratch(t: Targets) -> object:
    return sum(fill(t["scratch"], 7) for _number in range(3))


@attempt
def fill_shared_memory(_: Targets) -> object:
    return sum(fill("/dev/shm", 7) for _number in range(3))


def fill(directory: str, megabytes: int) -> int:
    """Write a new file; the host removes what is left."""
    path = Path(directory, f"handrail-fill-{time.monotonic_ns()}")
    with path.open("wb", buffering=0) as file:
        for _number in range(megabytes):
            if file.write(bytes(1 << 20)) < 1 << 20:
                raise OSError(errno.EFBIG, "short write")
    return megabytes


@attempt
def dump_core(_: Targets) -> object:
    return resource.getrlimit(resource.RLIMIT_CORE)[1] != 0


@attempt
def threads_without_end(_: Targets) -> object:
    for _number in range(150):
        threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
    return threading.active_count()


@attempt
def files_for_ever(t: Targets) -> object:
    """More than the cap on one file, by a hole."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path = Path(t["workspace"], "sparse")
    with path.open("wb") as file:
        file.truncate(1 << 30)
    return path.stat().st_size


@attempt
def locked_memory(_: Targets) -> object:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 30, 1 << 30))
    return True


@attempt
def memory_without_end(_: Targets) -> object:
    return len(b"x" * (300 << 20))


@attempt
def memory_in_many_processes(_: Targets) -> object:
    children = []
    for _number in range(6):
        child = os.fork()
        if child == 0:
            data = b"x" * (60 << 20)
            time.sleep(0.5)
            os._exit(0 if data else 1)
        children.append(child)
    ended = [os.waitpid(child, 0)[1] for child in children]
    return not any(ended)


@attempt
def shared_memory_without_end(_: Targets) -> object:
    descriptor = os.memfd_create("battery")
    return sum(os.write(descriptor, bytes(1 << 20)) for _number in range(300)) >> 20


@attempt
def time_of_the_processor(_: Targets) -> object:
    until = time.monotonic() + 1
    while time.monotonic() < until:
        pass
    used = time.process_time()
    return used if used > 0.25 else None
