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
from handrail.agents.own.messages import clean
from handrail.errors import MissingPart

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_PROGRESS = 1.0
"""seconds between two looks at the output of a command that goes on"""


class Output:
    """The beginning and the end of a stream of bytes, at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._head, self._tail = bytearray(), bytearray()
        self._first = limit // 3
        self._last = limit - self._first
        self.total = 0

    def add(self, data: bytes) -> None:
        """Take more bytes."""
        self.total += len(data)
        room = max(0, self._first - len(self._head))
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 4 * self._last:
            del self._tail[: -self._last]

    def text(self) -> str:
        """What was kept, as text: invalid UTF-8 replaced, colours and other control characters left out."""
        kept, missing = self._head + self._tail, self.total - self._first - self._last
        if missing > 0:
            kept = self._head + f"\n[… {missing} bytes left out …]\n".encode() + self._tail[-self._last :]
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
        self._status = self._out = -1

    def run(self, command: str, timeout: float, cancel: Cancel, progress: Callable[[str], None]) -> Ran:
        """Run `command` to its end; `progress` is told the output so far once a second.

        Raises Cancelled by `cancel`, when everything that the shell had started in its group is dead; MissingPart
        where there is no bash.
        """
        began, output = time.monotonic(), Output(self._limit)
        quoted = clean(command).replace("\0", "").replace("'", "'\\''")
        script = f"eval '{quoted}' </dev/null >&4 2>&4 3>&- 4>&-\nbuiltin printf '%d\\0%s\\0' $? \"$PWD\" >&3\n"
        with cancel.stopping(self.kill):
            try:
                process = self._feed(script)
            except BrokenPipeError:  # it died while nobody looked, by a signal or a background job
                self.close()
                process = self._feed(script)
            if cancel.wanted:  # it came before there was a shell to kill
                self.kill()
            code = self._wait(process, output, began + timeout, progress)
        cancel.check()
        seconds = time.monotonic() - began
        if code is not None:
            return Ran(output.text(), code, seconds)
        self.close()
        why = (
            f"timed out after {timeout:g} s and was killed"
            if seconds >= timeout
            else "the command ended the shell itself"
        )
        note = f"{why}; the next command gets a new shell in {self.cwd}"
        return Ran(output.text(), process.returncode, seconds, note)

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
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        os.close(self._out)
        os.close(self._status)
        self._process = None

    def _feed(self, script: str) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        process = self._process or self._start()
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
        self._process = subprocess.Popen(
            [bash, "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            cwd=self.cwd,
            env=self._env,
            pass_fds=(status,),
            start_new_session=True,
            bufsize=0,
        )
        os.close(out)
        os.close(status)
        os.set_blocking(self._out, False)
        return self._feed(f"exec 3>&{status} 4>&1 {status}>&-\n")

    def _wait(
        self, process: subprocess.Popen[bytes], output: Output, deadline: float, progress: Callable[[str], None]
    ) -> int | None:
        """Until the command has ended: its exit status, or None when the shell is dead."""
        told, shown, status, longest = time.monotonic() + _PROGRESS, 0, b"", _PROGRESS
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        poll.register(self._status, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                self.kill()
            ready = poll.poll(1000 * max(0.0, min(longest, told - time.monotonic(), left if left > 0 else 0.02)))
            self._drain(output)
            if any(fd == self._status for fd, _ in ready):
                status += (data := os.read(self._status, 65536))
                if status.count(b"\0") == 2:
                    self._drain(output)
                    code, cwd, _ = status.split(b"\0")
                    self.cwd = os.fsdecode(cwd)
                    return int(code)
                if not data:
                    # After `exec` the pipe has ended, but the process goes on as another program: look now and then.
                    poll.unregister(self._status)
                    longest = 0.02
            if process.poll() is not None:
                self._drain(output)
                return None
            if time.monotonic() >= told:
                told = time.monotonic() + _PROGRESS
                if output.total != shown:
                    shown = output.total
                    progress(output.text())

    def _drain(self, output: Output) -> None:
        with suppress(BlockingIOError):
            for _ in range(16):  # a command that never stops writing must still meet its deadline
                output.add(data := os.read(self._out, 65536))
                if len(data) < 65536:
                    return
