"""Keeps one server alive: starts it, starts it again when it dies, stops when it stops. Standard library only.

`python -m handrail.cli.keeper DATA [ARGUMENT…]` runs `python -m handrail.web --data DATA [ARGUMENT…]`. A clean
exit, or exit status 2 (bad configuration, port taken, another server on the same data), ends the keeper too. Its
lock, `keeper.lock` in the data directory, holds its process id for `handrail down`.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

USAGE_ERROR = 2
GIVE_UP = 5  # starts that failed within `WINDOW` seconds
WINDOW = 60.0
FIRST_DELAY = 0.1
LAST_DELAY = 5.0
STEADY = 2.0  # seconds of life after which a death is an accident and not a failing start


class Keeper:
    """One server process and its successors.

    Args:
        data: the data directory.
        command: the server's argument vector.
    """

    def __init__(self, data: Path, command: list[str]) -> None:
        self._data = data
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._failed: list[float] = []
        self._delay = FIRST_DELAY

    def stop(self, number: int, _: object) -> None:
        """Pass a signal on to the server; it ends in order and is not started again."""
        self._stopping = True
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def run(self) -> int:
        """Keep the server until it ends for good; gives back the exit status to end with."""
        while not self._told_to_stop():
            began = time.monotonic()
            self._child = subprocess.Popen(self._command)
            code = self._child.wait()
            if code in {0, USAGE_ERROR}:
                return code
            if self._told_to_stop():
                break
            if self._hopeless(time.monotonic() - began):
                say(f"the server died {GIVE_UP} times within {WINDOW:.0f} s before it was ready: see above")
                return 1
            say(f"the server ended with {_named(code)} and is started again in {self._delay:.1f} s")
            time.sleep(self._delay)
        return 0

    def _told_to_stop(self) -> bool:
        return self._stopping

    def _hopeless(self, lived: float) -> bool:
        """Count a death; True when starting again makes no sense. Sets the delay before the next start.

        A start that got ready shows that it can be: only starts that fail one after the other count.
        """
        steady = lived >= STEADY
        self._delay = FIRST_DELAY if steady else min(self._delay * 2, LAST_DELAY)
        if self._was_ready():
            self._delay = min(self._delay, FIRST_DELAY * 4)
            self._failed.clear()
            return False
        now = time.monotonic()
        self._failed = [moment for moment in self._failed if now - moment < WINDOW] + [now]
        return len(self._failed) >= GIVE_UP

    def _was_ready(self) -> bool:
        try:
            told = json.loads((self._data / "server.json").read_bytes())
        except (OSError, ValueError):
            return False
        return self._child is not None and isinstance(told, dict) and told.get("pid") == self._child.pid


def say(sentence: str) -> None:
    """One line for the server's log."""
    sys.stderr.write(f"handrail keeper: {sentence}\n")
    sys.stderr.flush()


def _named(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _locked(descriptor: int) -> bool:
    """Take the lock; a command that only looks whether it is held holds it for a moment, so a few tries are owed."""
    for _ in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def main(arguments: list[str]) -> int:
    """Lock the data directory, then keep its server."""
    if not arguments:
        say("give the data directory")
        return USAGE_ERROR
    data = Path(arguments[0])
    with (data / "keeper.lock").open("a+") as lock:
        if not _locked(lock.fileno()):
            say(f"another keeper already runs on {data}")
            return USAGE_ERROR
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        keeper = Keeper(data, [sys.executable, "-m", "handrail.web", "--data", str(data), *arguments[1:]])
        signal.signal(signal.SIGTERM, keeper.stop)
        # a terminal sends Ctrl-C to the server as well: passing it on again would look like a second one
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return keeper.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
