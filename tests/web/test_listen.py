from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from handrail.errors import Conflict, Forbidden, InvalidInput, StorageFull
from handrail.web import listen


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a short path, as a runtime directory has; pytest's own are long."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        yield Path(place)


def test_a_data_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "a" / "b"
    listen.prepare(data)
    assert mode(data) == 0o700
    listen.prepare(data)
    assert list(data.iterdir()) == []


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidInput, match=r"data: .*choose a directory that you may write to"):
            listen.prepare(place)


def test_a_lock_names_who_holds_it_and_is_free_when_that_one_dies(tmp_path: Path) -> None:
    code = "import sys,time;from pathlib import Path;from handrail.web import listen;"
    code += "listen.lock(Path(sys.argv[1]));print('held',flush=True);time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(Conflict, match=rf"process {holder.pid}\) already works on"):
            listen.lock(tmp_path)
        holder.kill()
    lock = listen.lock(tmp_path)
    assert (tmp_path / "server.lock").read_text() == f"{os.getpid()}\n"
    lock.release()
    listen.lock(tmp_path).release()


def test_a_command_that_only_looks_does_not_keep_a_server_out(tmp_path: Path) -> None:
    looking = listen.lock(tmp_path)
    threading.Timer(0.03, looking.release).start()
    began = time.monotonic()
    listen.lock(tmp_path).release()
    assert time.monotonic() - began < 1


def test_a_token_is_kept_and_private(tmp_path: Path) -> None:
    token = listen.token(tmp_path)
    assert len(token) >= 43
    assert listen.token(tmp_path) == token
    assert mode(tmp_path / "token") == 0o600
    (tmp_path / "token").chmod(0o644)  # others may have read it
    assert listen.token(tmp_path) != token
    assert mode(tmp_path / "token") == 0o600
    (tmp_path / "token").write_text("short")
    assert len(listen.token(tmp_path)) >= 43


def test_the_socket_is_its_owners(tmp_path: Path) -> None:
    made, path = listen.listen_unix(tmp_path, {})
    with made:
        assert path == tmp_path / "handrail.sock"
        assert mode(path) == 0o600
    again, _ = listen.listen_unix(tmp_path, {})  # what a killed server left is in nobody's way
    again.close()


def test_a_long_path_gets_a_short_private_place(tmp_path: Path, short: Path) -> None:
    data = tmp_path / ("x" * 120)
    data.mkdir()
    runtime = short / "r"
    made, path = listen.listen_unix(data, {"XDG_RUNTIME_DIR": str(runtime)})
    with made:
        assert path.parent.parent == runtime
        assert mode(path.parent) == 0o700
        assert len(os.fsencode(path)) <= listen.LONGEST_SOCKET_PATH
    listen.withdraw(data, path)
    assert not path.parent.exists()
    path.parent.mkdir(mode=0o755)
    with pytest.raises(Forbidden, match="open to others"):
        listen.listen_unix(data, {"XDG_RUNTIME_DIR": str(runtime)})
    path.parent.rmdir()
    path.parent.symlink_to(tmp_path)
    with pytest.raises(Forbidden):
        listen.listen_unix(data, {"XDG_RUNTIME_DIR": str(runtime)})


def test_a_taken_port_by_default_is_passed_over(taken: int) -> None:
    with listen.listen_tcp("127.0.0.1", taken, explicit=False) as made:
        assert made.getsockname()[1] != taken
        assert listen.url_of(made) == f"http://127.0.0.1:{made.getsockname()[1]}"


def test_a_taken_port_that_was_asked_for_is_refused_by_its_number(taken: int) -> None:
    with pytest.raises(InvalidInput, match=rf"port: {taken} cannot be used: it is taken"):
        listen.listen_tcp("127.0.0.1", taken, explicit=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "", "::"])  # noqa: S104
def test_only_loopback(host: str) -> None:
    with pytest.raises(InvalidInput, match=r"host: .*loopback address"):
        listen.listen_tcp(host, 0, explicit=True)


@pytest.mark.parametrize("port", [-1, 65536, 1 << 40])
def test_ports_that_are_none(port: int) -> None:
    with pytest.raises(InvalidInput, match="port"):
        listen.listen_tcp("127.0.0.1", port, explicit=True)


def test_ipv6_and_localhost() -> None:
    with listen.listen_tcp("localhost", 0, explicit=True) as made:
        assert listen.url_of(made).startswith("http://127.0.0.1:")
    if socket.has_ipv6 and Path("/proc/net/if_inet6").exists() and Path("/proc/net/if_inet6").read_text():
        with listen.listen_tcp("::1", 0, explicit=True) as made:
            assert listen.url_of(made).startswith("http://[::1]:")


async def test_answers_do_not_wait_for_acknowledgements() -> None:
    """asyncio sets TCP_NODELAY only on what names its protocol; without, each answer in two writes takes 40 ms."""
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        accepted.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(answer, sock=listen.listen_tcp("127.0.0.1", 0, explicit=False)) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await accepted == 1
        writer.close()


def test_a_server_is_announced_whole_and_withdrawn(tmp_path: Path) -> None:
    listen.announce(tmp_path, {"pid": 1})
    listen.announce(tmp_path, {"pid": 2})
    assert json.loads((tmp_path / "server.json").read_text()) == {"pid": 2}
    assert mode(tmp_path / "server.json") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["server.json"]
    listen.withdraw(tmp_path, tmp_path / "handrail.sock")
    listen.withdraw(tmp_path, tmp_path / "handrail.sock")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    full = OSError(28, "No space left on device")
    with pytest.raises(StorageFull, match="has no room left"), listen.told("data", tmp_path):
        raise full
