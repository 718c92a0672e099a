"""A bash that stays open: a command costs 0.1 ms instead of a process, and `cd` and `export` last.

Commands go in by its stdin, as `eval '…' </dev/null`. What they print comes back on one pipe, and after it a mark with
the exit status; the mark is new for each command and on a descriptor that commands do not inherit: no output can look
like an end.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from handrail.agents.own.cancel import Cancel
from handrail.text import clip, whole

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_PROGRESS = 1.0
"""seconds between two looks at the output of a command that goes on"""
_TICK = 0.05
"""seconds between two looks at the clock, and at a program that took the shell's place"""
Progress = Callable[[str], None]


class Shell:
    """One session's bash: each starts in `cwd`, and keeps `limit` bytes of a command's output."""

    def __init__(self, cwd: Path, env: Mapping[str, str], limit: int) -> None:
        self._cwd, self._env, self._limit = str(cwd), env, limit
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, command: str, timeout: float, cancel: Cancel, progress: Progress) -> tuple[str, int, str]:
        """Run `command` to its end: its output, its exit status, and what the model has to know beside.

        `progress` is told the output so far once a second. The status is negative for a signal that ended the shell.

        Raises Cancelled by `cancel`, when everything that the shell had started in its group is dead; OSError
        where there is no bash.
        """
        deadline, kept, mark = time.monotonic() + timeout, bytearray(), f"end{secrets.token_hex(8)}"
        with cancel.stopping(self.kill):
            process = self._feed(command, mark)
            if cancel.is_set():  # it came before there was a shell to kill
                self.kill()
            code = self._wait(process, kept, mark, deadline, progress)
        cancel.check()
        output, note = self._text(kept), ""
        if code is None:
            self.close()
            late, code = time.monotonic() >= deadline, process.returncode
            why = f"timed out after {timeout:g} s and was killed" if late else "the command ended the shell itself"
            note = f"{why}; the next command gets a new shell in {self._cwd}"
        return output, code, note

    def kill(self) -> None:
        """End the shell and what it started, at once. From any thread; the next command gets a new shell."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the shell and let go of it."""
        self.kill()
        if self._process is not None:
            with self._process:  # closes its pipes and waits
                self._process = None

    def _feed(self, command: str, mark: str) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it died while nobody looked, by a signal or a background job
        pipe, to, argv = subprocess.PIPE, subprocess.STDOUT, ["bash", "--noprofile", "--norc"]
        process = self._process = self._process or subprocess.Popen(
            argv, bufsize=0, stdin=pipe, stdout=pipe, stderr=to, cwd=self._cwd, env=self._env, start_new_session=True
        )
        quoted = shlex.quote(whole(command).replace("\0", ""))
        script = f"exec 9>&1; eval {quoted} </dev/null >&9 2>&9 9>&-\nbuiltin printf '\\0{mark} %d\\0' $? >&9\n"
        rest = memoryview(script.encode())
        while rest and process.stdin:
            rest = rest[process.stdin.write(rest) :]
        return process

    def _wait(
        self, process: subprocess.Popen[bytes], kept: bytearray, mark: str, deadline: float, progress: Progress
    ) -> int | None:
        """Until the command has ended: its exit status, or None when the shell is dead. Its output goes to `kept`."""
        end, pipes = f"\0{mark} ".encode(), [process.stdout.fileno()] if process.stdout else []
        look, shown = time.monotonic() + _PROGRESS, ""
        while True:
            ready = select.select(pipes, [], [], _TICK)[0]
            for pipe in ready:
                kept += (data := os.read(pipe, 65536))
                if (at := kept.find(end)) >= 0 and (till := kept.find(b"\0", at + len(end))) >= 0:
                    code = int(kept[at + len(end) : till])
                    del kept[at:]
                    return code
                if len(kept) > 16 * self._limit:  # what is left out is left out of the middle
                    del kept[self._limit : -self._limit]
                if not data:  # after `exec` the pipe may have ended, but another program goes on as this process
                    pipes = []
            if not ready and process.poll() is not None:
                return None
            if (now := time.monotonic()) >= deadline:
                self.kill()
            if now >= look and (text := self._text(kept)) != shown:
                look, shown = now + _PROGRESS, text
                progress(text)

    def _text(self, kept: bytearray) -> str:
        """Output as text: its ends; invalid UTF-8 replaced, colours and other control characters left out."""
        return clip(_CONTROL.sub("", kept.decode("utf-8", "replace")), self._limit, " at least")
