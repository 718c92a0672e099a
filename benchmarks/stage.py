"""What the benchmarks play on: the fake provider and a real server, each a process of its own, and a repository."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Provider:
    """The fake provider, and the times of its calls."""

    url: str
    log: Path

    def calls(self) -> list[dict[str, Any]]:
        """Every call so far; `arrived` and `answered` are seconds of CLOCK_MONOTONIC."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]

    def clear(self) -> None:
        """Forget them."""
        os.truncate(self.log, 0)

    def gaps(self) -> list[float]:
        """Milliseconds from each answer to the next request."""
        calls = sorted(self.calls(), key=lambda call: call["arrived"])
        return [1000 * (later["arrived"] - call["answered"]) for call, later in itertools.pairwise(calls)]


@contextlib.contextmanager
def provider(folder: Path) -> Iterator[Provider]:
    """Run the fake provider."""
    log = folder / "provider.jsonl"
    log.touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_provider", "--log", str(log)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield Provider(process.stdout.readline().strip(), log)
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    client: httpx2.Client
    pid: int
    ready: float
    """seconds from its start to its first answer of the API"""

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        """POST to the API."""
        answer = self.client.post(f"/api/v1{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def get(self, path: str) -> Any:
        """GET from the API."""
        answer = self.client.get(f"/api/v1{path}")
        answer.raise_for_status()
        return answer.json()

    def session(self, repository: Path, **more: object) -> str:
        """A new session of Handrail's own agent that asks for nothing."""
        body = {"repository": str(repository), "model": "claude-sonnet-4-5", "permissions": "allow", **more}
        return str(self.post("/sessions", body)["id"])

    def rest(self, session: str) -> dict[str, Any]:
        """Wait until nothing runs in a session."""
        while (found := self.get(f"/sessions/{session}"))["state"] != "idle" or found["turn"] == 0:
            time.sleep(0.02)
        return dict(found)

    def cpu(self) -> float:
        """CPU seconds of the server process."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def calm(self) -> None:
        """Wait until the server has done what follows its start, and uses no CPU worth a name for half a second."""
        time.sleep(1)
        before = self.cpu()
        for _ in range(40):
            time.sleep(0.5)
            if (now := self.cpu()) - before <= 0.02:
                return
            before = now

    def agents(self) -> int:
        """How many processes of Handrail's own agent run below the server, their walls counted."""
        said = [Path(f"/proc/{pid}/cmdline") for pid in below(self.pid)]
        return sum(b"handrail.agents.own" in path.read_bytes() for path in said if path.exists())

    def memory(self) -> float:
        """Resident memory of the server process, in MB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text("utf-8").split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6


def below(pid: int) -> list[int]:
    """A process and all that it started and that still runs."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(one for task in tasks for child in task.read_text("ascii").split() for one in below(int(child)))]


@contextlib.contextmanager
def server(data: Path, model_url: str, **settings: object) -> Iterator[Server]:
    """Run a server on a data directory."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HANDRAIL_")}
    environment |= {"ANTHROPIC_API_KEY": "bench", "ANTHROPIC_BASE_URL": model_url, "HANDRAIL_PORT": "0"}
    environment |= {f"HANDRAIL_{name.upper()}": str(value) for name, value in settings.items()}
    began = time.monotonic()
    command = [sys.executable, "-m", "handrail.web", "--data", str(data)]
    with data.with_name(f"{data.name}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=log)
    try:
        client = _connect(data, process)
        ready = time.monotonic() - began
        yield Server(client, process.pid, ready)
        client.close()
    finally:
        process.terminate()
        process.wait(timeout=20)


def _connect(data: Path, process: subprocess.Popen[bytes]) -> httpx2.Client:
    place = data / "server.json"
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError, httpx2.TransportError):
            told = json.loads(place.read_text("utf-8"))
            headers = {"Authorization": f"Bearer {told['token']}"}
            client = httpx2.Client(base_url=told["url"], headers=headers, timeout=60, trust_env=False, verify=False)
            if client.get("/api/v1/sessions?limit=1").status_code == httpx2.codes.OK:
                return client
            client.close()
        time.sleep(0.005)
    raise SystemExit(f"the server ended with {process.returncode}")


def repository(folder: Path, name: str = "repository") -> Path:
    """A git repository with 42 small files."""
    place = folder / name
    place.mkdir()
    for number in range(42):
        (place / f"file{number}.txt").write_text(f"line {number}\n" * 20, "utf-8")
    who = ["-c", "user.name=Bench", "-c", "user.email=bench@example.invalid"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(place), *who, *arguments], check=True)
    return place
