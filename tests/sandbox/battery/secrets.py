"""Attempts to find the gateway's key, the server's token, the master key, or what the user has logged in with."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.sandbox.battery import Targets, attempt, others, words

LARGEST = 64 << 20
"""bytes of one file that are searched"""


def wanted(t: Targets) -> list[bytes]:
    """The secrets."""
    return [secret.encode() for secret in t["secrets"]]


def holds(data: bytes, t: Targets) -> bool:
    """Whether any secret is in it."""
    return any(secret in data for secret in wanted(t))


@attempt
def own_environment(t: Targets) -> object:
    return [name for name, value in os.environb.items() if holds(value, t)]


@attempt
def environments_of_others(t: Targets) -> object:
    return [entry.name for entry in others() if holds(b" ".join(words(entry, "environ")), t)]


@attempt
def first_environment_of_the_walls(t: Targets) -> object:
    """What process 1 was started with; without walls, what the server was."""
    pids = (1, t["process"])
    return [pid for pid in pids if holds(b" ".join(words(Path("/proc", str(pid)), "environ")), t)]


@attempt
def command_lines_of_others(t: Targets) -> object:
    return [entry.name for entry in others() if holds(b" ".join(words(entry)), t)]


@attempt
def every_entry_of_proc(t: Targets) -> object:
    """Each file of each process, but for the memory, which has an attempt of its own."""
    for entry in others():
        for directory, names, files in os.walk(entry):
            names[:] = [name for name in names if name not in {"task", "map_files", "cwd", "root"}]
            for name in files:
                if name not in {"mem", "pagemap", "clear_refs", "kmsg"} and holds(_content(directory, name), t):
                    return directory, name
    return None


def _content(directory: str, name: str) -> bytes:
    path = os.path.join(directory, name)  # noqa: PTH118
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            return b""
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(descriptor, LARGEST)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


@attempt
def every_file(t: Targets) -> object:
    """All that was written since the secrets were made: they are random, so nothing older can hold them."""
    return next((path for path in _files(t) if holds(_content(*os.path.split(path)), t)), None)


def _files(t: Targets) -> Iterator[str]:
    tops = [t["top"], "/"]
    device_trees = {"/proc", "/sys"}
    for directory, names, files in itertools.chain.from_iterable(os.walk(top) for top in tops):
        names[:] = [name for name in names if os.path.join(directory, name) not in device_trees]  # noqa: PTH118
        for name in files:
            path = os.path.join(directory, name)  # noqa: PTH118
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and status.st_ctime >= t["since"]:
                yield path


@attempt
def memory_of_others(t: Targets) -> object:
    return [entry.name for entry in others() if any(holds(piece, t) for piece in _stacks(entry))]


def _stacks(entry: Path) -> Iterator[bytes]:
    """The stack of a process, where its environment lies, and its heap."""
    try:
        lines = (entry / "maps").read_text("ascii", "replace").splitlines()
        with (entry / "mem").open("rb", buffering=0) as memory:
            for line in lines:
                if line.endswith(("[stack]", "[heap]")):
                    start, end = (int(part, 16) for part in line.split()[0].split("-"))
                    memory.seek(start)
                    yield memory.read(min(end - start, 4 << 20))
    except OSError:
        return


@attempt
def token_of_the_server(t: Targets) -> object:
    return Path(t["data"], "token").read_bytes()


@attempt
def master_key(t: Targets) -> object:
    return Path(t["data"], "master.key").read_bytes()


@attempt
def login_of_the_checkout(t: Targets) -> object:
    """A token that stands in the address of a remote."""
    listed = b""
    for repository in (t["workspace"], t["checkout"]):
        command = ["git", "-c", "safe.directory=*", "-C", repository, "config", "--list", "--local"]
        listed += subprocess.run(command, capture_output=True, check=False).stdout
    return holds(listed, t)


@attempt
def logins_of_the_user(t: Targets) -> object:
    return [name for name in (".ssh/id_ed25519", ".netrc", ".config/gh/hosts.yml") if _there(t["user"], name)]


def _there(home: str, name: str) -> bool:
    try:
        return bool(Path(home, name).read_bytes())
    except OSError:
        return False


@attempt
def agent_for_keys(t: Targets) -> object:
    """A socket such as SSH_AUTH_SOCK names."""
    return stat.S_ISSOCK(os.stat(t["socket"]).st_mode)  # noqa: PTH116
