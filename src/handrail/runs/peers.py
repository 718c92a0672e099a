"""Several servers on one database: each says that it lives, and goes on with what a dead one was at.

A server is dead when nothing was heard of it for so long by the clock of the database; that it was only stopped, or cut
off, nobody can know. So what it does when it wakes up meets the epochs: of its tasks, which are claimed anew, and so of
their effects. Its agents are ended as soon as it sees that its sessions were given up.

What waits for a person stays where it is, since its workspace is there, until the server comes back or a person says
that it is to be begun again elsewhere (`hands.resume`). What was at work is begun again from its beginning, because a
workspace is on the disk of one machine; what was being delivered is delivered, where the world has it already, and
begun again where it has not.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path

from handrail import files
from handrail.automation import RunState, Step, TaskState
from handrail.errors import Conflict
from handrail.loop import Loop
from handrail.runs import hands
from handrail.runs.rooms import Rooms
from handrail.runs.supervisor import Runs
from handrail.store import runs as run_rows
from handrail.store import servers
from handrail.store import tasks as task_rows
from handrail.store.log import Write
from handrail.store.runs import RunRow
from handrail.store.servers import ServerRow
from handrail.store.tasks import TaskRow
from handrail.types import Json, ServerId, now

_log = logging.getLogger("handrail.servers")

LOOK = 1.0
"""seconds between looks for what other servers did: a cancelled agent has to end within five"""
BEATS = 6
"""heartbeats within the time after which a silent server is taken for dead"""


def identity(data: Path) -> ServerId:
    """Who the server of a data directory is among those of one database: the same after every start."""
    file = data / "server.id"
    if not file.exists():
        files.replace(file, f"v-{secrets.token_hex(6)}\n".encode())
    return ServerId(file.read_text("ascii").strip())


class Peers:
    """This server among those of its database; nothing where a database has one server.

    Args:
        rooms: the rooms of runs.
        runs: told of what is theirs.
    """

    def __init__(self, rooms: Rooms, runs: Runs) -> None:
        self._rooms = rooms
        self._store = rooms.store
        self._runs = runs
        self._dead = rooms.config.server_dead
        every = self._dead / BEATS
        self._loops = (
            Loop("heartbeat", self._beat, retry=every, first=every),
            Loop("servers", self._look, retry=LOOK, first=LOOK),
        )

    async def start(self) -> None:
        """Say that this server is here, before it takes anything in hand."""
        if not self._store.shared:
            return
        await self._announce()
        for loop in self._loops:
            loop.start()

    async def stop(self) -> None:
        """Stop; what this server was at is another's when it stays away."""
        await asyncio.gather(*(loop.stop() for loop in self._loops))

    async def _announce(self) -> None:
        row = servers.announce(self._store.server, socket.gethostname(), os.getpid(), now())
        await self._store.log.write(*row)

    async def _beat(self) -> float:
        try:
            await self._store.log.write(guard=servers.beat(self._store.server))
        except Conflict:
            await self._announce()
        return self._dead / BEATS

    async def _look(self) -> float:
        await self._rooms.sessions.actors.end_strays()
        for server in (await servers.silent(self._store, self._dead)).values():
            await self._take_over(server)
        await self._runs.look_again()
        return LOOK

    async def _take_over(self, dead: ServerRow) -> None:
        states = (RunState.RUNNING, RunState.QUEUED, RunState.STOPPED)
        for run in await run_rows.in_state(self._store, *states, server=dead.id):
            tasks = [task for task in await task_rows.of_run(self._store, run.id) if _moves(task, dead)]
            if not tasks:
                continue
            try:
                await self._move(run, tasks, dead)
            except Conflict:  # another server was faster
                continue
            _log.warning("run %d goes on here: %s has been silent for %.0f s", run.number, dead.host, dead.quiet)

    async def _move(self, run: RunRow, tasks: Sequence[TaskRow], dead: ServerRow) -> None:
        host = socket.gethostname()
        why = f"its server {dead.host} was not heard of for {dead.quiet:.0f} s"
        told: Json = {"from": dead.host, "to": host, "reason": why, "tasks": len(tasks)}
        writes: list[Write] = [run_rows.told(run.id, "run.moved", told)]
        for task in tasks:
            writes += await self._task(task, why)
        await self._store.log.write(*writes, guard=run_rows.move(run, self._store.server))

    async def _task(self, task: TaskRow, why: str) -> list[Write]:
        """What moves one task: as it stands where it was being delivered, from its beginning where it was at work."""
        if task.step in (Step.DELIVER, Step.REPORT):
            return [task_rows.move(task, self._store.server, state=TaskState.QUEUED, due=None)]
        if task.session is None and not task.results:
            return [task_rows.move(task, None, state=TaskState.QUEUED, due=None)]
        return [
            task_rows.move(task, None, **hands.from_the_beginning(task)),
            *await hands.begun_elsewhere(self._store, task, why),
        ]


def _moves(task: TaskRow, dead: ServerRow) -> bool:
    """Whether a task goes on without its server: it does not wait for a person, and is not in a person's hands."""
    return task.state is not TaskState.ENDED and not hands.is_with_people(task) and task.server in (None, dead.id)
