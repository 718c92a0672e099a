"""The keeper with real processes; the server itself is kept in `test_server.py`."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from handrail.cli import keeper
from handrail.cli.keeper import Keeper, main


def program(tmp_path: Path, *lines: str) -> list[str]:
    """A process that counts its starts in `starts`, is ready when it writes `server.json`, and then does `lines`."""
    head = [
        "import json, os, pathlib, signal, sys, time",
        f"data = pathlib.Path({str(tmp_path)!r})",
        "with (data / 'starts').open('a') as file: file.write('x')",
        "count = len((data / 'starts').read_text())",
        "ready = lambda: (data / 'server.json').write_text(json.dumps({'pid': os.getpid()}))",
        "die = lambda: os.kill(os.getpid(), signal.SIGKILL)",
    ]
    return [sys.executable, "-c", "\n".join([*head, *lines])]


def starts(tmp_path: Path) -> int:
    return len((tmp_path / "starts").read_text())


@pytest.mark.parametrize("code", [0, 2])
def test_a_clean_exit_or_bad_configuration_ends_it(tmp_path: Path, code: int) -> None:
    assert Keeper(tmp_path, program(tmp_path, f"sys.exit({code})")).run() == code
    assert starts(tmp_path) == 1


def test_a_killed_server_comes_back_at_once_and_as_often_as_it_is_killed(tmp_path: Path) -> None:
    kept = Keeper(tmp_path, program(tmp_path, "ready()", "die() if count < 8 else sys.exit(0)"))
    begin = time.monotonic()
    assert kept.run() == 0
    assert starts(tmp_path) == 8
    assert time.monotonic() - begin < 8


def test_a_server_that_never_gets_ready_is_given_up(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert Keeper(tmp_path, program(tmp_path, "sys.exit(1)")).run() == 1
    assert starts(tmp_path) == keeper.GIVE_UP
    assert "died 5 times within 60 s before it was ready" in capfd.readouterr().err


def test_starts_that_fail_now_and_then_are_no_reason_to_give_up(tmp_path: Path) -> None:
    last = 2 * keeper.GIVE_UP + 2
    lines = (f"sys.exit(0) if count == {last} else None", "count % 2 and die()", "ready()", "die()")
    assert Keeper(tmp_path, program(tmp_path, *lines)).run() == 0
    assert starts(tmp_path) == last


def test_a_signal_is_passed_on_and_the_server_ends_in_order(tmp_path: Path) -> None:
    lines = ["signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))", "ready()", "time.sleep(30)"]
    kept = Keeper(tmp_path, program(tmp_path, *lines))

    def tell() -> None:
        while not (tmp_path / "server.json").is_file():
            time.sleep(0.01)
        kept.stop(signal.SIGTERM, None)

    teller = threading.Thread(target=tell)
    teller.start()
    assert kept.run() == 0
    teller.join()
    assert starts(tmp_path) == 1


def test_one_keeper_a_data_directory(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "keeper.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main([str(tmp_path)]) == 2
    assert "another keeper already runs" in capfd.readouterr().err


def test_it_needs_a_directory(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "give the data directory" in capfd.readouterr().err


def test_it_stays_small(tmp_path: Path) -> None:
    code = (
        "import sys, handrail.cli.keeper\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "sys.exit(bool(names & {'typer', 'httpx2', 'asyncio', 'pydantic'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == 0


def test_a_half_written_server_file_is_no_readiness(tmp_path: Path) -> None:
    kept = Keeper(tmp_path, [])
    (tmp_path / "server.json").write_text('{"pid":')
    assert not kept._was_ready()
    (tmp_path / "server.json").write_text(json.dumps({"pid": os.getpid()}))
    assert not kept._was_ready()
