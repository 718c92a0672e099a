"""The whole battery on one side, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path

from handrail.sandbox import Door, Guarantee
from handrail.sandbox.bubblewrap import BubblewrapBackend
from tests.sandbox.battery import ATTEMPTS, CONTROLS, disk, doors, git, group_of, output, persistence, tripwires
from tests.sandbox.battery import ground as grounds
from tests.sandbox.battery.ground import Ground
from tests.sandbox.battery.inside import MODULES
from tests.sandbox.battery.resources import ALONE
from tests.sandbox.battery.sides import CPU_CAPPED, MEMORY_CAPPED, Plain, Side, Walled, disk_capped, opened

GROUPS = {
    "reads": "reads",
    "writes": "writes",
    "git": "git, and what the host then does",
    "tripwires": "files that configure agents and tools",
    "kernel": "processes and kernel",
    "network": "network and gateway",
    "proxy": "proxy",
    "secrets": "secrets",
    "output": "output",
    "resources": "resources",
    "disk": "the size of clone and home",
    "persistence": "persistence",
}
TIMEOUT = "time_without_end"
NAMES: dict[str, str] = {
    **{name: group_of(name) for name in ATTEMPTS},
    TIMEOUT: "resources",
    **dict.fromkeys(git.NAMES, "git"),
    **dict.fromkeys(tripwires.NAMES, "tripwires"),
    **dict.fromkeys(output.NAMES, "output"),
    **dict.fromkeys(persistence.NAMES, "persistence"),
}
"""every attempt → its group"""

MACHINE = frozenset(
    {
        "accounting",
        "add_a_device",
        "be_spared_when_memory_ends",
        "control_group",
        "dump_core",
        "enter_namespace_of_init",
        "hypervisor_socket",
        "host_loopback_v6",
        "io_ring",
        "kernel_cryptography",
        "kernel_module",
        "list_root_home",
        "load_kernel",
        "locked_memory",
        "multicast",
        "other_binary_interface",
        "ports_of_the_machine",
        "program_of_modules",
        "raise_process_limit",
        "read_addresses_of_the_kernel",
        "read_disk",
        "read_kernel_log",
        "read_kernel_memory",
        "read_through_pid1_root",
        "realtime",
        "route_to_metadata",
        "route_to_the_world",
        "swap_off",
        "sysrq",
        "talk_to_the_netfilter",
        "time_of_the_processor",
        "tunnel_device",
        "type_into_terminal",
        "watch_the_file_system",
    }
)
"""attempts that some machines stop without our walls (kernel options, hardware, what happens to be installed)"""
BUSY = frozenset({"time_of_the_processor"})
"""those of them that a machine stops while others keep it busy"""

assert {module.__name__.rpartition(".")[2] for module in MODULES} <= GROUPS.keys()


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one attempt; `flagged` is a file that a task may write, and that a reviewer is told of."""

    name: str
    got: bool
    said: str
    flagged: bool = False

    @property
    def group(self) -> str:
        """Its group."""
        return NAMES[self.name]


async def behind_walls() -> list[Tried]:
    """Everything, against the walls, workspaces and door of a session."""
    backend = BubblewrapBackend()
    try:
        async with grounds.ground(walled=True) as ground, doors.walled(ground) as doorway:
            listening = asyncio.create_task(_listen(ground.targets["listen"]))
            async with opened(backend, ground, ground.workspace) as side:
                works = await _inside(side, list(CONTROLS), ground, doorway.door)
                assert {name: said for name, (worked, said) in works.items() if not worked} == {}
                names = [name for name in ATTEMPTS if name not in ALONE and NAMES[name] != "disk"]
                answers = await _together(
                    _inside(side, names, ground, doorway.door),
                    output.run(side),
                    persistence.run(side),
                    _time(side),
                    _capped(backend, ground),
                    _filled(backend, ground),
                    git.run(ground, backend),
                )
            _settle(answers, ground, doorway, heard=await _end(listening))
            async with opened(backend, ground, ground.workspace) as side:
                return _all(answers, await tripwires.run(side, ground.workspace))
    finally:
        await backend.close()


async def without_walls() -> list[Tried]:
    """The same with nothing in the way."""
    async with grounds.ground(walled=False) as ground, doors.plain(ground) as doorway:
        side = Plain(ground.workspace.path)
        listening = asyncio.create_task(_listen(ground.targets["listen"]))
        answers = await _together(
            _inside(side, list(ATTEMPTS), ground, None),
            output.run(side),
            persistence.run(side),
            _time(side),
            git.run(ground, None),
        )
        _settle(answers, ground, doorway, heard=await _end(listening))
        return _all(answers, await tripwires.run(side, ground.workspace))


Answers = dict[str, tuple[bool, str]]


async def _together(*parts: Awaitable[Answers]) -> Answers:
    """Side by side, since most of the time is spent waiting for what does not come."""
    found: Answers = {}
    for part in await asyncio.gather(*parts):
        found |= part
    return found


def _all(answers: Answers, flagged: dict[str, tuple[bool, str, bool]]) -> list[Tried]:
    tried = [Tried(name, got, said) for name, (got, said) in answers.items()]
    return tried + [Tried(name, *answer) for name, answer in flagged.items()]


async def _inside(side: Walled | Plain, names: Sequence[str], ground: Ground, door: Door | None) -> Answers:
    answer = await side.battery(names, ground.spoken(), door)
    return {name: (bool(got), str(said)) for name, (got, said) in json.loads(answer).items()}


async def _capped(backend: BubblewrapBackend, ground: Ground) -> Answers:
    """What may take the box down with it, each in one of its own; nothing where this machine has no control groups."""
    held = backend.hierarchy.guarantee if backend.hierarchy else Guarantee.NOTHING
    answers: Answers = {}
    for name in ALONE if held & (Guarantee.MEMORY | Guarantee.CPU) == Guarantee.MEMORY | Guarantee.CPU else ():
        limits = CPU_CAPPED if name == "time_of_the_processor" else MEMORY_CAPPED
        async with opened(backend, ground, ground.workspace, limits) as side:
            said = await side.battery([name], ground.spoken(), None)
            got = json.loads(said)[name] if said else (False, "the box was ended")
            answers[name] = (bool(got[0]), str(got[1]))
    return answers


async def _filled(backend: BubblewrapBackend, ground: Ground) -> Answers:
    """What goes over a limit on the disk, each in a box and directories of its own."""

    async def fill(name: str) -> tuple[bool, str]:
        async with disk_capped(backend, ground, name, disk.LIMIT) as (side, targets):
            said = await side.battery([name], json.dumps(targets).encode(), None)
            return bool(said), "it was not ended" if said else "the box was ended"

    names = [name for name in ATTEMPTS if NAMES[name] == "disk"]
    return dict(zip(names, await asyncio.gather(*map(fill, names)), strict=True))


async def _time(side: Side) -> Answers:
    """A command that does not heed being told to end."""
    argv = [sys.executable, "-I", "-S", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(3)"]
    if side.walled:
        done = await side.run(argv, timeout=1)
        return {TIMEOUT: (done.seconds > 2.5, f"it ran for {done.seconds:.1f} s of 1")}
    done = await side.run(["timeout", "1", *argv])
    return {TIMEOUT: (done.seconds > 2.5, f"it ran for {done.seconds:.1f} s of 1")}


async def _listen(port: int) -> bool:
    """Whether what listens inside can be reached from outside."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            said = await reader.read(16)
            writer.close()
            await writer.wait_closed()
            if said == b"inside":
                return True
        await asyncio.sleep(0.05)


async def _end(listening: asyncio.Task[bool]) -> bool:
    heard = listening.done() and listening.result()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    return heard


def _settle(answers: Answers, ground: Ground, doorway: doors.Doorway, *, heard: bool) -> None:
    """What only the host can tell."""
    leave = ground.targets["leave"]
    carried = any("c2VjcmV0" in name for name in doorway.looked_up)
    for name, got in (
        ("leave_scratch_for_the_host", Path("/tmp", leave).exists()),
        ("leave_shared_memory_for_the_host", Path("/dev/shm", leave).exists()),
        ("write_database", (ground.data / leave).exists()),
        ("listen_for_the_host", heard),
        ("names_that_carry_data", carried),
    ):
        answers[name] = got, "the host saw it" if got else "the host saw nothing"


PROVES = os.geteuid() == 0
"""as an ordinary user the machine itself stops many attempts that have no walls before them"""
