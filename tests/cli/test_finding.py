from __future__ import annotations

import asyncio
import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest

from handrail.cli import finding
from handrail.errors import InvalidInput


def test_no_server_file_half_a_file_and_a_dead_server_are_no_server(tmp_path: Path) -> None:
    assert finding.read_address(tmp_path) is None
    for text in ("", "{", "[]", '{"pid": 1}', '{"pid": "x", "url": "", "token": ""}'):
        (tmp_path / "server.json").write_text(text)
        assert finding.read_address(tmp_path) is None


async def test_a_server_that_is_gone_is_not_found(tmp_path: Path) -> None:
    told = {"pid": 1, "url": "http://127.0.0.1:1", "socket": str(tmp_path / "gone.sock"), "token": "t"}
    (tmp_path / "server.json").write_text(json.dumps(told))
    assert await finding.connect(tmp_path) is None


def test_a_lock_is_held_while_its_process_lives(tmp_path: Path) -> None:
    lock = tmp_path / "server.lock"
    assert not finding.held(lock)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert finding.held(lock)
    assert not finding.held(lock)


def test_the_data_directory_is_private(tmp_path: Path) -> None:
    logs = finding.prepare(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (logs / "server.log").stat().st_mode & 0o777 == 0o600


def test_a_file_in_place_of_the_data_directory_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"--data.*give a directory that can be written"):
        finding.prepare(tmp_path / "file")


def test_the_last_words_are_the_server_s_own(tmp_path: Path) -> None:
    assert finding.last_words(tmp_path).startswith("it said nothing")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "server.log").write_bytes(
        b"first\nport 7171 is taken\xff\x1b[2J\nhandrail keeper: gave up\n\n"
    )
    assert finding.last_words(tmp_path).startswith("port 7171 is taken\ufffd\\x1b[2J (log: ")


async def test_stopping_nothing_is_no_error(tmp_path: Path) -> None:
    assert await finding.stop(tmp_path) is False


def test_what_was_left_behind_is_named(tmp_path: Path) -> None:
    assert finding.left_behind(tmp_path) == []
    command = [sys.executable, "-c", "print(flush=True); input()", f"{tmp_path}/workspaces/w"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (row,) = finding.left_behind(tmp_path)
        assert row.startswith(f"{process.pid} ")
        process.communicate(b"\n")


def lost() -> subprocess.Popen[bytes]:
    """A keeper that found another one in its place."""
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(2)"]) as keeper:
        keeper.wait(20)
    return keeper


async def test_who_lost_the_race_to_start_waits_for_the_winner(tmp_path: Path) -> None:
    finding.prepare(tmp_path)
    with (tmp_path / "keeper.lock").open("w") as lock:  # the winner has begun, its server has not yet
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = asyncio.create_task(finding._ready(tmp_path, lost()))
        await asyncio.sleep(0.3)
        assert not waiting.done()
    with pytest.raises(finding.Misconfigured):
        await waiting
