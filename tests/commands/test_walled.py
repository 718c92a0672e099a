"""`handrail sandbox` with real processes: its streams, its exit status, its signals, its walls."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from handrail.sandbox import cgroups

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
HANDRAIL = str(Path(sys.executable).with_name("handrail"))
ASK = """
import socket, sys
door = socket.create_connection(("127.0.0.1", 3129), 5)
door.sendall(b"CONNECT %s:443 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" % sys.argv[1].encode())
print(door.recv(1000).decode())
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's repository, which is where they are, with a file that is not committed."""
    monkeypatch.setenv("HANDRAIL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "secret")
    checkout = tmp_path / "project"
    checkout.mkdir()
    (checkout / "a.txt").write_text("one\n")
    who = ("-c", "user.name=Alice", "-c", "user.email=alice@example.org")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "first")):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    (checkout / "b.txt").write_text("two\n")
    monkeypatch.chdir(checkout)
    return checkout


def sandbox(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([HANDRAIL, "sandbox", *words], input=stdin, capture_output=True, check=False, timeout=50)


def test_it_works_on_a_clone_and_passes_everything_through(place: Path) -> None:
    code = "cat a.txt b.txt; echo changed > a.txt; git status --porcelain; env; cat; echo wrong >&2; exit 7"
    done = sandbox("run", "--", "sh", "-c", code, stdin=b"\0given\xff")
    assert done.returncode == 7
    assert done.stdout.startswith(b"one\ntwo\n M a.txt\n")
    assert done.stdout.endswith(b"\0given\xff")
    assert b"SECRET_OF_THE_CALLER" not in done.stdout
    assert done.stderr == b"wrong\n"
    assert (place / "a.txt").read_text() == "one\n"


def test_large_streams_are_byte_exact(place: Path) -> None:
    data = os.urandom(3 << 20)
    assert place.exists()
    done = sandbox("run", "--", "sh", "-c", "cat > kept; cat kept; cat kept >&2", stdin=data)
    assert done.stdout == data
    assert done.stderr == data


def test_nothing_but_the_walls_is_there(place: Path) -> None:
    code = f"cat {place}/a.txt; touch /usr/x; echo evil >> .git/config; kill -9 $$"
    done = sandbox("run", "--", "sh", "-c", code)
    assert done.returncode == 128 + signal.SIGKILL
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 3


def test_a_directory_is_worked_on_in_place(place: Path) -> None:
    if os.geteuid() == 0:
        refused = sandbox("run", "--workspace", ".", "--", "true")
        assert refused.returncode == 2
        assert b"belongs to root" in refused.stderr
        place.chmod(0o755)
        for path in (place, *place.rglob("*")):
            os.chown(path, 4242, 4242)
    done = sandbox("run", "--workspace", ".", "--", "sh", "-c", "echo new > c.txt; echo evil > .git/config.worktree")
    assert done.returncode != 0
    assert (place / "c.txt").read_text() == "new\n"
    assert not (place / ".git" / "config.worktree").exists()


def test_ctrl_c_ends_everything(place: Path) -> None:
    word = f"sleep 3{os.getpid()}"
    code = f"trap '' INT TERM; (setsid {word} &) ; echo up; {word}"
    with subprocess.Popen([HANDRAIL, "sandbox", "run", "--", "sh", "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 128 + signal.SIGINT
    assert place.exists()
    until = time.monotonic() + 5
    while (left := _running(word)) and time.monotonic() < until:
        time.sleep(0.05)
    assert left == []


def _running(word: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").strip()
            except OSError:
                continue
            if line == word.encode():
                found.append(entry.name)
    return found


def test_a_policy_opens_its_hosts_and_no_other(place: Path) -> None:
    policy = place / "rules.yaml"
    policy.write_text('network:\n  allow: ["*.good.invalid:443", "good.invalid:443"]\n  deny: ["bad.good.invalid"]\n')
    ask = (sys.executable, "-I", "-S", "-c", ASK)
    run = ("run", "--policy", str(policy), "--")
    assert b"has no address" in sandbox(*run, *ask, "good.invalid").stdout
    assert b"403" in sandbox(*run, *ask, "other.invalid").stdout
    assert b"its rule `bad.good.invalid` names" in sandbox(*run, *ask, "bad.good.invalid").stdout
    assert sandbox("run", "--", *ask, "good.invalid").returncode == 1


def test_a_policy_sets_limits(place: Path) -> None:
    policy = place / "rules.yaml"
    policy.write_text("limits:\n  processes: 20\n  memory: 100MiB\n")
    hierarchy = cgroups.find()
    if hierarchy is None or "memory" not in hierarchy.parents:
        done = sandbox("run", "--policy", str(policy), "--", "true")
        assert done.returncode == 1
        assert b"cannot be held here" in done.stderr
        return
    eater = (sys.executable, "-I", "-S", "-c", "print(len(b'x' * (300 << 20)))")
    done = sandbox("run", "--policy", str(policy), "--", *eater)
    assert done.returncode == 128 + signal.SIGKILL
    assert b"more memory than its limit" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("network:\n  allow: ['*.exa mple.com']\n", b"network.allow"),
        ("limits:\n  memory: much\n", b"limits.memory"),
        ("nothing: []\n", b"known here are"),
    ],
)
def test_a_policy_that_cannot_be_held_starts_nothing(place: Path, text: str, said: bytes) -> None:
    (place / "rules.yaml").write_text(text)
    done = sandbox("run", "--policy", "rules.yaml", "--", "echo", "ran")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == b""


def test_other_walls_are_chosen_by_name_and_fail_closed(place: Path) -> None:
    outside = place.parent / "outside"
    outside.write_bytes(b"seen\n")
    code = ("--", "sh", "-c", f"cat {outside} b.txt; exit 7")
    bare = sandbox("run", "--backend", "none", *code)
    assert (bare.returncode, bare.stdout, bare.stderr) == (7, b"seen\ntwo\n", b"")
    (place / "rules.yaml").write_text("limits:\n  memory: 100MiB\n")
    for words, status, said in (
        (("none", "--policy", "rules.yaml"), 1, b"limits.memory cannot be held by the walls (none)"),
        (("seatbelt",), 1, b"seatbelt is of macOS and untested"),
        (("brick",), 2, b"'brick'"),
    ):
        refused = sandbox("run", "--backend", *words, *code)
        assert (refused.returncode, refused.stdout) == (status, b"")
        assert said in refused.stderr


def test_a_command_that_is_not_there(place: Path) -> None:
    assert place.exists()
    done = sandbox("run", "--", "no-such-command")
    assert done.returncode == 1
    assert b"no-such-command" in done.stderr


def test_somewhere_else_than_a_repository(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.parent)
    done = sandbox("run", "--", "true")
    assert done.returncode == 2
    assert b"--workspace DIR" in done.stderr


def test_probe_tells_what_holds(place: Path) -> None:
    assert place.exists()
    told = json.loads(sandbox("probe", "--json").stdout)
    assert {"reads", "writes", "network", "processes", "secrets", "kill"} <= set(told["holds"])
    assert all(isinstance(finding["held"], bool) for finding in told["findings"])
    assert b"bubblewrap holds: reads" in sandbox("probe").stdout
    assert json.loads(sandbox("probe", "--backend", "none", "--json").stdout)["holds"] == []
    assert sandbox("probe", "--backend", "brick").returncode == 2
