from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROOT, Cli


@pytest.fixture
def github(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The double as a program."""
    command = [sys.executable, "-m", "tests.fake_github", str(tmp_path / "github"), "--repository", "acme/shop"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()
        process.stdout.read()


@pytest.mark.timeout(180)  # five processes and a server's start, each of which waits on a busy machine
def test_a_forge_from_the_command_line(cli: Cli, github: dict[str, Any]) -> None:
    address = ["--kind", "github", "--url", str(github["url"])]
    cli.run(
        "forges",
        "set",
        "hub",
        *address,
        "--token-stdin",
        stdin=f"{github['token']}\n",
    )
    tried = cli.run("forges", "check", "hub", "--repository", "acme/shop").stdout
    assert "works, as handrail-bot" in tried
    assert "acme/shop may be written to" in tried
    told = cli.json("forges")["forges"]
    assert [(item["name"], item["account"], item["credential"]) for item in told] == [("hub", "handrail-bot", "token")]
    assert github["token"] not in str(told)
    assert "is removed" in cli.run("forges", "remove", "hub").stdout


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (["--kind", "github", "--token-stdin"], "", "token: '' cannot be used"),
        (["--kind", "github", "--app-id", "1"], "", "give both"),
        (["--kind", "github", "--app-id", "1", "--key-file", "/none"], "", "--key-file"),
        (["--kind", "github"], "", "--token-stdin"),
    ],
)
def test_bad_input_is_named_before_a_server_is_asked(cli: Cli, words: list[str], stdin: str, said: str) -> None:
    assert said in cli.run("forges", "set", "hub", *words, stdin=stdin, code=2).stderr
