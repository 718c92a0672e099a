"""Promote, rehearse, enable by the verbs, with a server that is killed in the midst of the rehearsal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from handrail.cli import app
from tests.cli.conftest import Cli
from tests.fake_provider import prompt

GOAL = prompt([{"shell": "echo new > new.txt"}], "Add new.txt, see issue 42.")


def commit(folder: Path, name: str) -> None:
    (folder / name).write_text("x\n")
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True, timeout=20)
    subprocess.run(["git", "commit", "-qm", f"add {name}"], cwd=folder, check=True, timeout=20)


@pytest.fixture
def say(work: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The command line in this process, in the repository: a process for each verb costs a busy machine."""
    for key, value in work.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(work.cwd)

    def run(*words: str, code: int = 0) -> str:
        assert app.main(words) == code, capsys.readouterr()
        said = capsys.readouterr()
        return said.out or said.err

    return run


@pytest.mark.timeout(180)
def test_a_session_is_promoted_rehearsed_through_a_kill_and_enabled(work: Cli, say: Callable[..., str]) -> None:
    for name in ("b.py", "c.py"):
        commit(work.cwd, name)
    say("do", GOAL, "--check", "test -f new.txt", "--permissions", "allow", "--turns", "3")
    assert "- command: test -f new.txt" in say("promote", "--name", "add", "--show")
    assert "no workflows yet" in say("workflows")
    told = say("promote", "last", "--name", "add")
    assert "+ shell: allow echo new  matches 1 of 1" in told
    assert "+ files: allow ./new.txt  matches 1 of 1" in told
    assert "input issue: 42" in told
    assert "kept as version 1, switched off" in told
    assert "was not rehearsed" in say("workflows", "enable", "add", code=2)

    begun = json.loads(say("rehearse", "add", "--commits", "last:2", "--inputs", "issue=7", "--no-wait", "--json"))
    os.kill(json.loads(say("status", "--json"))["pid"], signal.SIGKILL)
    while (card := json.loads(say("rehearse", "add", "--show", "--json")))["state"] == "running":
        time.sleep(0.5)
    assert (card["state"], card["good"], card["runs"]) == ("passed", 2, begun["runs"])
    assert [one["subject"] for one in card["results"]] == ["add c.py", "add b.py"]
    scored = say("rehearse", "--show", "add")
    assert "2 of 2 cases ended well" in scored
    assert "nine of ten stay under" in scored
    assert "add is enabled: version 1, trust supervised" in say("workflows", "enable", "add")
    shown = say("workflows", "show", "add")
    assert "accepted results in a row: 0; its file allows no more than supervised" in shown
    assert "write trust: sampled there first" in say("workflows", "trust", "add", "sampled", code=2)
    assert "add is trusted: shadow; 5 more accepted" in say("workflows", "trust", "add", "shadow")

    file = work.cwd / ".handrail" / "workflows" / "other.yaml"
    assert f"written to {file}" in say("promote", "last", "--name", "other", "--write")
    assert "name: other" in file.read_text()
    assert "is there already" in say("promote", "last", "--name", "other", "--write", code=2)
    assert "give either --commits or --events" in say("rehearse", "add", code=2)
    assert "NAME=VALUE" in say("rehearse", "add", "--commits", "last:1", "--inputs", "x", code=2)
