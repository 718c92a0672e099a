"""Attempts to reach the network and secrets, and to take more than is given."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import time
from pathlib import Path

from tests.sandbox.battery import (
    PATIENCE,
    Targets,
    attempt,
    others,
    words,
)


@attempt
def host_loopback(t: Targets) -> object:
    return socket.create_connection(("127.0.0.1", t["port"]), PATIENCE).recv(10)


@attempt
def host_any_address(t: Targets) -> object:
    return socket.create_connection(("0.0.0.0", t["port"]), PATIENCE).recv(10)  # noqa: S104


@attempt
def host_datagram(t: Targets) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.settimeout(PATIENCE)
        endpoint.sendto(b"x", ("127.0.0.1", t["datagram"]))
        return endpoint.recv(10)


@attempt
def abstract_socket(t: Targets) -> object:
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.connect("\0" + t["abstract"])
        return True


@attempt
def path_socket(t: Targets) -> object:
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.connect(t["socket"])
        return True


@attempt
def route_to_metadata(_: Targets) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.connect(("169.254.169.254", 53))
        return endpoint.getsockname()


@attempt
def other_interfaces(_: Targets) -> object:
    return [name for _, name in socket.if_nameindex() if name != "lo"]


@attempt
def raw_packets(_: Targets) -> object:
    socket.socket(17, socket.SOCK_RAW, 3).close()
    return True


@attempt
def raw_ping(_: Targets) -> object:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()
    return True


@attempt
def hypervisor_socket(_: Targets) -> object:
    socket.socket(40, socket.SOCK_STREAM).close()
    return True


@attempt
def resolver(_: Targets) -> object:
    return Path("/etc/resolv.conf").read_bytes()


@attempt
def own_environment(t: Targets) -> object:
    return t["variable"] in os.environ


@attempt
def environments_of_others(t: Targets) -> object:
    word = t["variable"].encode() + b"="
    return [entry.name for entry in others() if any(v.startswith(word) for v in environ(entry))]


def environ(entry: Path) -> list[bytes]:
    """Variables of a process, if they may be read."""
    try:
        return (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


@attempt
def command_lines_of_others(t: Targets) -> object:
    word = t["process_word"].encode()
    return [entry.name for entry in others() if word in words(entry)]


@attempt
def memory_of_others(t: Targets) -> object:
    for entry in others():
        maps = entry / "maps"
        try:
            line = next(line for line in maps.read_text().splitlines() if "[heap]" in line or "[stack]" in line)
            start = int(line.split("-")[0], 16)
            with (entry / "mem").open("rb", buffering=0) as memory:
                memory.seek(start)
                if memory.read(8) and int(entry.name) == t["process"]:
                    return entry.name
        except (OSError, StopIteration):
            continue
    return None


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
