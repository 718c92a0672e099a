"""Real server processes for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

START = 60.0
"""seconds until a server that is not ready has failed"""


def command(data: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "handrail.web", "--data", str(data), *more]


def environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ}


def run(data: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """A server that is expected to end by itself."""
    return subprocess.run(
        command(data, *more), capture_output=True, text=True, env=environment(), timeout=START, check=False
    )


@dataclass
class Serving:
    """One living server."""

    process: subprocess.Popen[bytes]
    data: Path
    facts: dict[str, Any]
    log: Path

    def client(self) -> httpx2.AsyncClient:
        """As the owner, over the unix socket."""
        return httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=self.facts["socket"]), base_url="http://handrail", timeout=10
        )


@contextmanager
def serving(data: Path, *more: str) -> Iterator[Serving]:
    """A server of `data` until the end of the block."""
    log = data.parent / f"{data.name}.log"
    (data / "server.json").unlink(missing_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(command(data, *(more or ("--port", "0"))), stderr=out, env=environment())
    try:
        deadline = time.monotonic() + START
        while not (data / "server.json").exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        yield Serving(process, data, json.loads((data / "server.json").read_text()), log)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
