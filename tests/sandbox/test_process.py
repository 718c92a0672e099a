"""How processes run and end, the same on every backend."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from handrail.errors import InvalidInput, SandboxError
from handrail.sandbox import Box, Closer, Exit
from handrail.sandbox.process import FILE_BYTES, TAIL_BYTES, is_reading, mend, printable


async def test_a_command_runs_to_its_end(box: Box) -> None:
    done = await box.run(["sh", "-c", "cat; pwd; echo oops >&2; exit 3"], stdin=b"hello\n")
    assert (done.code, done.stdout, done.stderr) == (3, f"hello\n{box.walls.workspace}\n".encode(), b"oops\n")
    assert not done.truncated
    assert not done.timed_out


async def test_the_environment_is_what_was_given(box: Box) -> None:
    done = await box.run(["env"], env={"TERM": "xterm", "ODD": "a=b\nc \udcff"})
    lines = set(done.stdout.split(b"\n"))
    assert {b"TERM=xterm", b"LANG=C.UTF-8", b"TMPDIR=/tmp", b"ODD=a=b", f"HOME={box.walls.home}".encode()} <= lines
    assert b"c \xff" in lines
    assert not any(line.startswith((b"PYTEST", b"VIRTUAL_ENV")) for line in lines)


async def test_the_directory_can_be_chosen(box: Box) -> None:
    assert (await box.run(["pwd"], cwd=box.walls.home)).stdout == f"{box.walls.home}\n".encode()
    with pytest.raises(SandboxError, match="does not exist"):
        await box.run(["pwd"], cwd=box.walls.workspace / "nowhere")


async def test_output_beyond_the_limit_is_cut(box: Box) -> None:
    done = await box.run(["sh", "-c", "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2"], limit=1000)
    assert (len(done.stdout), len(done.stderr), done.truncated, done.code) == (1000, 1000, True, 0)


async def test_bytes_that_are_no_text_come_through(box: Box) -> None:
    done = await box.run(["printf", r"\377\376\000x"])
    assert done.stdout == b"\xff\xfe\x00x"
    process = await box.start(["sh", "-c", r"printf '\377 \033[31mred\033[0m' >&2"], env={})
    assert await process.wait() == Exit(0, "exited")
    assert process.stderr_tail() == "\ufffd \ufffd[31mred\ufffd[0m"


async def test_time_is_limited(box: Box) -> None:
    began = time.monotonic()
    done = await box.run(["sh", "-c", "echo before; sleep 30 & sleep 30"], timeout=0.3)
    assert (done.timed_out, done.stdout, done.code) == (True, b"before\n", -9)
    assert time.monotonic() - began < 5


async def test_input_that_nobody_reads_does_no_harm(box: Box) -> None:
    assert (await box.run(["true"], stdin=bytes(1 << 20))).code == 0


async def test_a_conversation(box: Box) -> None:
    process = await box.start(["cat"], env={})
    for line in (b"one\n", b"two\n"):
        process.stdin.write(line)
        assert await process.stdout.readline() == line
    process.stdin.close()
    assert await process.wait() == Exit(0, "exited")
    assert await process.wait() == Exit(0, "exited")
    assert await process.kill() == Exit(0, "exited")


async def test_a_signal_reads_as_one(box: Box) -> None:
    process = await box.start(["sh", "-c", "kill -TERM $$"], env={})
    assert await process.wait() == Exit(-15, "signalled")


async def test_stop_lets_a_command_end_by_itself(box: Box) -> None:
    process = await box.start(["sh", "-c", "cat; echo done"], env={})
    assert await process.stop() == Exit(0, "exited")
    assert await process.stdout.read() == b"done\n"


async def test_stop_asks_before_it_kills(box: Box) -> None:
    script = "trap 'echo asked; exit 4' TERM; echo on; while :; do sleep 0.05; done"
    process = await box.start(["sh", "-c", script], env={})
    assert await process.stdout.readline() == b"on\n"
    assert await process.stop(grace=0.1) == Exit(4, "exited")
    assert await process.stdout.read() == b"asked\n"


async def test_stop_kills_what_does_not_listen(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handrail.sandbox.process.TERMINATE_SECONDS", 0.2)
    process = await box.start(["sh", "-c", "trap '' TERM; echo on; while :; do sleep 0.05; done"], env={})
    await process.stdout.readline()
    assert await process.stop(grace=0.1) == Exit(-9, "killed")


def alive(mark: str) -> list[str]:
    """Processes whose command line holds `mark` as a word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(entry.name)
            except OSError:
                continue
    return found


def grandchildren(mark: str) -> list[str]:
    script = f"(setsid sh -c 'setsid sleep {mark} & sleep {mark}' &) ; setsid sleep {mark} & echo on; sleep {mark}"
    return ["sh", "-c", script]


@pytest.mark.parametrize("how", ["kill", "close", "end"])
async def test_nothing_is_left_in_sessions_of_its_own(box: Box, how: str) -> None:
    mark = f"{300 + os.getpid() / 1e6:.6f}{'kce'.index(how[0])}"
    argv = grandchildren(mark)
    if how == "end":
        argv[2] = argv[2].rpartition(";")[0] + "; sleep 0.2"
    process = await box.start(argv, env={})
    assert await process.stdout.readline() == b"on\n"
    while how != "end" and len(alive(mark)) < 4:  # noqa: ASYNC110  # other processes set no event
        await asyncio.sleep(0.01)
    if how == "kill":
        assert await process.kill() == Exit(-9, "killed")
    elif how == "close":
        await box.close()
    else:
        assert await process.wait() == Exit(0, "exited")
    assert alive(mark) == []


async def test_a_door_leads_to_the_server(box: Box) -> None:
    served: list[bytes] = []
    closed = asyncio.Event()

    async def door(listener: socket.socket) -> Closer:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(await reader.readline())
            writer.write(b"hello\n")
            writer.close()

        server = await asyncio.start_server(answer, sock=listener)

        async def close() -> None:
            server.close()
            closed.set()

        return close

    code = (
        "import os, socket, urllib.parse as u; url = u.urlsplit(os.environ['URL']);"
        "s = socket.create_connection((url.hostname, url.port)); s.sendall(b'ping\\n'); print(s.recv(10))"
    )
    for _ in range(2):
        process = await box.start([sys.executable, "-c", code], env={"URL": box.door_url()}, door=door)
        assert await process.stdout.read() == b"b'hello\\n'\n", process.stderr_tail()
        assert await process.wait() == Exit(0, "exited")
        assert closed.is_set()
    assert served == [b"ping\n"] * 2


async def test_a_door_that_cannot_be_served_ends_the_process(box: Box) -> None:
    async def door(listener: socket.socket) -> Closer:
        listener.close()
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await box.start(["sleep", "30"], env={}, door=door)


async def test_standard_error_is_always_drained(box: Box, tmp_path: Path) -> None:
    log = tmp_path / "stderr.log"
    script = "i=0; while [ $i -lt 12 ]; do head -c 1000000 /dev/zero | tr '\\0' x >&2; i=$((i+1)); done; echo end >&2"
    process = await box.start(["sh", "-c", script], env={}, stderr_file=log)
    assert await process.wait() == Exit(0, "exited")
    assert process.stderr_tail().endswith("xxxend\n")
    assert len(process.stderr_tail()) == TAIL_BYTES
    assert log.stat().st_size == FILE_BYTES
    assert log.stat().st_mode & 0o777 == 0o600


async def test_a_long_line_is_bounded(box: Box) -> None:
    process = await box.start(["sh", "-c", "head -c 200000 /dev/zero | tr '\\0' x"], env={}, stdout_limit=1000)
    with pytest.raises(ValueError, match="limit"):
        await process.stdout.readline()
    await process.kill()


async def test_output_that_nobody_reads_does_not_hold_the_end_up(box: Box) -> None:
    process = await box.start(["sh", "-c", "head -c 10000000 /dev/zero"], env={}, stdout_limit=1000)
    await asyncio.sleep(0.05)
    await asyncio.wait_for(process.kill(), 5)


async def test_a_closed_box_starts_nothing(box: Box) -> None:
    await box.close()
    await box.close()
    with pytest.raises(SandboxError, match="closed"):
        await box.run(["true"])


async def test_a_missing_program_is_named(box: Box) -> None:
    with pytest.raises(SandboxError, match="no-such-program"):
        await box.run(["no-such-program"])
    with pytest.raises(InvalidInput):
        await box.run([])


async def test_twenty_at_a_time(box: Box) -> None:
    done = await asyncio.gather(*(box.run(["sh", "-c", f"echo {number}; exit {number}"]) for number in range(20)))
    assert [(one.code, one.stdout) for one in done] == [(number, f"{number}\n".encode()) for number in range(20)]


def test_text_is_made_printable() -> None:
    assert printable(b"a\tb\r\nc\x07\x1b]0;title\xff\xc2\x85") == "a\tb\nc\ufffd\ufffd]0;title\ufffd\ufffd"


def test_known_failures_are_mended() -> None:
    assert "sysctl" in mend("bwrap: No permissions to create new namespace")
    assert mend("something else") == ""


def test_pipes_that_do_not_tell_whether_they_are_paused() -> None:
    class Old(asyncio.ReadTransport):
        """As in Python 3.11.2, where the base class answers."""

        _paused = False

    transport = Old()
    with pytest.raises(NotImplementedError):
        transport.is_reading()
    assert is_reading(transport)
    transport._paused = True
    assert not is_reading(transport)


async def test_stdin_that_is_closed_and_let_go_ends_once(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    process = await box.start(["cat"], env={}, cwd=box.walls.workspace)
    process.stdin.close()
    await process.kill()
    await asyncio.sleep(0.05)
    assert not [record for record in caplog.records if record.name == "asyncio"]
