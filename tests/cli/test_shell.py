"""handrail shell: a real server, a real shell, a pipe and a pseudo-terminal."""

from __future__ import annotations

import subprocess

import pytest

from handrail.cli.shell import Tame
from tests.cli.conftest import Cli
from tests.cli.test_terminal import BARE, terminal
from tests.fake_provider import prompt


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"\x1b[2J\x1b[3;4Hvim\x1b[?1049h", b"\x1b[2J\x1b[3;4Hvim\x1b[?1049h"),
        (b"a\x1b]52;c;aGk=\x07b\x1b]0;title\x1b\\c", b"abc"),
        (b'a\x1bP$q"p\x1b\\b\x1b[6n\x1b[c\x1b[>q\x1b[21t\x1b[?1$p\x1bZ\x05c', b"abc"),
        ("ä\x9d52;cö".encode(), "ä52;cö".encode()),
        (b"a\x1b]52;c;aGk=\x1b[31mred", b"a52;c;aGk=\x1b[31mred"),
        (b"\x1b[1 qbar", b"\x1b[1 qbar"),
    ],
)
def test_what_acts_on_more_than_the_picture_is_taken_out_wherever_it_is_cut(said: bytes, shown: bytes) -> None:
    for cut in range(len(said) + 1):
        tame = Tame()
        assert tame.feed(said[:cut]) + tame.feed(said[cut:]) == shown, cut


def test_a_shell_of_ones_own_and_the_agents_watched(work: Cli) -> None:
    script = prompt([{"shell": "echo from-the-agent"}, {"text": "Ready."}])
    work.run("chat", *BARE, "--permissions", "allow", script)
    piped = work.run("shell", "last", stdin="echo $((6 * 7)) > made; cat made a.py\n")
    assert "42\r\na = 1\r\n" in piped.stdout
    with terminal(work, "shell", "last") as tty:
        tty.until("cwd")
        tty.enter("stty size; echo one''two")
        tty.until("24 80")
        tty.until("onetwo")
        tty.type("\x1d")
        assert tty.ended() == 0
    with terminal(work, "shell", "last", "--watch") as tty:
        tty.until("from-the-agent")
        tty.enter("typed into nothing")
        tty.type("\x1d")
        assert tty.ended() == 0
        assert "typed into nothing" not in tty.seen
    work.run("handoff", "last", "--goal", prompt([{"shell": "sleep 60"}]), "--check", "true")
    refused = work.run("shell", "last", code=2)
    assert "take" in refused.stderr
    assert "Traceback" not in refused.stderr
    held: subprocess.CompletedProcess[str] = work.run("take", "last")
    assert held.returncode == 0
