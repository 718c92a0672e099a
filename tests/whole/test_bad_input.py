"""Bad input through the real command line: one clear sentence, the right exit status, and nothing half-written.

No git repository, an empty one, an unknown agent, one that is not installed: `what_a_session_cannot_be_made_of`; an
agent whose program is gone: `an_agent_whose_files_are_gone`; a wrong key, a port that is taken, a second server on the
same data, a full disk (at the start and in mid-session): tests of these names; a prompt of 10 MB and one that is no
UTF-8: `texts_that_no_prompt_can_be`; invalid UTF-8 of a tool: `a_tool_may_print_what_is_no_text`.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_provider import prompt
from tests.whole.conftest import Build, git
from tests.whole.house import MODEL, House, Model, processes_of, until

pytestmark = pytest.mark.timeout(150)  # many processes: a busy machine may take its time

MEND: dict[str, object] = {"shell": "sed -i s/Hallo/Hello/ greet.py"}
DO = ("do", prompt([MEND, {"text": "done"}]), "--check", "sh check.sh")


def untouched(house: House) -> None:
    """No session, no folder of one."""
    assert house.json("sessions")["sessions"] == []
    folder = house.data / "sessions"
    assert not folder.exists() or list(folder.iterdir()) == []


def test_what_a_session_cannot_be_made_of(house: House, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q", "-b", "main")
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / ".git").write_text("gitdir: /nonexistent\n")
    for words, needle in (
        (("--repo", str(nowhere)), "git init"),
        (("--repo", str(tmp_path / "missing")), "missing"),
        (("--repo", str(empty)), "commit"),
        (("--repo", str(plain)), str(plain)),
        (("--agent", "clippy"), "clippy"),
        (("--agent", "openhands"), "handrail agents install openhands"),
        (("--provider", "nobody"), "nobody"),
        (("--ref", "no-such-branch"), "no-such-branch"),
        (("--ref", "-x"), "-x"),
        (("--sandbox", "paper"), "bubblewrap, none or seatbelt"),
        (("--permissions", "maybe"), "ask, allow or deny"),
        (("--tools", str(nowhere / "venv")), "venv"),
        (("--budget", "lots"), "--budget"),
        (("--budget", "-1"), "--budget"),
        (("--budget", "nan"), "--budget"),
        (("--time", "soon"), "--time"),
        (("--time", "0"), "--time"),
        (("--turns", "0"), "--turns"),
        (("--turns", "many"), "--turns"),
        (("--check", " "), "--check"),
    ):
        told = house.refused(*DO, *MODEL, *words, HANDRAIL_AGENTS_DIR=str(tmp_path / "none"))
        assert needle in told, (words, told)
    assert "--model" in house.refused(*DO)
    assert "give a text" in house.refused("do", "  ", *MODEL)
    untouched(house)


def test_an_agent_whose_files_are_gone(house: House) -> None:
    folder = house.data / "agents"
    folder.mkdir(parents=True)
    (folder / "ghost.toml").write_text('title = "Ghost"\nlicence = "MIT"\nwire = "any"\ncommand = ["/no/such/ghost"]\n')
    told = house.refused(*DO, *MODEL, "--agent", "ghost")
    assert "ghost" in told
    untouched(house)


def test_no_provider(build: Build) -> None:
    house = build(env={"ANTHROPIC_API_KEY": ""})
    assert "handrail providers set" in house.refused(*DO, *MODEL)
    untouched(house)


def test_a_wrong_key_blocks_and_names_the_provider(build: Build) -> None:
    with Model(key="another") as strict:
        house = build(model=strict)
        done = house.run(*DO, *MODEL, code=3)
        told = house.show()
    assert told["outcome"] == "blocked"
    assert "anthropic" in told["outcome_reason"].lower()
    assert told["outcome_reason"] in done.stdout
    assert len(strict.fake.model_calls) == 1  # a wrong key is not tried again


def test_a_provider_that_is_not_there(build: Build) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    house = build(env={"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}", "HANDRAIL_TURN_IDLE": "60"})
    house.run(*DO, *MODEL, "--detach")
    error = house.wait("last", "turn.ended")["data"]["error"]
    assert "anthropic" in error.lower()
    assert "\n" not in error


def test_a_port_that_is_taken(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = house.refused("up", "--port", port)
        assert port in told
        assert "taken" in told
        house.empty()
    house.run("up", "--port", port)
    assert house.json("status")["url"].endswith(f":{port}")


def test_a_data_directory_that_cannot_be_one(build: Build, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine\n")
    for words in (("sessions",), ("up",), ("up", "--foreground"), (*DO, *MODEL)):
        assert str(file) in build(data=file).refused(*words)
        assert str(file) in build(data=file / "below").refused(*words)
    assert file.read_text() == "mine\n"
    assert "/proc/nothing" in build(data=Path("/proc/nothing")).refused("sessions")


def test_a_second_server_on_the_same_data(house: House) -> None:
    house.run("up")
    pid = house.server()
    assert "already runs" in house.refused("up", "--foreground")
    done = subprocess.run(
        [sys.executable, "-m", "handrail.web", "--data", str(house.data)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=house.environment,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"process {pid}" in done.stderr
    assert house.json("status")["pid"] == pid


def test_texts_that_no_prompt_can_be(house: House) -> None:
    house.run("up")
    session = house.hand_off([{"text": "hm"}])
    house.wait(session, "outcome.reached")
    before = house.show(session)["last_seq"]
    ten = b"a" * (10 << 20)
    told = house.refused("prompt", session, "-", stdin=ten)
    assert "10485760 bytes" in told
    assert "1048576" in told
    assert "UTF-8" in house.refused("prompt", session, "-", stdin=b"caf\xe9 au lait")
    assert house.refused("prompt", session, "-", stdin=b"")
    assert house.refused("chat", *MODEL, "--session", session, stdin=b"a" * (2 << 20) + b"\n")
    assert "UTF-8" in house.refused("chat", *MODEL, "--session", session, stdin=b"\xff\xfe\n")
    assert house.show(session)["last_seq"] == before
    assert len(house.json("sessions")["sessions"]) == 1


def test_a_tool_may_print_what_is_no_text(house: House) -> None:
    session = house.hand_off(
        [
            {"shell": "printf 'caf\\351 \\377\\376\\000 \\033[31mred'; printf 'name' > $'n\\351.txt'"},
            MEND,
            {"text": "ok"},
        ],
        "--check",
        "printf '\\377'; sh check.sh",
    )
    assert house.wait(session, "outcome.reached")["data"]["outcome"] == "done"
    output = next(e["data"]["output"] for e in house.events(session, "tool.ended"))
    assert "caf\ufffd" in output
    assert "\x1b" not in output
    assert "greet.py" in [file["path"] for file in house.json("diff", session)["files"]]
    house.run("log", session)
    house.run("diff", session)


def test_sessions_that_are_not_there_or_not_meant(house: House) -> None:
    for words in (("show",), ("log",), ("diff",), ("apply",), ("undo",), ("attach",)):
        assert "no session yet" in house.refused(*words)
    for _ in range(2):
        house.wait(house.hand_off([{"text": "hm"}]), "outcome.reached")
    for verb in ("show", "log", "take", "diff", "end"):
        assert "s-zzz" in house.refused(verb, "s-zzz")
    assert "s-zzz" in house.refused("prompt", "s-zzz", "x")
    assert "several begin so" in house.refused("show", "s-")
    assert house.refused("approve", "a-zzz")


def test_settings_that_are_wrong(house: House) -> None:
    house.data.mkdir()
    for text, needle in (("prot = 1\n", "prot"), ("port = 'x'\n", "port"), ("port =\n", "config.toml"), ("\xff", "")):
        (house.data / "config.toml").write_bytes(text.encode("latin-1"))
        assert needle in house.refused("sessions")
    assert "config.toml" in house.refused(*DO, *MODEL)
    (house.data / "config.toml").unlink()
    assert "TURN_IDLE" in house.refused("sessions", HANDRAIL_TURN_IDLE="never").upper()
    untouched(house)


def test_a_database_that_is_none(house: House) -> None:
    house.data.mkdir()
    file = house.data / "handrail.db"
    file.write_bytes(b"this is no database" * 500)
    assert str(file) in house.refused("sessions")
    assert file.read_bytes() == b"this is no database" * 500
    file.unlink()
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE photos (name TEXT)")
    other.close()
    assert "another program" in house.refused("sessions")
    house.empty()


def test_a_database_whose_pages_are_damaged(house: House) -> None:
    session = house.hand_off([MEND, {"text": "done"}], "--check", "sh check.sh")
    house.wait(session, "outcome.reached")
    house.run("down")
    file = house.data / "handrail.db"
    raw = bytearray(file.read_bytes())
    raw[100:8192] = b"\xff" * 8092
    file.write_bytes(raw)
    assert str(file) in house.refused("sessions")
    house.empty()


def test_what_a_dead_server_left_is_no_obstacle(house: House) -> None:
    house.data.mkdir(mode=0o700)
    facts = {"pid": 1, "url": "http://127.0.0.1:1", "socket": str(house.data / "handrail.sock"), "token": "x" * 43}
    (house.data / "server.json").write_text(json.dumps(facts))
    (house.data / "handrail.sock").write_text("no socket")
    (house.data / "server.lock").write_text("1\n")
    (house.data / "keeper.lock").write_text("1")
    assert house.json("status")["running"] is False
    assert house.json("sessions")["sessions"] == []
    assert house.json("status")["pid"] not in (1, None)
    house.run("down")
    (house.data / "server.json").write_text('{"pid": 1, "url"')
    assert house.json("sessions")["sessions"] == []


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "none", str(place)], check=True, timeout=20)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, timeout=20)


def fill(place: Path) -> Path:
    """Take all the room."""
    file = place / "filler"
    with file.open("ab", buffering=0) as out:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    out.write(b"\0" * size)
            except OSError:
                continue
    return file


def test_a_disk_that_is_full_at_the_start(build: Build, small: Path) -> None:
    filler = fill(small)
    house = build(data=small / "data")
    assert "room" in house.refused("sessions", code=1)
    assert "room" in house.refused(*DO, *MODEL, code=1)
    filler.unlink()
    assert house.json("sessions")["sessions"] == []
    filler = fill(small)
    assert "room" in house.refused(*DO, *MODEL, code=1)
    filler.unlink()
    untouched(house)


def test_a_disk_that_fills_up_in_mid_session(build: Build, small: Path) -> None:
    house = build(data=small / "data")
    steps: list[dict[str, object]] = [
        {"repeat": 12, "step": {"shell": "sleep 0.2; echo {i} >> made.txt"}},
        MEND,
        {"text": "done"},
    ]
    session = house.hand_off(steps, "--check", "sh check.sh")
    house.wait(session, "tool.ended", count=2)
    shown = house.events(session)
    filler = fill(small)
    until(lambda: not any("agents.own" in words for words in processes_of(house.data).values()), why="the agent ended")
    assert house.show(session)["outcome"] is None  # reading works without room
    assert "room" in house.refused("prompt", session, "go on", code=1)
    filler.unlink()
    assert house.wait(session, "outcome.reached", seconds=40)["data"]["outcome"] == "done"
    log = house.events(session)
    assert log[: len(shown)] == shown
    said = [event["data"]["text"] for event in log if event["kind"] == "notice"]
    assert any("room" in text for text in said), said
