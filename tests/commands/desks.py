"""A real desk in process: store, git, gateway, walls and sessions over a temporary data directory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from handrail.automation import EffectKind, EffectState
from handrail.commands.desk import Desk, Running
from handrail.config import Config
from handrail.kinds import Kind
from handrail.store import approvals, sessions
from handrail.store import effects as effect_rows
from handrail.store.approvals import ApprovalRow
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.store.log import Draft
from handrail.store.sessions import SessionRow
from handrail.types import ApprovalId, EffectId, Json, SandboxKind, SessionId, now
from handrail.web import wiring


@dataclass
class Stops:
    """Counts how often the server was asked to end."""

    count: int = 0
    then: list[Callable[[], None]] = field(default_factory=list)

    def __call__(self) -> None:
        self.count += 1
        for act in self.then:
            act()


@asynccontextmanager
async def open_desk(
    data: Path, environ: Mapping[str, str] | None = None, stops: Stops | None = None
) -> AsyncIterator[Desk]:
    running = Running(
        version="0.0.test",
        pid=os.getpid(),
        url="http://127.0.0.1:7171",
        socket=str(data / "handrail.sock"),
        started=now(),
        stop=stops or Stops(),
    )
    async with wiring.desk(Config(data=data), running, environ or {}) as desk:
        yield desk


async def begin(desk: Desk, name: str = "s-alice", **columns: object) -> SessionId:
    """A session as a row with one event; nothing runs behind it."""
    return await begin_in(desk.store, name, **columns)


async def begin_in(store: Store, name: str = "s-alice", **columns: object) -> SessionId:
    """The same, where nothing but a store is open."""
    values: dict[str, object] = {
        "id": SessionId(name),
        "number": await sessions.next_number(store),
        "title": f"work of {name}",
        "agent": "handrail",
        "repository": "/src/project",
        "repository_key": "project-1",
        "workspace": f"/data/sessions/{name}/workspace/project",
        "base": "0" * 40,
        "branch": f"handrail/{name}",
        "sandbox": SandboxKind.BUBBLEWRAP,
        "created": now(),
        "updated": now(),
    }
    row = SessionRow(**(values | columns))  # type: ignore[arg-type]
    created = Draft(Kind.SESSION_CREATED, {"agent": row.agent, "title": row.title})
    await store.log.append(row.id, [created], sessions.insert(row))
    return row.id


async def ask(desk: Desk, session: SessionId, name: str = "a-1", **columns: object) -> ApprovalId:
    """An open approval of a session."""
    values: dict[str, object] = {
        "id": ApprovalId(name),
        "session": session,
        "turn": 1,
        "call": f"call-{name}",
        "title": "rm -rf build",
        "tool": "execute",
        "input": {"command": "rm -rf build"},
        "diffs": [],
        "options": [
            {"id": "once", "name": "Allow once", "kind": "allow_once"},
            {"id": "no", "name": "Reject", "kind": "reject_once"},
        ],
        "signature": f"signature-{name}",
        "asked": now(),
    }
    row = ApprovalRow(**(values | columns))  # type: ignore[arg-type]
    asked = Draft(Kind.APPROVAL_ASKED, {"approval": row.id, "title": row.title}, row.turn)
    await desk.store.log.append(session, [asked], approvals.insert(row))
    return row.id


async def proposed(desk: Desk, kind: EffectKind, body: Json, session: SessionId, **columns: object) -> EffectRow:
    """An effect of that session; it waits, where `columns` do not say otherwise."""
    return await proposed_in(desk.store, kind, body, session, **columns)


async def proposed_in(store: Store, kind: EffectKind, body: Json, session: SessionId, **columns: object) -> EffectRow:
    """The same, where nothing but a store is open."""
    said = {"id": EffectId(f"f-{kind}"), "key": f"key-{kind}", "forge": "hub", "state": EffectState.WAITING, **columns}
    row = EffectRow(kind=kind, target="acme/shop", body=body, by="agent", created=now(), session=session, **said)  # type: ignore[arg-type]
    await store.log.write(effect_rows.propose(row))
    return row


async def settled(desk: Desk, row: EffectRow, state: EffectState) -> EffectRow:
    async with asyncio.timeout(30):
        while (found := await effect_rows.get(desk.store, row.id)).state is not state:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found
