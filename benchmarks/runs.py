"""One run over many repositories beside the bare loop, and what waiting for people costs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from benchmarks import bare, stage
from benchmarks.figures import Figure
from benchmarks.start import fill
from handrail.store import approvals
from handrail.store.approvals import ApprovalRow
from handrail.store.engine import Store
from handrail.types import ApprovalId, SessionId, SessionState, now

TASKS, STEPS, AT_ONCE, BARE_THREADS = 40, 5, 8, 4
ROUNDS = 5
"""of the fan-out, each beside the bare loop; one more comes before them"""
PARKED = 5000
WORKFLOW = """\
name: many
on: {{manual: {{}}}}
goal: |
  Go. @@{script}@@
model: claude-sonnet-4-5
trust: autonomous
concurrency: {at_once}
repositories:
{places}"""


def run(folder: Path) -> list[Figure]:
    """Both loops in turn over the same repositories, then the approvals."""
    with stage.provider(folder) as provider:
        return [*_fan_out(folder, provider), *_parked(folder, provider.url)]


def _fan_out(folder: Path, provider: stage.Provider) -> list[Figure]:
    places = [stage.repository(folder, f"repository{number}") for number in range(TASKS)]
    script = json.dumps([{"repeat": STEPS, "step": {"shell": "true # step {i}"}}, {"text": "done"}])
    with stage.server(folder / "many", provider.url) as server:
        listed = "".join(f"  - {place}\n" for place in places)
        server.post("/workflows", {"text": WORKFLOW.format(script=script, at_once=AT_ONCE, places=listed)})
        alone, times = list[float](), list[float]()
        server.calm()
        for number in range(1 + ROUNDS):  # in turn, for the machine's speed changes from one round to the next
            alone.append(_bare(folder, provider, places, script, number))
            provider.clear()
            made = server.post("/workflows/many/start", {})
            told = _ended(server, made["run"])
            began, ended = (datetime.fromisoformat(told[name]) for name in ("created", "ended"))
            times.append((ended - began).total_seconds())
            assert len(provider.calls()) == TASKS * (STEPS + 1), len(provider.calls())
            assert all(task["state"] == "ended" for task in told["all"])
    # the first makes the mirrors; of the others the one in the middle by its ratio to the bare loop just before it
    took, bare_took = sorted(zip(times[1:], alone[1:], strict=True), key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]
    return [
        Figure(f"fanout_{TASKS}x{STEPS}", took, "s", bare_took, "<= 4 x bare"),
        Figure(f"fanout_{TASKS}x{STEPS}_first", times[0], "s", alone[0], "(mirrors of all repositories made in it)"),
    ]


def _ended(server: stage.Server, run: str) -> dict[str, Any]:
    """A run once it has ended. A look asks for what is new alone: it costs the server as well, and is no part of it."""
    after = 0
    while not (lines := server.get(f"/runs/{run}/events?after={after}")["events"]) or lines[-1]["kind"] != "run.ended":
        after = lines[-1]["seq"] if lines else after
        time.sleep(0.5)
    return dict(server.get(f"/runs/{run}"))


def _bare(folder: Path, provider: stage.Provider, places: list[Path], script: str, number: int) -> float:
    """A clone and the bare loop for each; four threads keep two cores busy, where more would only wait."""

    def one(place: Path) -> None:
        clone = folder / f"bare-{number}-{place.name}"
        subprocess.run(["git", "clone", "-q", "--local", str(place), str(clone)], check=True)
        bare.main(provider.url, f"Go. @@{script}@@", clone.with_suffix(".db"))

    began = time.monotonic()
    with ThreadPoolExecutor(BARE_THREADS) as threads:
        list(threads.map(one, places))
    return time.monotonic() - began


def _parked(folder: Path, model_url: str) -> list[Figure]:
    """A server whose sessions wait for people, beside one without."""
    with stage.server(folder / "none", model_url) as server:
        time.sleep(3)  # what is loaded after it is ready counts as well
        without = server.memory()
        idle = _at_rest(server)
    data = folder / "parked"
    data.mkdir()
    asyncio.run(_park(data / "handrail.db"))
    with stage.server(data, model_url) as server:
        server.calm()  # 5,000 sessions are taken up first
        server.get("/approvals?limit=100")
        server.calm()
        memory = server.memory() - without
        used = _at_rest(server)
    return [
        Figure(f"parked_{PARKED}_memory", memory, "MB", None, "< 200 MB"),
        Figure(f"parked_{PARKED}_cpu", used, "% of a core", idle, "none beside a server without sessions"),
    ]


def _at_rest(server: stage.Server) -> float:
    """Percent of a core that a server uses while nobody asks it anything."""
    server.calm()
    before, began = server.cpu(), time.monotonic()
    time.sleep(15)
    return 100 * (server.cpu() - before) / (time.monotonic() - began)


async def _park(path: Path) -> None:
    """One real row, and copies of it: what a server finds at its start."""
    session = SessionId("s-bench")
    async with await Store.open(path) as store:
        await fill(store, session)
        asked = ApprovalRow(
            id=ApprovalId("a-bench"), session=session, turn=1, call="c", title="git push", tool="execute", asked=now(),
            input={"command": "git push"}, diffs=(), options=(), signature="git push", why="asks before it pushes",
        )  # fmt: skip
        await store.log.write(approvals.insert(replace(asked, released=now())))
    with closing(sqlite3.connect(path)) as kept, kept:
        kept.execute("UPDATE sessions SET state = ?", (SessionState.WAITING.value,))
        for table, own in (("sessions", {"id": "'s-' || n", "number": "n + 1"}),
                           ("approvals", {"id": "'a-' || n", "session": "'s-' || n"})):  # fmt: skip
            names = [row[1] for row in kept.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(own.get(name, f't."{name}"') for name in names)
            kept.execute(
                f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {PARKED - 1}) "  # noqa: S608  # of our own names
                f"INSERT INTO {table} SELECT {values} FROM {table} t, c"
            )
