"""Attempts to stay: processes that outlive what started them, and what a process leaves for the one after it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from pathlib import Path

from tests.sandbox.battery.sides import Side

_SLEEP = "exec -a $0 sleep 397"
STAYING: dict[str, str] = {
    "stay_in_a_session_of_its_own": "os.setsid()",
    "stay_as_a_daemon": "os.setsid(); os.fork() and os._exit(0)",
    "stay_in_a_group_of_its_own": "os.setpgid(0, 0)",
    "stay_deaf_to_signals": "[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]; os.setsid()",
    "stay_as_an_orphan": "os.fork() and os._exit(0)",
    "stay_without_an_environment": "os.environ.clear(); os.setsid()",
    "stay_stopped": "stopped = True",
}
"""what a child does before it becomes a command that sleeps"""
_CHILD = """
import os, signal, sys, time
stopped = False
if os.fork() == 0:
    {preparation}
    code = ("kill -STOP $$; " if stopped else "") + "{sleep}"
    os.execve("/bin/bash", ["/bin/bash", "-c", code, sys.argv[1]], dict(os.environ))
sys.stdout.write("up\\n"); sys.stdout.flush()
time.sleep(30)
"""

LEAVING: dict[str, tuple[str, str]] = {
    "leave_scratch": ("touch /tmp/{word}", "test -e /tmp/{word}"),
    "leave_shared_memory": ("touch /dev/shm/{word}", "test -e /dev/shm/{word}"),
    "leave_a_segment": (
        "{python} -I -S -c 'import ctypes; print(ctypes.CDLL(None).shmget({key}, 4096, 0o1666))'",
        (
            "{python} -I -S -c 'import ctypes, sys; c = ctypes.CDLL(None); n = c.shmget({key}, 4096, 0);"
            " c.shmctl(n, 0, None); sys.exit(n < 0)'"
        ),
    ),
}
"""what one process leaves, and how another finds it"""
NAMES = (*STAYING, *LEAVING)


async def run(side: Side) -> dict[str, tuple[bool, str]]:
    """Start each, end what was started, and look for what is left."""
    answers = dict(await asyncio.gather(*(_stay(side, name) for name in STAYING)))
    for name, (leave, look) in LEAVING.items():
        word = f"handrail-left-{secrets.token_hex(8)}"
        key = 0x48520000 + secrets.randbelow(1 << 16)
        given = {"word": word, "key": key, "python": sys.executable}
        await side.run(["/bin/sh", "-c", leave.format(**given)])
        found = await side.run(["/bin/sh", "-c", look.format(**given)])
        answers[name] = found.code == 0, "it was found" if found.code == 0 else "it was gone"
        for directory in ("/tmp", "/dev/shm"):
            Path(directory, word).unlink(missing_ok=True)
    return answers


async def _stay(side: Side, name: str) -> tuple[str, tuple[bool, str]]:
    word = f"handrail-stay-{secrets.token_hex(8)}"
    code = _CHILD.format(preparation=STAYING[name], sleep=_SLEEP)
    async with side.started([sys.executable, "-I", "-S", "-c", code, word]):
        up = await _seen(word, wanted=True)
    assert up, f"{name}: the command was never started"
    left = await _seen(word, wanted=False)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return name, (bool(left), f"{len(left)} processes were left")


async def _seen(word: str, *, wanted: bool) -> list[int]:
    """Processes of that word, as soon as it is as wanted, at the latest after five seconds (one if none are)."""
    found: list[int] = []
    for _ in range(100 if wanted else 20):
        found = await asyncio.to_thread(_find, word.encode())
        if bool(found) is wanted:
            break
        await asyncio.sleep(0.05)
    return found


def _find(word: bytes) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().split(b"\0")
                if word in line and line[0] != os.fsencode(sys.executable):
                    found.append(int(entry.name))
    return found
