"""The real command line against a real server, each in its own process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from handrail.cli import finding


@dataclass(frozen=True)
class Cli:
    """Runs `handrail` as a user does."""

    data: Path
    cwd: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
        return kept | {"HANDRAIL_DATA": str(self.data), "HANDRAIL_PORT": "0"} | self.env

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "handrail.cli", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.cwd,
            env=self.environment,
        )

    def run(self, *words: str, stdin: str | None = "", code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "handrail.cli", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=55,
            check=False,
            cwd=self.cwd,
            env=self.environment,
        )
        assert code is None or done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *words: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.run(*words, "--json").stdout)
        return told


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """A command line with a data directory of its own; its server is stopped afterwards."""
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    command = Cli(tmp_path / "data", cwd)
    yield command
    asyncio.run(finding.stop(command.data))
