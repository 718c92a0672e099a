from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from handrail.cli import app
from tests.cli.conftest import Cli

HANDRAIL = str(Path(sys.executable).with_name("handrail"))
TEXT = (
    "name: nightly\non: {schedule: {cron: '0 3 * * *', zone: Asia/Tokyo}}\ngoal: Make it green.\nrepositories: /src/x\n"
)


def test_lint_and_schema_need_no_server(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("name: x\ngoal: y\nagent: cluade\n")
    words = [HANDRAIL, "workflows", "lint", str(file), "--data", str(tmp_path / "data")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{file}:3: agent: 'cluade' cannot be used: did you mean claude?" in done.stderr
    assert not (tmp_path / "data").exists()
    done = subprocess.run([HANDRAIL, "workflows", "schema"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["title"] == "Handrail workflow"


@pytest.fixture
def say(living: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The command line in this process, against a server in its own: a process for each verb costs a busy machine."""
    for key, value in living.environment.items():
        monkeypatch.setenv(key, value)

    def run(*words: str, code: int = 0) -> str:
        assert app.main(words) == code
        said = capsys.readouterr()
        return said.out or said.err

    return run


def test_a_workflow_by_its_verbs(say: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "nightly.yaml"
    file.write_text(TEXT)
    assert "switched off" in say("workflows", "add", str(file))
    refused = say("workflows", "enable", "nightly", code=2)
    assert refused.startswith("handrail: version 1 of nightly was not rehearsed")
    assert "nightly is enabled: version 1" in say("workflows", "enable", "nightly", "--unproven")
    assert len(say("workflows", "next", "nightly").splitlines()) == 5
    sample = tmp_path / "issue.json"
    sample.write_text('{"action": "opened"}')
    asked = ("events", "test", str(sample), "--event", "issues", "--workflow", "nightly")
    assert say(*asked, code=1) == "does not match: it waits for no event\n"
    sample.write_text("[1")
    assert "give a file with one JSON object" in say(*asked, code=2)
    listed = say("workflows")
    assert re.search(r"^nightly +yes ", listed, re.MULTILINE)
    assert "at 03:00 every day (Asia/Tokyo)" in listed
    assert say("workflows", "disable", "nightly") == "nightly is disabled\n"
    assert say("workflows", "remove", "nightly") == "nightly is removed\n"


HOOKED = "name: hooked\non: {webhook: {source: ci}}\ngoal: Mend {{ event.job }}.\nrepositories: /src/nowhere\n"


def test_an_event_is_replayed_and_its_run_goes_on_from_a_step(
    say: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "hooked.yaml"
    file.write_text(HOOKED)
    say("workflows", "add", str(file))
    monkeypatch.setenv("CI_SECRET", "a secret of ours")
    assert "ci sends to /hooks/ci" in say("sources", "set", "ci", "--kind", "generic", "--secret-env", "CI_SECRET")
    address = json.loads(say("status", "--json"))["url"]
    headers = {"x-handrail-secret": "a secret of ours"}
    assert httpx2.post(f"{address}/hooks/ci", json={"job": "build"}, headers=headers).status_code == 202
    asked = ("events", "replay", "last", "--workflow", "hooked")
    told = say(*asked, "--dry-run")
    assert told.startswith("matches: it is the event that is wanted\nworks on /src/nowhere\n\nMend <data-"), told
    assert say("runs", "--workflow", "hooked") == "no runs yet: start one with `handrail workflows start NAME`\n"
    assert "started r-" in say(*asked)
    assert "goes on" not in say("runs", "resume", "last", "--failed", "--from", "delivery", code=2)
    say("runs", "wait", "last", code=4)
    assert "did not come as far as deliver" in say("runs", "resume", "last", "--failed", "--from", "deliver", code=2)
    assert "goes on" in say("runs", "resume", "last", "--failed", "--from", "prepare")
    say("runs", "wait", "last", code=4)
    (task,) = json.loads(say("runs", "show", "last", "--json"))["all"]
    assert task["attempt"] == 2, "it began again"


def test_a_change_waits_for_a_person(say: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "daily.yaml"
    file.write_text(TEXT.replace("nightly", "daily"))
    say("workflows", "add", str(file))
    say("workflows", "enable", "daily", "--unproven")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\necho 'agent: claude' >> \"$1\"\n")
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    assert "version 2 is kept; version 1 goes on until" in say("workflows", "edit", "daily")
    assert "yes (version 2 waits)" in say("workflows")
    assert "version 2 waits until it is enabled" in say("workflows", "show", "daily")
    assert len(say("workflows", "versions", "daily").splitlines()) == 3


def test_repositories_and_the_gallery(say: Callable[..., str], tmp_path: Path) -> None:
    assert "weekly-report" in say("gallery")
    assert "switched off" in say("gallery", "add", "weekly-report")
    folder = tmp_path / "project" / ".handrail" / "workflows"
    folder.mkdir(parents=True)
    (tmp_path / "project" / ".git").mkdir()
    (folder / "a.yaml").write_text("name: a\ngoal: b\n")
    (folder / "b.yaml").write_text("name: b\ngaol: b\n")
    synced = say("workflows", "sync", "--repo", str(tmp_path / "project"), code=2)
    assert ".handrail/workflows/a.yaml  a         added" in synced
    assert "did you mean goal?" in synced
