"""What it costs to start: the command line, the server, sessions that wait."""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import stage
from benchmarks.figures import Figure
from handrail.store import sessions as rows
from handrail.store.engine import Store
from handrail.store.sessions import SessionRow
from handrail.types import SandboxKind, SessionId, now

IDLE = 200
AT_ONCE = 8
"""sessions whose turns run side by side, so that making them all takes less time"""


def run(folder: Path) -> list[Figure]:
    """Command line, then server, then the same server data with idle sessions."""
    told = _help(folder)  # before anything else is started, which would share the cores with it
    with stage.provider(folder) as provider:
        return [told, *_server(folder, provider.url), _idle(folder, provider.url)]


def cpu(command: list[str]) -> float:
    """CPU seconds of a command, its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _help(folder: Path) -> Figure:
    """The least of several, as for what is ready: what else the machine does can only add to it."""
    handrail = str(Path(sys.executable).with_name("handrail"))
    ours = min(cpu([handrail, "--data", str(folder / "none"), "--help"]) for _ in range(7))
    bare = min(cpu([sys.executable, "-c", "pass"]) for _ in range(7))
    return Figure("help_cpu", ours, "s", bare, "< 0.15 s")


def _server(folder: Path, model_url: str) -> list[Figure]:
    ready, memory = [], []
    for number in range(5):
        with stage.server(folder / f"start{number}", model_url) as server:
            ready.append(server.ready)
            time.sleep(3)  # what is loaded after it is ready counts as well
            memory.append(server.memory())
    return [
        Figure("server_ready", min(ready), "s", None, "<= 1 s"),
        Figure("server_memory", statistics.median(memory), "MB", None, "<= 90 MB"),
    ]


def _idle(folder: Path, model_url: str) -> Figure:
    """What idle sessions add: each has had a turn, was listed, and its agent was let go; a first one is not counted."""
    place = stage.repository(folder)
    with stage.server(folder / "idle", model_url, agent_idle=2) as server:
        _had_a_turn(server, place, 1)
        before = server.memory()
        for _ in range(IDLE // AT_ONCE):
            _had_a_turn(server, place, AT_ONCE)
        server.get("/sessions?limit=500")
        for _ in range(60):
            if not server.agents():
                break
            time.sleep(1)
        return Figure(f"idle_sessions_{IDLE}_memory", server.memory() - before, "MB", None, "<= 60 MB")


def _had_a_turn(server: stage.Server, place: Path, count: int) -> None:
    sessions = [server.session(place, prompt='Hello. @@[{"text": "Hello."}]@@') for _ in range(count)]
    for session in sessions:
        server.rest(session)


async def fill(store: Store, session: SessionId) -> None:
    """Put the row of a session into an empty store."""
    moment = now()
    row = SessionRow(
        id=session,
        number=1,
        title="bench",
        agent="handrail",
        repository="/r",
        repository_key="r",
        workspace="/w",
        base="0" * 40,
        branch="b",
        sandbox=SandboxKind.BUBBLEWRAP,
        created=moment,
        updated=moment,
    )
    await asyncio.shield(store.log.write(rows.insert(row)))
