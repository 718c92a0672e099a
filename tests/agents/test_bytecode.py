from __future__ import annotations

import os
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from handrail.agents.bytecode import _BESIDE, OWN, compiled


def test_what_has_no_compiled_form_gets_one_that_all_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("x = 1\n")
    bad.write_text("x = \n")
    mask = os.umask(0o077)
    try:
        assert compiled([good, bad]) == 1
    finally:
        os.umask(mask)
    cache = Path(cache_from_source(str(good)))
    assert (cache.stat().st_mode & 0o777, cache.parent.stat().st_mode & 0o777) == (0o644, 0o755)
    assert compiled([good]) == 0
    os.utime(good, (cache.stat().st_mtime + 5,) * 2)
    assert compiled([good]) == 1


def test_nothing_is_written_where_python_was_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "one.py").write_text("x = 1\n")
    assert compiled([tmp_path / "one.py"]) == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["one.py"]
    assert (OWN / "__main__.py").exists()
    assert all(path.exists() for path in _BESIDE)
