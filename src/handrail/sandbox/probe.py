"""The self-test of the walls: real attempts from inside, the same from outside, and what follows from them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from handrail.errors import SandboxError
from handrail.sandbox import Backend, Box, Guarantee, ResourceLimits, Walls
from handrail.sandbox.attempts import Targets
from handrail.sandbox.client import SCRIPT as LAUNCHER
from handrail.sandbox.disk import measure as measure_disk
from handrail.sandbox.paths import python_paths
from handrail.sandbox.process import door_socket

SCRIPT = Path(__file__).with_name("attempts.py")
ORDINARY = frozenset({"HOME", "PATH", "LANG", "TERM", "TMPDIR", "PWD", "SHLVL", "OLDPWD", "_", "LC_ALL", "LC_CTYPE"})
MEMORY = 64 << 20
DISK = 16 << 20
PROCESSES = 64
PROBE_SECONDS = 60.0
"""what takes longer is no trial any more; a machine under load takes its time"""
WRITING_SECONDS = 20.0

TITLES = {
    "workspace": "the workspace, the home and /tmp can be written",
    "read_file": "files that were not mounted cannot be read",
    "read_shadow": "password hashes cannot be read",
    "write_file": "nothing outside can be written",
    "write_system": "the system cannot be written",
    "kernel_setting": "kernel settings cannot be changed",
    "see_process": "processes outside are not seen",
    "environments": "the server's environment is not seen",
    "host_loopback": "services on this machine cannot be reached",
    "metadata": "a cloud's metadata service cannot be reached",
    "route": "no packet can leave",
    "vsock": "the hypervisor cannot be reached",
    "user_namespace": "no further user namespace can be made",
    "keyring": "kernel keyrings cannot be used",
    "terminal_input": "nothing can be typed into a terminal",
    "processes": "the number of processes is limited",
    "memory": "memory is limited",
    "cpu": "CPU time is limited",
    "disk": "the size of workspace and home is limited",
    "kill": "everything inside ends when it is killed",
}
"""what each attempt shows when it is held, in plain words"""

PROVES = {
    Guarantee.READS: ("read_file", "read_shadow"),
    Guarantee.WRITES: ("write_file", "write_system", "kernel_setting"),
    Guarantee.NETWORK: ("host_loopback", "metadata", "route", "vsock"),
    Guarantee.PROCESSES: ("see_process", "user_namespace", "terminal_input"),
    Guarantee.SECRETS: ("environments", "keyring", "read_shadow"),
    Guarantee.PIDS: ("processes",),
    Guarantee.MEMORY: ("memory",),
    Guarantee.CPU: ("cpu",),
    Guarantee.DISK: ("disk",),
    Guarantee.KILL: ("kill",),
}
"""every one of them must be held for the guarantee to be given"""


class Finding(Struct, frozen=True):
    """One attempt. `bites` is whether it got through outside of the walls; None where that was not tried."""

    name: str
    held: bool
    detail: str
    bites: bool | None = None

    @property
    def title(self) -> str:
        """What it shows, in plain words."""
        return TITLES[self.name]


class Report(Struct, frozen=True):
    """What was tried, and what follows."""

    findings: tuple[Finding, ...]
    guarantee: Guarantee


def conclude(findings: tuple[Finding, ...]) -> Guarantee:
    """The guarantees whose every attempt was held."""
    held = {finding.name for finding in findings if finding.held}
    answer = Guarantee.NOTHING
    for flag, names in PROVES.items():
        if held.issuperset(names):
            answer |= flag
    return answer


async def measure(backend: Backend, scratch: Path, limits: Guarantee, *, controls: bool = True) -> Report:
    """Probe a backend.

    Args:
        backend: whose walls to try.
        scratch: a directory for the targets, which goes with the launcher if the server is killed meanwhile.
        limits: the flags of MEMORY and CPU that the backend can ask the kernel for.
        controls: also try everything outside, to see that the attempts bite.

    Raises:
        MissingPart, SandboxError: the walls cannot be raised at all, or what must be possible inside is not.
    """
    async with _ground(scratch) as ground:
        # side by side, since most of it is waiting, and a session asked for meanwhile waits for the answer
        parts = [
            _behind(backend, ground),
            _limited(backend, ground, Guarantee.MEMORY, limits),
            _limited(backend, ground, Guarantee.CPU, limits),
            _disk(backend, ground),
        ]
        trials = [asyncio.ensure_future(part) for part in parts]
        outside = asyncio.ensure_future(_controls(ground) if controls else _nothing())
        try:
            findings = [finding for found in await asyncio.gather(*trials) for finding in found]
            bites = await outside
        finally:
            for trial in (*trials, outside):
                trial.cancel()
            await asyncio.gather(*trials, outside, return_exceptions=True)
        told = tuple(replace(finding, bites=_bites(bites, finding.name)) for finding in findings)
        return Report(told, conclude(told))


async def _behind(backend: Backend, ground: Targets) -> list[Finding]:
    walls = _walls(ground, ResourceLimits(processes=PROCESSES, tmp_bytes=16 << 20))
    box = await backend.open(walls)
    try:
        inside = await _attempts(box, ground)
        inside |= await _attempts(box, ground, "processes")
        kill = await _kill(box)
    finally:
        await box.close()
    got, said = inside.pop("workspace")
    if not got:
        raise SandboxError(f"sandbox: the walls stand, but the workspace cannot be written inside them: {said}")
    return [*(Finding(name, not got, said) for name, (got, said) in inside.items()), kill]


def _walls(ground: Targets, limits: ResourceLimits, trial: str = "") -> Walls:
    """Those of one trial, in directories of its own where it is named: two boxes do not share a workspace."""
    workspace, home = (Path(ground[name] + trial) for name in ("workspace", "home"))
    for path in (workspace, home):
        path.mkdir(exist_ok=True)
    return Walls(workspace, home, read_only=python_paths(), limits=limits)


async def _nothing() -> dict[str, tuple[bool, str]]:
    return {}


def _bites(outside: Mapping[str, tuple[bool, str]], name: str) -> bool | None:
    return outside[name][0] if name in outside else None


@asynccontextmanager
async def _ground(scratch: Path) -> AsyncIterator[Targets]:
    top = Path(tempfile.mkdtemp(prefix="probe-", dir=scratch))
    listener = door_socket()
    try:
        top.chmod(0o755)
        for name in ("workspace", "home", "outside"):
            (top / name).mkdir()
        (top / "outside").chmod(0o777)
        (top / "canary").write_text("canary", "ascii")
        (top / "canary").chmod(0o644)
        yield Targets(
            canary=str(top / "canary"),
            outside=str(top / "outside"),
            port=int(listener.getsockname()[1]),
            process=str(LAUNCHER),
            variables=sorted(os.environ.keys() - ORDINARY),
            workspace=str(top / "workspace"),
            home=str(top / "home"),
        )
    finally:
        listener.close()
        await asyncio.to_thread(shutil.rmtree, top, ignore_errors=True)


def _command(ground: Targets, *more: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(SCRIPT), json.dumps(ground), *more]


async def _attempts(box: Box, ground: Targets, *more: str) -> dict[str, tuple[bool, str]]:
    done = await box.run(_command(ground, *more), timeout=PROBE_SECONDS)
    try:
        answers = json.loads(done.stdout)
    except ValueError as error:
        if done.timed_out:
            raise SandboxError(f"sandbox: the self-test did not end within {PROBE_SECONDS:.0f} s: try again") from error
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else f"exit status {done.code}"
        raise SandboxError(f"sandbox: the self-test could not run inside the walls: {why}") from error
    return {name: (bool(got), str(said)) for name, (got, said) in answers.items()}


async def _controls(ground: Targets) -> dict[str, tuple[bool, str]]:
    # no subprocess of the loop: a server that ends meanwhile cancels this, and would leave one half begun
    with subprocess.Popen(_command(ground), stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
        try:
            output, _ = await asyncio.to_thread(process.communicate)
        finally:
            process.kill()
    try:
        answers = json.loads(output)
    except ValueError:  # it could not even begin out there: the controls are not tried, the walls are
        return {}
    return {name: (bool(got), str(said)) for name, (got, said) in answers.items()}


async def _kill(box: Box) -> Finding:
    # what has left the session and the group of the command is the hard case
    mark = f"611.{secrets.randbelow(10**9):09}"  # other servers of this machine try the same
    sleep = f"sleep {mark}"
    process = await box.start(["/bin/sh", "-c", f"setsid {sleep} & setsid {sleep} & {sleep}"], env={})
    await asyncio.sleep(0.05)
    await process.kill()
    left = await asyncio.to_thread(_descendants, process.pid, mark)
    detail = f"{left} processes were left" if left else "nothing was left, not even in sessions of their own"
    return Finding("kill", held=not left, detail=detail)


def _descendants(pid: int, mark: str) -> int:
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                group = int((entry / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[2])
            except (OSError, ValueError):
                continue
            count += group == pid or command == f"sleep\0{mark}\0".encode()
    return count


async def _limited(backend: Backend, ground: Targets, flag: Guarantee, limits: Guarantee) -> list[Finding]:
    name = str(flag.name).lower()
    if not flag & limits:
        return [Finding(name, held=False, detail="no writable control group (systemd: `-p Delegate=yes`)")]
    caps = ResourceLimits(memory_bytes=MEMORY) if flag is Guarantee.MEMORY else ResourceLimits(cpus=0.2)
    try:
        box = await backend.open(_walls(ground, caps, f"-{name}"))
    except SandboxError as error:
        return [Finding(name, held=False, detail=error.message)]
    try:
        return [await (_memory(box) if flag is Guarantee.MEMORY else _cpu(box))]
    finally:
        await box.close()


async def _memory(box: Box) -> Finding:
    code = f"data = b'x' * {3 * MEMORY}; print(len(data))"
    process = await box.start([sys.executable, "-I", "-S", "-c", code], env={})
    ended = await process.wait()
    held = ended.reason == "out_of_memory"
    return Finding("memory", held=held, detail=f"taking 192 MB of 64 MB: {ended.reason}")


async def _cpu(box: Box) -> Finding:
    code = "import time; e = time.monotonic() + 0.5\nwhile time.monotonic() < e: pass\nprint(time.process_time())"
    done = await box.run([sys.executable, "-I", "-S", "-c", code], timeout=PROBE_SECONDS)
    used = float(done.stdout or b"1")
    return Finding("cpu", held=used < 0.3, detail=f"{used:.2f} s of CPU in 0.5 s under a limit of 0.2 CPUs")


async def _disk(backend: Backend, ground: Targets) -> list[Finding]:
    walls = _walls(ground, ResourceLimits(disk_bytes=DISK), "-disk")
    box = await backend.open(walls)
    code = (
        "import time\n"
        f"for number in range({4 * DISK} >> 20):\n"
        "    with open(f'full-{number}', 'wb') as file: file.write(bytes(1 << 20))\n"
        "    time.sleep(0.01)\n"
        f"time.sleep({WRITING_SECONDS})"
    )
    try:
        ended = await (await box.start([sys.executable, "-I", "-S", "-c", code], env={})).wait()
    finally:
        await box.close()
    took = (await asyncio.to_thread(measure_disk, (walls.workspace, walls.home))) >> 20
    how = "measured while it runs, not held by the kernel: a fast writer goes over before it is ended"
    said = f"writing 64 MB of 16 MB: {ended.reason} at {took} MB; {how}"
    return [Finding("disk", held=ended.reason == "out_of_disk", detail=said)]
