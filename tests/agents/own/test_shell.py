from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from handrail.agents.own.cancel import Cancel, Cancelled
from handrail.agents.own.shell import Shell


class Ran(NamedTuple):
    output: str
    code: int
    note: str


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    opened = Shell(tmp_path, {"PATH": os.environ["PATH"]}, 30_000)
    yield opened
    opened.close()


def run(shell: Shell, command: str, timeout: float = 10) -> Ran:
    return Ran(*shell.run(command, timeout, Cancel(), lambda _: None))


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        ("true", 0, ""),
        ("echo out; echo err >&2", 0, "out\nerr\n"),
        ("printf 'no newline'", 0, "no newline"),
        ("false", 1, ""),
        ("(exit 7)", 7, ""),
        ("cat", 0, ""),
        ("echo 'it'\"'\"'s \"fine\" $((1+1))'", 0, 'it\'s "fine" $((1+1))\n'),
        ("for i in 1 2\ndo\n  echo $i\ndone", 0, "1\n2\n"),
        ("cat <<'EOF'\na 'b'\nEOF", 0, "a 'b'\n"),
        ("echo a | tr a b && ! false", 0, "b\n"),
        ("# only a comment", 0, ""),
        ("", 0, ""),
        ("{ break; continue; } 2>/dev/null; echo on", 0, "on\n"),
        ("printf 'a\\0b\\r\\033[1mc\\377'", 0, "abc\ufffd"),
        ("printf '%d\\0%s\\0' 0 /x", 0, "0/x"),
        ("echo 5 >&3", 1, None),
    ],
)
def test_commands(shell: Shell, command: str, code: int, output: str | None) -> None:
    ran = run(shell, command)
    assert ran.code == code
    assert output is None or ran.output == output
    assert ran.note == ""
    assert run(shell, "echo next").output == "next\n"


def test_a_syntax_error_is_told_and_survived(shell: Shell) -> None:
    ran = run(shell, "if then 'unclosed")
    assert ran.code != 0
    assert "unexpected" in ran.output
    assert run(shell, "echo next").output == "next\n"


def test_state_lasts(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    run(shell, "cd sub; export A=1; f() { echo f$A; }; exec 2>/dev/null; set -o pipefail")
    assert run(shell, "f; pwd; ls missing").output.startswith(f"f1\n{tmp_path}/sub\nls: ")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("echo last; exit 3", 3),
        ("echo last; kill -9 $$", -9),
        ("echo last; exec true", 0),
        ("echo last; exec bash -c 'exit 4'", 4),
        ("set -e; echo last; false", 1),
        ("echo last; (sleep 20; true) & kill -9 $$", -9),
    ],
)
def test_a_shell_that_ends_is_replaced(shell: Shell, tmp_path: Path, command: str, code: int) -> None:
    (tmp_path / "sub").mkdir()
    run(shell, "cd sub; x=1")
    ran = run(shell, command)
    assert (ran.output, ran.code) == ("last\n", code)
    assert "ended the shell itself" in ran.note
    assert run(shell, "pwd; echo [$x]").output == f"{tmp_path}\n[]\n"


def test_a_program_that_took_the_shells_place_is_waited_for(shell: Shell) -> None:
    ran = run(shell, "exec bash -c 'sleep 0.3; echo late; exit 5'")
    assert (ran.output, ran.code) == ("late\n", 5)


def test_a_shell_killed_between_two_commands_is_replaced(shell: Shell) -> None:
    run(shell, "(sleep 0.1; kill -9 $$) &")
    time.sleep(0.3)
    assert run(shell, "echo back").output == "back\n"


def test_what_runs_in_the_background_holds_nothing_up(shell: Shell) -> None:
    began = time.monotonic()
    assert run(shell, "sleep 20 & echo started").output == "started\n"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("command", ["sleep 30.17; echo more", "yes", "trap '' TERM INT; sleep 30.17", "kill -STOP $$"])
def test_a_timeout_kills_the_whole_command(shell: Shell, command: str) -> None:
    began = time.monotonic()
    ran = run(shell, command, 0.5)
    assert time.monotonic() - began < 10
    assert "timed out after 0.5 s and was killed" in ran.note
    assert len(ran.output) < 31_000
    assert run(shell, "pgrep -f '^sleep 30.17' || echo none").output == "none\n"


def test_cancel_kills_at_once(shell: Shell) -> None:
    cancel = Cancel()
    timer = threading.Timer(0.2, cancel.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        shell.run("sleep 29.17 & sleep 29.17", 60, cancel, lambda _: None)
    assert time.monotonic() - began < 5
    assert run(shell, "pgrep -f '^sleep 29.17' || echo none").output == "none\n"
    with pytest.raises(Cancelled):
        shell.run("echo never", 60, cancel, lambda _: None)


def test_much_output_keeps_its_ends(shell: Shell) -> None:
    ran = run(shell, "seq 1 200000")
    assert ran.output.startswith("1\n2\n")
    assert ran.output.endswith("\n200000\n")
    assert "characters left out at least" in ran.output
    assert len(ran.output) < 31_000


def test_long_commands_fit(shell: Shell) -> None:
    assert run(shell, f"echo {'x' * 200_000} | wc -c").output == "200001\n"
