from __future__ import annotations

import json
from pathlib import Path

import pytest

from handrail.commands import lint
from tests.workflows.samples import WHOLE


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HANDRAIL_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sound_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "w.yaml").write_text(WHOLE)
    assert lint.main(["w.yaml"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("w.yaml: sound: fix-nightly, version ")
    assert "at 03:00 on Monday through Friday (Europe/Berlin)" in said.out
    assert said.err == ""


def test_every_problem_of_every_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "w.yaml").write_text(WHOLE.replace("agent: claude", "agent: cluade").replace("pypi", "pipy"))
    (place / "x.yaml").write_text("name: x\ngoal: y\n")
    assert lint.main(["w.yaml", "x.yaml"]) == 2
    said = capsys.readouterr()
    assert [line.split(" cannot")[0] for line in said.err.splitlines()] == ["w.yaml:27: network: 'pipy'"]
    assert "x.yaml: note: checks: it has none" in said.out
    (place / "w.yaml").write_text(WHOLE.replace("agent: claude", "agent: cluade"))
    assert lint.main(["w.yaml"]) == 2
    assert "w.yaml:18: agent: 'cluade' cannot be used: did you mean claude?" in capsys.readouterr().err


def test_the_workflows_of_a_repository(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = place / ".handrail" / "workflows"
    folder.mkdir(parents=True)
    assert lint.main([]) == 2
    (folder / "a.yaml").write_text("name: a\ngoal: b\n")
    (folder / "b.yml").write_text("name: [\n")
    capsys.readouterr()
    assert lint.main(["--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert [(item["sound"], item["file"]) for item in found["files"]] == [
        (True, ".handrail/workflows/a.yaml"), (False, ".handrail/workflows/b.yml"),
    ]  # fmt: skip
    assert lint.main([str(place)]) == 2


def test_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint.main(["--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Handrail workflow"
