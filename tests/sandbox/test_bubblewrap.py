from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from handrail.errors import MissingPart, SandboxError
from handrail.sandbox import Box, Exit, Walls
from handrail.sandbox import bubblewrap as module
from handrail.sandbox.bubblewrap import BubblewrapBackend
from handrail.sandbox.paths import python_paths
from tests.sandbox.conftest import Place
from tests.sandbox.test_process import alive

SOURCE = Path(module.__file__).parents[2]
SYSTEM_PYTHON = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


async def test_it_never_runs_as_root(walled: Box) -> None:
    done = await walled.run(["sh", "-c", "id -u; touch f; cat /proc/self/uid_map"])
    uid = int(done.stdout.split()[0])
    assert uid != 0
    assert (walled.walls.workspace / "f").stat().st_uid == uid == walled.walls.workspace.stat().st_uid


async def test_handrails_own_python_works_inside(walled: Box) -> None:
    code = "import handrail.config, pydantic, sys; print(sys.executable)"
    done = await walled.run([sys.executable, "-c", code])
    assert done.stdout.decode() == f"{sys.executable}\n", done.stderr.decode()


@pytest.mark.parametrize("argv", [["git", "init", "repo"], ["node", "-e", "new Worker('1', {eval: true})"]])
async def test_usual_tools_work_inside(walled: Box, argv: list[str]) -> None:
    done = await walled.run(argv)
    assert done.code == 0 or b"Worker is not defined" in done.stderr, done.stderr.decode()


async def test_protected_paths_are_checked_before_each_start(walled: Box) -> None:
    config = walled.walls.protected[0]
    config.unlink()
    config.symlink_to("/etc/passwd")
    with pytest.raises(SandboxError, match=r"protected path .* is a link"):
        await walled.run(["true"])
    config.unlink()
    with pytest.raises(SandboxError, match="No such file"):
        await walled.run(["true"])


async def test_paths_that_cannot_be_walls(bubblewrap: BubblewrapBackend, place: Place) -> None:
    walls = place.walls()
    (place.top / "link").symlink_to(place.workspace)
    for change, said in (
        ({"workspace": place.top / "none"}, "workspace .* cannot be used: No such file"),
        ({"workspace": place.top / "link"}, "is a link"),
        ({"home": place.workspace / ".git" / "config"}, "no directory"),
        ({"read_only": (place.top / "none",)}, "does not exist"),
        ({"uid": 0}, "uid 0 is never used" if os.geteuid() == 0 else "only by a server that is root"),
    ):
        with pytest.raises(SandboxError, match=said):
            await bubblewrap.open(replace(walls, **change))


async def test_a_missing_program_is_told_with_its_package(
    bubblewrap: BubblewrapBackend, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handrail.sandbox.bubblewrap.shutil.which", lambda *_, **__: None)
    with pytest.raises(MissingPart, match="apt-get install bubblewrap"):
        await bubblewrap.open(place.walls())


async def test_a_program_outside_is_named(walled: Box, place: Place) -> None:
    tool = place.top / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    with pytest.raises(SandboxError, match="is not mounted"):
        await walled.run([str(tool)])


async def test_scratch_is_new_for_every_process(walled: Box) -> None:
    await walled.run(["sh", "-c", "echo x > /tmp/left; echo x > /dev/shm/left; echo x > kept"])
    done = await walled.run(["sh", "-c", "ls /tmp /dev/shm; cat kept"])
    assert b"left" not in done.stdout
    assert done.stdout.endswith(b"x\n")


def family(pid: int) -> list[int]:
    """A process and its descendants, the eldest first."""
    found = [pid]
    for one in found:
        found += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
    return found


async def test_the_arguments_of_a_box_stand_on_a_descriptor_and_its_own_environment_is_empty(walled: Box) -> None:
    """What is given to the process inside is nowhere in `/proc` for another process of the machine to read."""
    process = await walled.start(["sh", "-c", "echo $MARK; exec sleep 60"], env={"MARK": "word-9"})
    assert await process.stdout.readline() == b"word-9\n"
    assert process.pid is not None
    bwrap = Path(f"/proc/{process.pid}")
    words = (bwrap / "cmdline").read_bytes().split(b"\0")
    assert Path(os.fsdecode(words[0])).name == "bwrap"
    assert b"--args" in words
    assert not [word for word in words if b"word-9" in word or b"--setenv" in word]
    assert (bwrap / "environ").read_bytes() == b""
    await process.kill()


@root
async def test_a_server_that_is_root_runs_each_session_as_a_user_of_its_own_that_is_root_nowhere(
    bubblewrap: BubblewrapBackend, tmp_path: Path
) -> None:
    """Told by the kernel from outside: the ids of a living process, and what its user namespaces map to what."""
    found = []
    for name in ("a", "b"):
        for part in ("workspace", "home"):
            (tmp_path / name / part).mkdir(parents=True)
        box = await bubblewrap.open(Walls(tmp_path / name / "workspace", tmp_path / name / "home"))
        process = await box.start(["sh", "-c", "echo on; exec sleep 60"], env={})
        assert await process.stdout.readline() == b"on\n"
        assert process.pid is not None
        everybody = family(process.pid)
        ids = {
            int(word)
            for pid in everybody
            for row in Path(f"/proc/{pid}/status").read_text().splitlines()
            if row.startswith(("Uid:", "Gid:", "Groups:"))
            for word in row.split()[1:]
        }
        inside = Path(f"/proc/{everybody[-1]}")
        assert b"sleep" in (inside / "cmdline").read_bytes()
        for kind in ("uid_map", "gid_map"):
            ((here, there, count),) = [map(int, row.split()) for row in (inside / kind).read_text().splitlines()]
            assert count == 1, "one id is mapped, and no other"
            assert 0 not in (here, there)
            ids.add(there)
        assert len(ids) == 1, ids
        found.append(ids)
        await process.kill()
    assert found[0] != found[1]
    assert 0 not in found[0] | found[1]


@root
async def test_a_session_keeps_its_uid(place: Place) -> None:
    uids = set()
    for _ in range(2):
        backend = BubblewrapBackend()
        box = await backend.open(replace(place.walls(), uid=None))
        uids.add((await box.run(["id", "-u"])).stdout)
        await backend.close()
    assert len(uids) == 1


@root
async def test_hard_links_are_not_given_away(bubblewrap: BubblewrapBackend, place: Place) -> None:
    (place.top / "mine").write_text("x")
    (place.workspace / "hard").hardlink_to(place.top / "mine")
    (place.home / "soft").symlink_to(place.top / "mine")
    await bubblewrap.open(place.walls())
    assert (place.top / "mine").stat().st_uid == 0
    assert (place.home / "soft").lstat().st_uid != 0


@root
async def test_files_written_later_can_be_handed_over(bubblewrap: BubblewrapBackend, place: Place) -> None:
    box = await bubblewrap.open(place.walls())
    (place.home / "settings").write_text("x")
    (place.home / "settings").chmod(0o600)
    assert (await box.run(["cat", f"{place.home}/settings"])).code != 0
    await box.hand_over(place.home)
    assert (await box.run(["cat", f"{place.home}/settings"])).stdout == b"x"


async def test_memory_is_limited_where_it_can_be(bubblewrap: BubblewrapBackend, place: Place) -> None:
    if bubblewrap.hierarchy is None or "memory" not in bubblewrap.hierarchy.parents:
        with pytest.raises(SandboxError, match="limit on memory cannot be held"):
            await bubblewrap.open(place.walls(memory_bytes=1 << 26))
        return
    box = await bubblewrap.open(place.walls(memory_bytes=1 << 26))
    process = await box.start([sys.executable, "-c", "x = b'x' * (1 << 28)"], env={})
    assert await process.wait() == Exit(-9, "out_of_memory")
    assert (await box.run(["true"])).code == 0
    await box.close()
    assert list(bubblewrap.hierarchy.parents["memory"].glob(f"box-{os.getpid()}-*")) == []


SERVER = """
import asyncio, sys
from pathlib import Path
from handrail.sandbox import Walls
from handrail.sandbox.backends import open_backend
from handrail.sandbox.paths import python_paths
from handrail.types import SandboxKind

async def main():
    kind, workspace, home, mark = sys.argv[1:]
    box = await open_backend(SandboxKind(kind)).open(Walls(Path(workspace), Path(home)))
    script = f"(setsid sh -c 'sleep {mark}' &); setsid sleep {mark} & echo on; sleep {mark}"
    processes = [await box.start(["sh", "-c", script], env={}) for _ in range(3)]
    for process in processes:
        await process.stdout.readline()
    done = await box.run(["sh", "-c", "id -u; cat /proc/self/status"])
    print("ready", done.stdout.split()[0].decode(), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["bubblewrap", "none"])
async def test_a_killed_server_leaves_nothing(place: Place, kind: str) -> None:
    mark = f"{400 + os.getpid() / 1e6:.6f}{len(kind)}"
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, kind, str(place.workspace), str(place.home), mark),
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    assert (await server.stdout.readline()).startswith(b"ready ")
    assert len(alive(mark)) >= 6
    server.send_signal(signal.SIGKILL)
    await server.wait()
    until = time.monotonic() + 5
    while alive(mark) and time.monotonic() < until:  # noqa: ASYNC110  # other processes set no event
        await asyncio.sleep(0.02)
    assert alive(mark) == []


async def test_a_killed_launcher_leaves_nothing_and_is_replaced(bubblewrap: BubblewrapBackend, place: Place) -> None:
    box = await bubblewrap.open(place.walls())
    mark = f"{500 + os.getpid() / 1e6:.6f}"
    process = await box.start(["sh", "-c", f"setsid sleep {mark} & echo on; sleep {mark}"], env={})
    await process.stdout.readline()
    os.kill((await bubblewrap.client()).pid, signal.SIGKILL)
    assert (await process.wait()).code == -9
    until = time.monotonic() + 5
    while alive(mark) and time.monotonic() < until:  # noqa: ASYNC110  # other processes set no event
        await asyncio.sleep(0.02)
    assert alive(mark) == []
    assert (await box.run(["echo", "again"])).stdout == b"again\n"


@root
@pytest.mark.skipif(not SYSTEM_PYTHON.exists(), reason="needs a Python like this one that everybody can run")
def test_an_ordinary_user_needs_no_stage(place: Place) -> None:
    for above in list(place.top.parents)[:3]:  # pytest-xdist has one folder more, each closed to other users
        above.chmod(0o1777 if above == Path("/tmp") else 0o755)
    for path in (place.top, place.workspace, place.home):
        path.chmod(0o755)
        os.chown(path, 65534, 65534)
    packages = place.top / "packages"  # those of a virtual environment may stand where nobody else can read
    shutil.copytree(Path(msgspec.__file__).parent, packages / "msgspec")
    source = SERVER.replace("    await asyncio.sleep(60)\n", "    await box.close()\n")
    command = [str(SYSTEM_PYTHON), "-c", source, "bubblewrap", str(place.workspace), str(place.home), "9"]
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *command],
        env={"PYTHONPATH": f"{SOURCE}:{packages}", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == b"ready 65534\n", done.stderr.decode()


def test_the_python_paths_do_not_repeat_themselves() -> None:
    paths = python_paths()
    assert all(path.is_dir() for path in paths)
    assert not any(one in other.parents for one in paths for other in paths)
    assert any(path == SOURCE or path in SOURCE.parents for path in paths)
