"""The rooms of a server in a process of their own, to be killed: `python -m tests.runs.alone DATA PROVIDER RUN`.

RUN is a JSON file: a key and a plan. The run is begun once for its key; the process ends when the run has.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from handrail.agents.roster import Roster
from handrail.automation import RunState, TriggerKind
from handrail.config import Config
from handrail.egress.proxy import Egress
from handrail.gateway import Provider, Wire
from handrail.gateway.providers import Providers
from handrail.gateway.server import Gateway
from handrail.runs.local import LocalCarrier, LocalSources
from handrail.runs.plan import from_json
from handrail.runs.rooms import Carried, Refused
from handrail.runs.rooms import Rooms as RunRooms
from handrail.runs.supervisor import NewRun, Runs
from handrail.runs.verdict import Pace
from handrail.sandbox import Backend
from handrail.sandbox.backends import open_backend
from handrail.sessions.rooms import Rooms
from handrail.sessions.supervisor import Sessions
from handrail.store import runs as run_rows
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.types import SandboxKind, SessionId


class Noted:
    """Carries effects out on this machine, and notes each that was new to the world in a file that outlives it all."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._inner = LocalCarrier()

    async def carry(self, effect: EffectRow, source: Path) -> Carried | Refused:
        done = await self._inner.carry(effect, source)
        if isinstance(done, Carried):
            with self._file.open("a") as file:
                file.write(json.dumps({"effect": effect.id, "task": effect.task, **done.receipt}) + "\n")
        return done


async def main(data: Path, provider: str, run: Path) -> None:
    given = json.loads(run.read_text())
    config = Config(data=data)
    gateway = Gateway(Providers((Provider("anthropic", Wire.ANTHROPIC, provider, "house-key-5b21c9"),)))
    backends = {kind: open_backend(kind) for kind in SandboxKind}

    async def backend(kind: SandboxKind) -> Backend:
        return backends[kind]

    heard: list[Runs] = []

    def settled(session: SessionId) -> None:
        for runs in heard:
            runs.settled(session)

    async with await Store.open(config.place) as store:
        await gateway.start()
        rooms = Rooms(config, store, Roster(data, dict(os.environ)), gateway, backend, Egress(), settled=settled)
        sessions = Sessions(rooms)
        await sessions.start()
        carrier = Noted(data / "noted.jsonl")
        runs = Runs(RunRooms(config, store, sessions, carrier, LocalSources(), pace=Pace(0.05, 0.05, 0.05, 0.05)))
        heard.append(runs)
        await runs.start()
        identity = await runs.begin(
            NewRun(plan=from_json(given["plan"]), trigger=TriggerKind.EVENT, by="test", key=given["key"])
        )
        while (await run_rows.get(store, identity)).state is not RunState.ENDED:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await runs.stop()
        await sessions.stop()
        await gateway.close()
        for walls in backends.values():
            await walls.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
