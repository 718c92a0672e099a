from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from handrail.sandbox import launcher
from handrail.sandbox.launcher import Child, Launcher
from handrail.sandbox.linux import Failure, kindred, receive, walk
from handrail.sandbox.orders import Order
from tests.sandbox.conftest import Place

SERVER = """
import asyncio, sys
from pathlib import Path
from handrail.sandbox import Walls
from handrail.sandbox.bubblewrap import BubblewrapBackend

async def main():
    box = await BubblewrapBackend().open(Walls(Path(sys.argv[1]), Path(sys.argv[2])))
    await (await box.start(["/bin/sleep", "3607"], env={})).wait()

asyncio.run(main())
"""


def test_it_needs_nothing_but_the_standard_library() -> None:
    code = f"import runpy; runpy.run_path({launcher.__file__!r}, run_name='launcher')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=30)


def test_no_link_is_walked_through(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "to-a").symlink_to("a")
    (tmp_path / "a" / "to-b").symlink_to("b")
    root = os.open(tmp_path, os.O_PATH)
    assert os.path.samestat(os.fstat(walk(root, "a/b")), (tmp_path / "a" / "b").stat())
    for path in ("to-a/b", "a/to-b", "a/none"):
        with pytest.raises(Failure, match="protected path"):
            walk(root, path)
    os.close(root)


def test_descriptors_that_arrive_are_not_inherited() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        socket.send_fds(ours, [b"x"], [0, 1, 2])
        body, descriptors = receive(theirs)
    assert body == b"x"
    assert len(descriptors) == 3
    for descriptor in descriptors:
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)


def test_kindred_are_found_by_descent_and_by_their_mark() -> None:
    script = "env -i HANDRAIL_BOX=42 setsid sleep 20 & env -i setsid sleep 20 & echo on; wait"
    with subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        until = time.monotonic() + 5
        while len(found := set(kindred(process.pid, "42"))) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert len(found) >= 2
    assert not found & {process.pid, os.getpid()}


@pytest.mark.parametrize("killed", ["server", "bwrap"])
def test_nothing_is_left_of_a_bwrap_that_died_before_it_told_of_its_inner_process(killed: str, place: Place) -> None:
    words = [sys.executable, "-c", SERVER, str(place.workspace), str(place.home)]
    with subprocess.Popen(words) as server:
        (helper,) = children(server.pid)
        (outer,) = children(helper)
        os.kill(helper, signal.SIGSTOP)  # it hears nothing of what happens meanwhile
        (inner,) = children(outer)
        victim, end = os.pidfd_open({"server": server.pid, "bwrap": outer}[killed]), os.pidfd_open(inner)
        signal.pidfd_send_signal(victim, signal.SIGKILL)
        select.select([victim], [], [])
        os.kill(helper, signal.SIGCONT)
        left = not select.select([end], [], [], 10)[0]
        if left:
            signal.pidfd_send_signal(end, signal.SIGKILL)
        server.kill()
        os.close(victim)
        os.close(end)
    assert not left


def test_it_goes_on_after_an_inner_process_that_bwrap_has_waited_for() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    order: Order = {
        "id": 1, "argv": [], "args": [], "data": {}, "env": {}, "cwd": "/", "uid": None, "cgroups": [], "rlimits": {},
        "stage": [], "walled": True, "door": None, "processes": 1, "mark": None, "warm": None,
    }  # fmt: skip
    outer, inner = (os.posix_spawn("/bin/true", ["true"], {}) for _ in range(2))
    read, write = os.pipe()
    os.close(write)
    with ours, theirs:
        serving = Launcher(theirs, b"")
        child = serving.children[1] = Child(order, outer, read, -1)
        child.inner, child.inner_pidfd, child.inner_gone = inner, os.pidfd_open(inner), False
        os.waitpid(inner, 0)
        serving.on_exit(child)
        serving.on_inner_exit(child)
        told = json.loads(ours.recv(4096))
    assert (told["event"], told["code"], told["ran"]) == ("ended", 0, False)
    assert serving.children == {}


def children(pid: int) -> list[int]:
    """Wait for the children of a process."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if found:
            return [int(word) for word in found]
        time.sleep(0.0005)
    raise AssertionError(f"{pid} has no child")
