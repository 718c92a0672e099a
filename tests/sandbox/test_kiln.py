"""What a kiln forks stands behind the same walls as what bwrap starts, and ends like it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import shutil
import signal
import site
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from handrail.sandbox import Exit, Walls, bubblewrap, kiln
from handrail.sandbox.bubblewrap import BubblewrapBackend, BubblewrapBox
from handrail.sandbox.linux import processes
from handrail.sandbox.orders import Warm
from handrail.sandbox.paths import python_paths
from handrail.sandbox.process import BoxProcess
from tests.sandbox import obedient
from tests.sandbox.battery import ATTEMPTS, ground, sides
from tests.sandbox.battery.course import NAMES
from tests.sandbox.battery.resources import ALONE
from tests.sandbox.conftest import Place

ROOT = Path(__file__).parents[2]
STANDING = """
import ctypes, json, os, pathlib, resource, signal, sys
read = lambda name: pathlib.Path(name).read_text()
status = dict(line.split(":\\t", 1) for line in read("/proc/self/status").splitlines())
same = ("Cap", "Sig", "Shd", "Sec", "Spec", "x86", "Name", "Umask", "Uid", "Gid", "Groups", "NoNew", "Threads", "Core")
told = {name: status[name] for name in status if name.startswith(same)}
told["depth"] = len(status["NSpid"].split())
told["processes"] = sorted(read(f"/proc/{one}/comm").strip() for one in os.listdir("/proc") if one.isdigit())
told["leads"] = os.getsid(0) == os.getpid() == os.getpgid(0)
links = {number: f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")}
told["open"] = {number: os.readlink(link).partition(":")[0] for number, link in links.items() if os.path.exists(link)}
limits = [name for name in dir(resource) if name.startswith("RLIMIT")]
told["limits"] = {name: resource.getrlimit(getattr(resource, name)) for name in limits}
told["environment"], told["cwd"], told["root"] = dict(os.environ), os.getcwd(), os.readlink("/proc/self/root")
told["mounts"] = [line.split()[3:] for line in read("/proc/self/mountinfo").splitlines()]
told["files"] = [read(f"/proc/self/{name}") for name in ("cgroup", "uid_map", "gid_map", "oom_score_adj", "cmdline")]
told["prctl"] = [ctypes.CDLL(None).prctl(number, 0, 0, 0, 0) for number in (3, 7, 27, 37, 39, 42)]
told["signals"] = {int(one): str(signal.getsignal(one)) for one in signal.valid_signals()}
told["python"] = [sys.argv, sys.orig_argv, sys.path, sys.executable, sys.prefix, list(sys.flags)]
streams = (sys.stdin, sys.stdout, sys.stderr)
told["streams"] = [[f.encoding, f.errors, f.line_buffering, f.seekable(), f.isatty()] for f in streams]
told["main"] = pathlib.Path(sys.modules["__main__"].__file__).name
told["files"][-1] = told["files"][-1].rstrip("\\0")
print(json.dumps(told))
"""
"""what a process can find out of itself"""
EXECUTABLE = """
import json, os
link, said = "/proc/self/exe", []
for attempt in (lambda: os.open(link, os.O_WRONLY), lambda: os.chmod(link, 0o4755), lambda: os.utime(link)):
    try:
        said.append(f"done: {attempt()}")
    except OSError as error:
        said.append(error.strerror)
print(json.dumps(said))
"""
LEAVE = "import os, time; os.fork() or (os.setsid(), os.closerange(0, 3), time.sleep(3611))\n"
ENDS = {
    "import sys; sys.exit(7)": Exit(7, "exited"),
    f"{LEAVE}raise ValueError": Exit(1, "exited"),
    "import os; os.kill(os.getpid(), 11)": Exit(-11, "signalled"),
    "import os; os.kill(os.getpid(), 9)": Exit(-9, "signalled"),
    # what keeps the walls up is stopped by what is inside
    "import os; pids = {int(one) for one in os.listdir('/proc') if one.isdigit()} - {os.getpid()}\n"
    "for pid in pids: os.kill(pid, 19)\nos._exit(3)": Exit(3, "exited"),
}
"""what a program does → how it ends"""


INSIDE = "tests.sandbox.battery.inside"
KILN = str(Path(kiln.__file__))


def words(pid: int) -> list[str]:
    """The command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def below(pid: int) -> set[int]:
    """Living processes that a process has started, and those have."""
    known = {one: parent for one, (parent, state) in processes().items() if state not in b"ZX"}
    found = {pid}
    while more := {one for one, parent in known.items() if parent in found} - found:
        found |= more
    return found - {pid}


def spaces(pid: int) -> dict[str, str]:
    """The namespaces of a process."""
    return {path.name: str(path.readlink()) for path in Path(f"/proc/{pid}/ns").iterdir() if "_for_" not in path.name}


@pytest.fixture
async def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BubblewrapBackend]:
    """Walls whose Python finds the tests too, without a variable that would tell it, and belongs to the session."""
    python = tmp_path / "venv" / "bin" / "python"
    packages = tmp_path / "venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for path in (python.parent, packages):
        path.mkdir(parents=True)
    real = Path(os.path.realpath(sys.executable))
    shutil.copy2(real, python)
    if ground.UID is not None:
        os.chown(python, ground.UID, ground.UID)  # what an ordinary user's sessions have in common with the server
    (tmp_path / "venv" / "pyvenv.cfg").write_text(f"home = {real.parent}\n")
    (packages / "tests.pth").write_text("\n".join(str(path) for path in (ROOT, ROOT / "src", *site.getsitepackages())))
    monkeypatch.setattr(sys, "executable", str(python))
    made = BubblewrapBackend()
    yield made
    await made.close()


def walls(place: Place) -> Walls:
    """Those of a session, with what the tests need to be read."""
    seen = (*python_paths(), ROOT / "tests", Path(sys.executable).parents[1])
    return Walls(place.workspace, place.home, seen, (place.workspace / ".git" / "config",), ground.UID)


async def start(box: BubblewrapBox) -> BoxProcess:
    """Start the module, forked where a kiln is ready."""
    process = await box.start([sys.executable, "-I", "-m", obedient.__name__], env={"TOKEN": "x"}, warm=True)
    assert isinstance(process, BoxProcess)
    assert await tell(process, "print(1)") == 1
    return process


async def forked(box: BubblewrapBox) -> BoxProcess:
    """Start until one is forked."""
    async with asyncio.timeout(60):
        while len((process := await start(box)).pids) < 2:
            await process.kill()
    return process


async def tell(process: BoxProcess, program: str) -> Any:
    """What a program says that runs in it."""
    process.stdin.write(json.dumps(program).encode() + b"\n")
    said = await asyncio.wait_for(process.stdout.readline(), 60)
    assert said, process.stderr_tail()
    return json.loads(said)


async def test_what_is_forked_stands_as_what_is_started(backend: BubblewrapBackend, place: Place) -> None:
    box = await backend.open(walls(place))
    cold, warm = await start(box), await forked(box)
    assert len(cold.pids) == 1
    one, other = await tell(cold, STANDING), await tell(warm, STANDING)
    assert (one.pop("leads"), other.pop("leads")) == (False, True)
    assert (one.pop("processes"), other.pop("processes")) == (["bwrap", "python"], ["bwrap", "python", "sh"])
    assert other == one
    outer, inside = warm.pids
    assert all(spaces(pid) == spaces(inside) for pid in below(outer))
    assert set(await tell(warm, EXECUTABLE)) <= {"Text file busy", "Read-only file system"}


async def test_nothing_gets_through_from_there(backend: BubblewrapBackend) -> None:
    """Those attempts that need no door; the rest of the battery asks what is outside of a process."""
    names = [name for name in ATTEMPTS if NAMES[name] in {"reads", "writes", "kernel", "resources"}]
    names = [name for name in names if name not in ALONE]
    async with ground.ground(walled=True) as let_loose:
        usual = sides.walls(let_loose, let_loose.workspace, sides.LIMITS)
        seen = (*usual.read_only, Path(sys.executable).parents[1])
        process = await forked(await backend.open(replace(usual, read_only=seen)))
        given = let_loose.spoken()
        program = (
            f"import io, runpy, sys; sys.argv[1:] = {names!r}; sys.stdin = io.TextIOWrapper(io.BytesIO({given!r}))"
        )
        answers = await tell(process, f"{program}; runpy.run_module({INSIDE!r}, run_name='__main__'); print()")
    assert answers.keys() == set(names)
    assert {name: said for name, (got, said) in answers.items() if got} == {}


async def test_it_ends_as_what_is_started(backend: BubblewrapBackend, place: Place) -> None:
    box = await backend.open(walls(place))
    await (await forked(box)).kill()
    for program, end in ENDS.items():
        process = await forked(box)
        process.stdin.write(json.dumps(program).encode() + b"\n")
        assert await asyncio.wait_for(process.wait(), 30) == end, program
    assert await (await forked(box)).stop() == Exit(0, "exited")
    stopped = await forked(box)
    stopped.stdin.write(json.dumps("import time; time.sleep(3612)").encode() + b"\n")
    assert await stopped.stop(grace=0.1) == Exit(-15, "signalled")
    assert await (await forked(box)).kill() == Exit(-9, "killed")
    client = await backend.client()
    (oven,) = below(client.pid)
    assert KILN in words(oven), "it alone is left"
    process = await forked(box)
    everything = below(client.pid)
    client.close()
    assert not everything & {pid for pid, (_, state) in processes().items() if state not in b"ZX"}
    assert await process.wait() == Exit(-9, "signalled")


async def test_it_goes_on_without_the_kiln_and_not_without_the_launcher(
    backend: BubblewrapBackend, place: Place
) -> None:
    box = await backend.open(walls(place))
    launcher = (await backend.client()).pid
    process = await forked(box)
    (oven,) = {pid for pid in below(launcher) if KILN in words(pid)}
    os.kill(oven, signal.SIGKILL)
    assert len((await start(box)).pids) == 1
    assert await tell(process, "print(2)") == 2
    assert len((await forked(box)).pids) == 2, "another was made"
    everything = below(launcher)
    os.kill(launcher, signal.SIGKILL)
    assert await process.wait() == Exit(-9, "signalled")
    for pid in everything:
        with contextlib.suppress(ProcessLookupError):  # it is gone already
            select.select([os.pidfd_open(pid)], [], [], 30)
    assert not everything & {pid for pid, (_, state) in processes().items() if state not in b"ZX"}


async def test_an_order_is_started_when_the_kiln_stands_still_which_is_killed(
    backend: BubblewrapBackend, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = await backend.open(walls(place))
    before = await forked(box)
    (oven,) = {pid for pid in below((await backend.client()).pid) if KILN in words(pid)}
    end = os.pidfd_open(oven)
    monkeypatch.setattr(bubblewrap, "KILN_SECONDS", 0.2)
    os.kill(oven, signal.SIGSTOP)
    assert len((await start(box)).pids) == 1
    assert select.select([end], [], [], 30)[0], "it is killed"
    os.close(end)
    assert await tell(before, "print(2)") == 2, "what it had forked goes on"


def test_a_kiln_that_stands_still_while_it_imports_is_killed() -> None:
    warm = Warm(module="tests.none", argv=[], env={}, cwd="/", seconds=0.1)
    made = kiln.Kiln(b"")
    for _ in range(2):
        assert made.prepare(warm, []) is None
    assert made.control is not None
    os.kill(made.pid, signal.SIGSTOP)
    assert not select.select([made.control], [], [], made.patience())[0]
    made.hurry()
    assert select.select([made.control], [], [], 30)[0]
    assert not made.listen()
    assert (made.pid, made.patience()) == (0, None)


async def test_what_cannot_be_forked_is_started(
    backend: BubblewrapBackend, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = await backend.open(walls(place))
    await forked(box)
    usual = box._warm

    def wrong(*args: Any) -> Warm | None:
        told = usual(*args)
        return told and Warm(**{**told, "cwd": "/none"})

    monkeypatch.setattr(box, "_warm", wrong)
    for _ in range(kiln.FAILURES):
        process = await start(box)
        assert await process.stop() == Exit(0, "exited"), process.stderr_tail()
    monkeypatch.setattr(box, "_warm", usual)
    process = await start(box)
    assert len(process.pids) == 1, "it is given up"
    assert [pid for pid in below((await backend.client()).pid) if KILN in words(pid)] == []


def test_a_module_that_cannot_be_imported_makes_no_kiln(capfd: pytest.CaptureFixture[str]) -> None:
    warm = Warm(module="tests.none", argv=[], env={}, cwd="/", seconds=30)
    made = kiln.Kiln(b"")
    for _ in range(2):
        assert made.prepare(warm, []) is None
    while made.control is not None and select.select([made.control], [], [], 30)[0] and made.listen():
        pass
    assert made.prepare(warm, []) is None
    assert not made.control
    assert "No module named 'tests" in capfd.readouterr().err
