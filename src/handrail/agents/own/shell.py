"""A bash that stays open: a command costs 0.1 ms instead of a process, and `cd` and `export` last.

Commands go in by its stdin, as `eval '…' </dev/null`. How each ended comes back on a pipe of its own, which commands do
not inherit: no output can look like an end, and the pipe's end is the shell's end.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from handrail.agents.own.cancel import Cancel
from handrail.errors import MissingPart
from handrail.text import whole

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_PROGRESS = 1.0
"""seconds between two looks at the output of a command that goes on"""
_TICK = 0.05
"""seconds between two looks at the clock, and at a program that took the shell's place"""


class Output:
    """The beginning and the end of a stream of bytes, at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._kept, self._limit, self._head, self.total = bytearray(), limit, limit // 3, 0

    def add(self, data: bytes) -> None:
        """Take more bytes."""
        self.total += len(data)
        self._kept += data
        if len(self._kept) > 4 * self._limit:
            del self._kept[self._head : len(self._kept) - (self._limit - self._head)]

    def text(self) -> str:
        """What was kept, as text: invalid UTF-8 replaced, colours and other control characters left out."""
        kept, missing = self._kept, self.total - self._limit
        if missing > 0:
            tail = kept[len(kept) - (self._limit - self._head) :]
            kept = kept[: self._head] + f"\n[… {missing} bytes left out …]\n".encode() + tail
        return _CONTROL.sub("", kept.decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended. `code` is its exit status, negative for a signal that ended the shell with it."""

    output: str
    code: int
    seconds: float
    note: str = ""  # what the model has to know beside: a timeout, a new shell


class Shell:
    """One session's bash: starts in `cwd`, keeps `limit` bytes of a command's output."""

    def __init__(self, cwd: Path, env: Mapping[str, str], limit: int) -> None:
        self.cwd, self._env, self._limit = str(cwd), env, limit
        self._process: subprocess.Popen[bytes] | None = None
        self._out = self._status = -1
        self._ends = (-1, -1)  # of those two, the numbers by which the shell knows the ends that it writes to

    def run(self, command: str, timeout: float, cancel: Cancel, progress: Callable[[str], None]) -> Ran:
        """Run `command` to its end; `progress` is told the output so far once a second.

        Raises Cancelled by `cancel`, when everything that the shell had started in its group is dead; MissingPart
        where there is no bash.
        """
        began, output = time.monotonic(), Output(self._limit)
        with cancel.stopping(self.kill):
            process = self._feed(command)
            if cancel.is_set():  # it came before there was a shell to kill
                self.kill()
            code = self._wait(process, output, began + timeout, progress)
        cancel.check()
        seconds, note = time.monotonic() - began, ""
        if code is None:
            self.close()
            code = process.returncode
            why = "the command ended the shell itself"
            if seconds >= timeout:
                why = f"timed out after {timeout:g} s and was killed"
            note = f"{why}; the next command gets a new shell in {self.cwd}"
        return Ran(output.text(), code, seconds, note)

    def kill(self) -> None:
        """End the shell and what it started, at once. From any thread; the next command gets a new shell."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the shell and let go of it."""
        if self._process is None:
            return
        self.kill()
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        os.close(self._out)
        os.close(self._status)
        self._process = None

    def _feed(self, command: str) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it died while nobody looked, by a signal or a background job
        process = self._process or self._start()
        quoted = whole(command).replace("\0", "").replace("'", "'\\''")
        out, status = self._ends
        script = f"eval '{quoted}' </dev/null >&{out} 2>&{out} {out}>&- {status}>&-\n"
        script += f"builtin printf '%d\\0%s\\0' $? \"$PWD\" >&{status}\n"
        rest = memoryview(script.encode())
        while rest and process.stdin:
            rest = rest[process.stdin.write(rest) :]
        return process

    def _start(self) -> subprocess.Popen[bytes]:
        bash = shutil.which("bash", path=self._env.get("PATH"))
        if bash is None:
            raise MissingPart("bash is not installed: install the package `bash`")
        self.cwd = self.cwd if Path(self.cwd).is_dir() else "/"
        (self._out, out), (self._status, status) = os.pipe(), os.pipe()
        os.set_blocking(self._out, False)
        self._ends = out, status
        self._process = subprocess.Popen(
            [bash, "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            cwd=self.cwd,
            env=self._env,
            pass_fds=self._ends,
            start_new_session=True,
            bufsize=0,
        )
        os.close(out)
        os.close(status)
        return self._process

    def _wait(
        self, process: subprocess.Popen[bytes], output: Output, deadline: float, progress: Callable[[str], None]
    ) -> int | None:
        """Until the command has ended: its exit status, or None when the shell is dead."""
        told, shown, status, poll = time.monotonic() + _PROGRESS, 0, b"", select.poll()
        poll.register(self._out, select.POLLIN)
        poll.register(self._status, select.POLLIN)
        while True:
            ready = poll.poll(1000 * _TICK)
            self._drain(output)
            if any(fd == self._status for fd, _ in ready):
                status += (data := os.read(self._status, 65536))
                if status.count(b"\0") == 2:
                    self._drain(output)
                    code, cwd, _ = status.split(b"\0")
                    self.cwd = os.fsdecode(cwd)
                    return int(code)
                if not data:  # after `exec` both pipes may have ended, but another program goes on as this process
                    poll = select.poll()
            if process.poll() is not None:
                self._drain(output)
                return None
            now = time.monotonic()
            if now >= deadline:
                self.kill()
            if now >= told and output.total != shown:
                told, shown = now + _PROGRESS, output.total
                progress(output.text())

    def _drain(self, output: Output) -> None:
        with suppress(BlockingIOError):
            for _ in range(16):  # a command that never stops writing must still meet its deadline
                output.add(data := os.read(self._out, 65536))
                if len(data) < 65536:
                    return
