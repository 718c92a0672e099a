"""chat on a terminal: a real pseudo-terminal, a real server, a scripted model."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cli.conftest import Cli, begun
from tests.fake_provider import prompt

BARE = ("--sandbox", "none")
SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[=>78]|\r")


class Tty:
    """What a person sees and types."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.master = master
        self.process = process
        self.raw = ""

    @property
    def seen(self) -> str:
        return SEQUENCES.sub("", self.raw)

    def until(self, text: str, limit: float = 25.0) -> None:
        end = time.monotonic() + limit
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} did not come:\n{self.seen[-3000:]}"
            self._read(0.2)

    def ready(self, limit: float = 25.0) -> None:
        """Wait for the input line: what is typed before it goes to nobody."""
        end = time.monotonic() + limit
        while "\x1b[?2004h" not in self.raw:  # it takes pasted text
            assert time.monotonic() < end, self.seen[-3000:]
            self._read(0.2)

    def _read(self, wait: float) -> None:
        if select.select([self.master], [], [], wait)[0]:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                piece = b""
            self.raw += piece.decode("utf-8", "replace")
            # a terminal answers where its cursor is (prompt_toolkit asks at the start)
            if b"\x1b[6n" in piece:
                os.write(self.master, b"\x1b[1;1R")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def enter(self, text: str) -> None:
        self.type(text + "\r")

    def ended(self) -> int:
        end = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < end:
            self._read(0.1)
        return self.process.wait(timeout=5)


@contextmanager
def terminal(cli: Cli, *words: str) -> Iterator[Tty]:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "handrail.cli", *words]
    environment = cli.environment | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=cli.cwd,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no thread of ours runs
    ) as process:
        os.close(slave)
        try:
            yield Tty(master, process)
        finally:
            process.kill()
            with suppress(OSError):  # a test may have closed it
                os.close(master)


def test_a_talk_with_a_question_answered_in_place(work: Cli) -> None:
    script = prompt([{"write": {"path": "new.txt", "content": "x\n"}}, {"text": "it is written"}])
    with terminal(work, "chat", *BARE) as tty:
        tty.until(">")
        tty.enter(script)
        tty.until("show all")
        assert "NO SANDBOX" in tty.seen
        time.sleep(0.7)
        tty.enter("what?")
        tty.until("the agent waits for an answer:")
        tty.enter("s")
        tty.until("d deny")
        tty.enter("a")
        tty.until("allowed by you")
        tty.until("it is written")
        tty.until("── turn 1")
        tty.enter("/diff")
        tty.until("+++ b/new.txt")
        tty.enter("/cost")
        tty.until("over 1 turn")
        tty.enter("/undo")
        tty.until("at the start")
        tty.enter("/nonsense")
        tty.until("no such verb: /nonsense")
        tty.enter("/apply")
        tty.enter("/handoff 'open quote")
        tty.until("close the quotes")
        tty.enter("/help")
        tty.until("Ctrl-C cancels the turn, twice leaves")
        assert tty.raw.count("\x07") == 1  # the question rang, and nothing else
        assert "\x1b[32m" in tty.raw
        tty.type("\x04")
        tty.until("come back with: handrail attach s-")
        assert tty.ended() == 0
    with terminal(work, "attach") as tty:
        tty.until("allowed by you")
        tty.ready()
        tty.type("\x04")
        assert tty.ended() == 0
        assert "\x07" not in tty.raw  # it was answered long ago


def test_denying_tells_the_agent_why(work: Cli) -> None:
    script = prompt([{"write": {"path": "new.txt", "content": "x\n"}}, {"text": "understood"}])
    with terminal(work, "chat", *BARE, script) as tty:
        tty.until("show all")
        time.sleep(0.7)
        tty.enter("d use another name")
        tty.until("denied by you: use another name")
        tty.until("understood")
        tty.enter("/quit")
        assert tty.ended() == 0
    assert work.json("diff")["files"] == []


def test_typing_queues_while_the_agent_works_and_ctrl_c_cancels(work: Cli) -> None:
    slow = prompt([{"shell": "sleep 20"}, {"text": "late"}])
    with terminal(work, "chat", *BARE, "--permissions", "allow", slow) as tty:
        tty.until("Ctrl-C cancels")
        tty.enter(prompt([{"text": "from the queue"}]))
        tty.until("queued, it is sent when this turn ends")
        tty.until("cost unknown (unpriced calls: 1) · queued 1")  # the meter, in the middle of the turn
        tty.type("\x03")
        tty.until("cancelling the turn")
        tty.until("cancelled")
        tty.until("── turn 2")
        assert "from the queue" in tty.seen
        time.sleep(2.1)
        tty.type("\x03")
        tty.until("Ctrl-C again leaves")
        tty.type("\x03")
        assert tty.ended() == 130
    assert work.json("show")["state"] == "idle"


def test_do_asks_on_ctrl_c_and_attach_comes_back(work: Cli) -> None:
    slow = prompt([{"shell": "sleep 6"}, {"text": "late"}])
    with terminal(work, "do", slow, "--check", "true", *BARE, "--permissions", "allow") as tty:
        tty.until("Ctrl-C cancels")
        tty.type("\x03")
        tty.until("d: leave it working")
        tty.enter("d")
        tty.until("works on; come back")
        assert tty.ended() == 130
    assert work.json("show")["control"] == "agent"
    with terminal(work, "attach") as tty:
        tty.until("late")
        tty.until("nothing to do")
        tty.type("\x04")
        assert tty.ended() == 0


def test_do_can_be_cancelled(work: Cli) -> None:
    slow = prompt([{"shell": "sleep 20"}, {"text": "late"}])
    with terminal(work, "do", slow, "--check", "true", *BARE, "--permissions", "allow") as tty:
        tty.until("Ctrl-C cancels")
        tty.type("\x03")
        tty.until("c: cancel it")
        tty.enter("c")
        tty.until("what it made is kept")
        assert tty.ended() == 4
    assert work.json("show")["control"] == "you"


def test_what_an_agent_says_cannot_act_on_the_terminal(work: Cli) -> None:
    evil = prompt([{"text": "before\x1b]0;owned\x07\x1b[2J\x1b]52;c;ZXZpbA==\x07after\u202eback"}])
    with terminal(work, "chat", *BARE, evil) as tty:
        tty.until("── turn 1")
        assert "beforeafterback" in tty.seen
        assert "\x1b]0;owned" not in tty.raw
        assert "\x1b]52" not in tty.raw
        assert "\u202e" not in tty.raw
        tty.type("\x04")
        tty.ended()


def test_closing_the_terminal_ends_nothing(work: Cli) -> None:
    script = prompt([{"shell": "until test -e go; do sleep 0.1; done; echo a >> a.py"}, {"text": "late"}])
    work.run("down")  # so that the server is started from the terminal that will be closed
    with terminal(work, "do", script, "--check", "grep -q a$ a.py", *BARE, "--permissions", "allow") as tty:
        tty.until("Ctrl-C cancels")
        session, server = begun(work), work.json("status")["pid"]
        os.close(tty.master)
        tty.process.wait(timeout=20)
    told = work.json("show", session)
    assert (told["state"], told["control"]) == ("running", "agent")
    (Path(told["workspace"]) / "go").touch()
    end = time.monotonic() + 30
    while (told := work.json("show", session))["outcome"] is None:
        assert time.monotonic() < end, told
        time.sleep(0.1)
    assert told["outcome"] == "done"
    assert work.json("status")["pid"] == server
