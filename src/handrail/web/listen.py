"""Where the server can be found: its lock, its two sockets, its token, and `server.json` that tells of them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import ipaddress
import json
import os
import secrets
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from handrail.errors import Conflict, Forbidden, InvalidInput, StorageFull

SOCKET_NAME = "handrail.sock"
LONGEST_SOCKET_PATH = 100
"""bytes; `sun_path` holds 108 on Linux and 104 elsewhere, unix(7)"""
PORTS_TRIED = 50
BACKLOG = 512
_TOKEN_BYTES = 32
_LOCK_TRIES = 5


class Lock(Struct, frozen=True):
    """The lock of a data directory, held as long as `file` is open."""

    file: int

    def release(self) -> None:
        """Let the next server in."""
        os.close(self.file)


@contextlib.contextmanager
def told(what: str, path: Path) -> Iterator[None]:
    """Turn the operating system's refusals about `path` into sentences.

    Raises:
        StorageFull: no space, or no quota, is left.
        InvalidInput: the path cannot be used.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(
                f"The data directory {path} has no room left: free some space and start again."
            ) from error
        raise InvalidInput(what, str(path), f"{_reason(error)}; choose a directory that you may write to") from error


def prepare(data: Path) -> None:
    """Make the data directory, for its owner only.

    Raises:
        InvalidInput: it cannot be made, is no directory, or takes no files.
        StorageFull: the disk is full.
    """
    with told("data", data):
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())


def lock(data: Path) -> Lock:
    """Take the data directory for this process; the kernel lets go of it when the process ends, however it ends.

    Raises:
        Conflict: another server has it; the message names its process.
    """
    path = data / "server.lock"
    with told("data", data):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _flock(file)
    except OSError as error:
        holder = os.pread(file, 32, 0).decode("ascii", "replace").strip()
        os.close(file)
        if error.errno not in {errno.EAGAIN, errno.EACCES}:
            raise InvalidInput("data", str(data), f"{_reason(error)}; choose a file system that locks files") from error
        who = f"process {holder}" if holder.isdigit() else "another process"
        raise Conflict(f"A server ({who}) already works on {data}: use that one, or end it first.") from error
    with told("data", data):
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    return Lock(file)


def token(data: Path) -> str:
    """The token of this data directory, made once: a restart does not lock browsers out.

    Raises:
        InvalidInput: its file cannot be read or written.
        StorageFull: the disk is full.
    """
    path = data / "token"
    with told("data", data):
        with contextlib.suppress(FileNotFoundError):
            kept = path.read_text("ascii", "replace").strip()
            private = stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
            if private and len(kept) >= _TOKEN_BYTES and kept.isascii():
                return kept
        made = secrets.token_urlsafe(_TOKEN_BYTES)
        write_private(path, f"{made}\n")
    return made


def write_private(path: Path, text: str) -> None:
    """Write `text` so that a reader sees the old file or the new one, and nobody else sees either."""
    file, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def listen_unix(data: Path, environ: Mapping[str, str]) -> tuple[socket.socket, Path]:
    """A listening unix socket of mode 0600 for `data`, and where it is. Call it with the lock held.

    Raises:
        InvalidInput: no place takes it.
    """
    path = data / SOCKET_NAME
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        return _bind_unix(_short_place(data, environ))
    try:
        return _bind_unix(path)
    except InvalidInput:  # some shared file systems know no sockets
        return _bind_unix(_short_place(data, environ))


def listen_tcp(host: str, port: int, *, explicit: bool) -> socket.socket:
    """A listening TCP socket on a loopback address.

    Args:
        host: a loopback address, or `localhost`.
        port: the port; 0 takes a free one.
        explicit: somebody asked for this very port; otherwise the next free one does.

    Raises:
        InvalidInput: the address is no loopback address, or the port cannot be had.
    """
    address = "127.0.0.1" if host == "localhost" else host
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InvalidInput(
            "host", host, "give a loopback address such as 127.0.0.1; other machines come in by a tunnel"
        )
    if not 0 <= port <= 65535:
        raise InvalidInput("port", port, "give a number from 0 to 65535")
    tries = [port] if explicit or port == 0 else [*range(port, min(port + PORTS_TRIED, 65536)), 0]
    for candidate in tries:
        # Named by its protocol: without, asyncio does not set TCP_NODELAY, and each answer waits 40 ms for an ACK.
        made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, candidate))
            made.listen(BACKLOG)
        except OSError as error:
            made.close()
            if error.errno != errno.EADDRINUSE:
                raise InvalidInput("port", candidate, f"{_reason(error)}; choose another one") from error
        else:
            made.setblocking(False)
            return made
    raise InvalidInput("port", port, "it is taken by another program; choose another one, or 0 for any free port")


def url_of(listening: socket.socket) -> str:
    """The base URL of a listening TCP socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def announce(data: Path, facts: Mapping[str, object]) -> None:
    """Write `server.json`: from now on the server can be found.

    Raises:
        StorageFull: the disk is full.
    """
    with told("data", data):
        write_private(data / "server.json", json.dumps(facts, indent=2) + "\n")


def withdraw(data: Path, socket_path: Path) -> None:
    """Take `server.json` and the socket away: nothing is here any more."""
    for path in (data / "server.json", socket_path):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    if socket_path.parent != data:
        with contextlib.suppress(OSError):
            socket_path.parent.rmdir()


def _flock(file: int) -> None:
    """A command that looks whether a server lives holds the lock for a moment, so a few tries are owed."""
    for _ in range(_LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _bind_unix(path: Path) -> tuple[socket.socket, Path]:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)  # of a server that was killed: the lock says that none lives
        made.bind(str(path))
        path.chmod(0o600)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        if error.errno == errno.ENOSPC:
            raise StorageFull(
                f"The directory {path.parent} has no room left: free some space and start again."
            ) from error
        raise InvalidInput("socket", str(path), f"{_reason(error)}; choose another data directory") from error
    made.setblocking(False)
    return made, path


def _short_place(data: Path, environ: Mapping[str, str]) -> Path:
    base = Path(environ.get("XDG_RUNTIME_DIR") or "/tmp")  # noqa: S108  # checked below to be ours alone
    mark = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    folder = base / f"handrail-{os.geteuid()}-{mark}"
    if len(os.fsencode(folder / SOCKET_NAME)) > LONGEST_SOCKET_PATH:
        folder = Path("/tmp") / folder.name  # noqa: S108
    with told("socket", folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise Forbidden(f"{folder} belongs to somebody else or is open to others: remove it, or set XDG_RUNTIME_DIR.")
    return folder / SOCKET_NAME


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
