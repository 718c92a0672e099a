from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HANDRAIL = str(Path(sys.executable).with_name("handrail"))


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
