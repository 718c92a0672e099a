"""The real command line against a real server, each in its own process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from handrail.cli import finding
from tests import forked

ROOT = Path(__file__).parents[2]


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
        raw = forked.run(words, stdin=(stdin or "").encode(), cwd=self.cwd, env=self.environment, seconds=55)
        done = subprocess.CompletedProcess(words, raw.returncode, raw.stdout.decode(), raw.stderr.decode())
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


@pytest.fixture(scope="session")
def provider() -> Iterator[str]:
    """URL of a scripted model provider."""
    command = [sys.executable, "-m", "tests.fake_provider", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()
        process.stdout.read()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory, provider: str) -> Iterator[Path]:
    """A data directory with a provider, whose server goes on for all tests of a file: starting one is dear."""
    command = Cli(tmp_path_factory.mktemp("lasting") / "data", tmp_path_factory.mktemp("nowhere"))
    address = ["--base-url", f"{provider}/v1", "--model", "fake-1"]
    command.run("providers", "set", "fake", "--wire", "openai", "--key-stdin", *address, stdin="key\n")
    yield command.data
    asyncio.run(finding.stop(command.data))


@pytest.fixture
def living(tmp_path: Path, lasting: Path) -> Cli:
    """A command line in a folder of its own, with the server of the file's tests."""
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    return Cli(lasting, cwd)


@pytest.fixture
def work(living: Cli) -> Cli:
    """The same in a repository of its own: `last` is the last session of all of the file's tests."""
    for words in (
        ["init", "-q", "-b", "main"],
        ["config", "user.email", "alice@example.org"],
        ["config", "user.name", "Alice"],
    ):
        subprocess.run(["git", *words], cwd=living.cwd, check=True, timeout=20)
    (living.cwd / "a.py").write_text("a = 1\n")
    subprocess.run("git add . && git commit -qm start", shell=True, cwd=living.cwd, check=True, timeout=20)  # noqa: S602
    return living


def begun(cli: Cli) -> str:
    """The session of this repository, as soon as there is one."""
    end = time.monotonic() + 30
    while not (found := [one for one in cli.json("sessions")["sessions"] if one["repository"] == str(cli.cwd)]):
        assert time.monotonic() < end, "no session was begun"
        time.sleep(0.05)
    return str(found[0]["id"])
