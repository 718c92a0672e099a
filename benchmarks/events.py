"""Events from outside: how soon a signed one has an agent at work, what a run leaves, and a burst of them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import stage
from benchmarks.figures import Figure

SECRET = "what the sender signs with"  # noqa: S105  # of a benchmark
TRIES = 12
BURST = 200
ROUNDS = 3
AT_ONCE = 32
"""connections of the sender"""
WORKFLOW = """\
name: {name}
on: {{forge: {{forge: bench, events: push{more}}}}}
goal: |
  {goal}
model: claude-sonnet-4-5
checks: "true"
trust: autonomous
repositories: [{place}]
"""


def run(folder: Path) -> list[Figure]:
    """One event after the other on an idle server, then a burst on another."""
    with stage.provider(folder) as provider:
        place = stage.repository(folder)
        with stage.server(folder / "single", provider.url) as server:
            figures = _single(server, provider, folder / "single", place)
        with stage.server(folder / "burst", provider.url) as server:
            return [*figures, *_burst(server, place, folder)]


def enable(server: stage.Server, place: Path, name: str, steps: object, more: str = "") -> None:
    """Set up a sender and a workflow that waits for its pushes."""
    body = {"kind": "github", "secret": SECRET}
    server.client.put("/api/v1/sources/bench", json=body).raise_for_status()
    text = WORKFLOW.format(name=name, goal=f"Go. @@{json.dumps(steps)}@@", place=place, more=more)
    server.post("/workflows", {"text": text})
    server.post(f"/workflows/{name}/enable", {"unproven": True})


def signed(number: int) -> tuple[bytes, Mapping[str, str]]:
    """A push, as GitHub sends it: one of some size."""
    files = [f"src/part{at}/file{number}.py" for at in range(60)]
    payload = {
        "ref": "refs/heads/main",
        "after": f"{number:040x}",
        "repository": {"full_name": "acme/shop"},
        "sender": {"login": "alice"},
        "commits": [{"id": f"{number:040x}", "message": f"change {number}", "modified": files}],
    }
    body = json.dumps(payload).encode()
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": f"delivery-{number}",
        "x-hub-signature-256": f"sha256={digest}",
    }
    return body, headers


def size(folder: Path, but: str) -> int:
    """Bytes of all files under a folder but those under `but`."""
    return sum(
        file.lstat().st_size
        for file in folder.rglob("*")
        if file.is_file() and but not in file.relative_to(folder).parts
    )


def _single(server: stage.Server, provider: stage.Provider, data: Path, place: Path) -> list[Figure]:
    enable(server, place, "single", [{"text": "done"}])
    server.calm()
    started, called = [], []
    ends: list[tuple[float, int]] = []
    for number in range(TRIES + 1):
        provider.clear()
        body, headers = signed(number)
        wall, began = time.time(), time.monotonic()
        server.client.post("/hooks/bench", content=body, headers=headers).raise_for_status()
        time.sleep(1)  # to look costs the server as well, and what is measured is told by others
        told = _ended(server, number + 1)
        session = told["all"][0]["session"]
        events = server.get(f"/sessions/{session}/events?limit=100")["events"]
        agent = next(event["time"] for event in events if event["kind"] == "agent.started")
        started.append(1000 * (datetime.fromisoformat(agent).timestamp() - wall))
        called.append(1000 * (provider.calls()[0]["arrived"] - began))
        server.post(f"/sessions/{session}/end")
        ends.append((server.memory(), size(data, "workspaces")))
    runs = len(ends) - 2  # the first brings what every later one shares
    (memory, kept), (memory_before, kept_before) = ends[-1], ends[1]
    return [
        Figure("event_to_agent", statistics.median(started[1:]), "ms", None, "< 1000 ms"),
        Figure("event_to_model", statistics.median(called[1:]), "ms", None, "< 1500 ms"),
        Figure("event_run_memory_left", max(0.0, memory - memory_before) / runs, "MB", None, "< 5 MB a run"),
        Figure("event_run_disk_left", (kept - kept_before) / runs / 1e6, "MB", None, "< 5 MB beside the workspace"),
    ]


def _ended(server: stage.Server, count: int) -> dict[str, Any]:
    """The newest run, once there are so many and it has ended."""
    while True:
        runs = server.get("/runs?limit=1")["runs"]
        if runs and runs[0]["number"] == count and runs[0]["state"] == "ended":
            return dict(server.get(f"/runs/{runs[0]['id']}"))
        time.sleep(0.1)


def _burst(server: stage.Server, place: Path, folder: Path) -> list[Figure]:
    """As many events as fast as they can be sent; none starts anything, so that the door alone is measured.

    In turn with the bare door; of each the round that other programs disturbed least counts.
    """
    enable(server, place, "burst", [{"text": "done"}], more=", when: \"ref == 'no such ref'\"")
    server.calm()
    ours, bare = [], []
    with _bare(folder) as url:
        for each in range(ROUNDS):
            given = [signed(each * BURST + number) for number in range(BURST)]
            ours.append(_rate(str(server.client.base_url), given, b"202"))
            bare.append(_rate(url, given, b"202"))
    again = _rate(str(server.client.base_url), given, b"200")
    kept = {event["delivery"] for event in server.get("/events?limit=1000")["events"]}
    lost = sum(f"delivery-{number}" not in kept for number in range(ROUNDS * BURST))
    return [
        Figure("events_burst", max(ours), "events/s", max(bare), ">= 500 events/s"),
        Figure("events_burst_again", again, "events/s", None, "(known deliveries)"),
        Figure("events_burst_lost", lost, "events", None, "0"),
    ]


@contextlib.contextmanager
def _bare(folder: Path) -> Iterator[str]:
    """The URL of a bare door."""
    command = [sys.executable, "-m", "benchmarks.bare_door", SECRET, str(folder / "door.db")]
    process = subprocess.Popen(command, cwd=stage.ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def _rate(url: str, given: list[tuple[bytes, Mapping[str, str]]], wanted: bytes) -> float:
    began = time.monotonic()
    asyncio.run(_send(url, given, wanted))
    return len(given) / (time.monotonic() - began)


async def _send(url: str, given: list[tuple[bytes, Mapping[str, str]]], wanted: bytes) -> None:
    """A sender that costs little itself: it shares the machine with what is measured."""
    parts = urlsplit(url)
    ready = []
    for body, headers in given:
        lines = [f"{name}: {value}" for name, value in {**headers, "content-length": str(len(body))}.items()]
        head = "\r\n".join(["POST /hooks/bench HTTP/1.1", f"host: {parts.netloc}", *lines, "", ""])
        ready.append(head.encode() + body)

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while ready:
            writer.write(ready.pop())
            head = await reader.readuntil(b"\r\n\r\n")
            assert wanted in head[:16], head
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        writer.close()

    await asyncio.gather(*(connection() for _ in range(AT_ONCE)))
