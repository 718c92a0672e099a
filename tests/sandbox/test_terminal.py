from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator

import pytest

from handrail.sandbox import Box, Exit, Process, terminal
from handrail.sandbox.terminal import TYPED, frame, frames, size

HELPER = (sys.executable, "-I", "-S", terminal.__file__)


async def heard(process: Process, what: bytes) -> bytes:
    said = b""
    async with asyncio.timeout(20):
        while what not in said:
            more = await process.stdout.read(4096)
            assert more, said
            said += more
    return said


def test_frames_are_taken_whole() -> None:
    given = bytearray(frame(TYPED, b"ls\n") + size(100, 40) + frame(TYPED, b"x" * 10)[:-1])
    assert list(frames(given)) == [(TYPED, b"ls\n"), (b"s", b"\x00\x64\x00\x28")]
    assert len(given) == 14
    given += b"x"
    assert list(frames(given)) == [(TYPED, b"x" * 10)]
    assert not given


@pytest.fixture
def deaf() -> Iterator[None]:
    """As a server is that a script began with `nohup … &`."""
    kept = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("deaf")
async def test_a_program_has_a_terminal_that_is_typed_into_and_resized(box: Box) -> None:
    process = await box.start([*HELPER, "90", "30", "/bin/sh"], env={"PS1": "ready ", "TERM": "xterm"})
    await heard(process, b"ready ")
    process.stdin.write(frame(TYPED, b"stty size; tty\n"))
    said = await heard(process, b"/dev/pts/")
    assert b"30 90" in said
    process.stdin.write(size(120, 50) + frame(TYPED, b"stty size\n"))
    await heard(process, b"50 120")
    process.stdin.write(frame(TYPED, b"sh -c 'echo sl''eeps; exec sleep 60'\n"))
    await heard(process, b"sleeps")
    process.stdin.write(frame(TYPED, b"\x03"))  # Ctrl-C ends what runs, not the shell
    process.stdin.write(frame(TYPED, b"echo al''ive; exit 3\n"))
    await heard(process, b"alive")
    assert (await process.wait()).code == 3


async def test_the_end_of_input_hangs_the_program_up(box: Box) -> None:
    process = await box.start([*HELPER, "80", "24", "/bin/sh", "-c", "echo there; sleep 60"], env={})
    await heard(process, b"there")
    process.stdin.close()
    async with asyncio.timeout(20):
        assert await process.wait() == Exit(-signal.SIGHUP, "signalled")


async def test_much_is_typed_and_much_is_said(box: Box) -> None:
    counting = "stty raw -echo; echo go; head -c 300000 | wc -c"
    process = await box.start([*HELPER, "80", "24", "/bin/sh", "-c", counting], env={})
    await heard(process, b"go")
    process.stdin.write(frame(TYPED, b"x" * 300_000))
    await heard(process, b"300000")
    many = await box.start([*HELPER, "80", "24", "/bin/sh", "-c", "seq 1 60000; echo the-end"], env={})
    assert len(await heard(many, b"the-end")) > 300_000
