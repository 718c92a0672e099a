"""Rows and drafts for tests."""

from __future__ import annotations

from handrail.kinds import Kind
from handrail.store import sessions
from handrail.store.engine import Store
from handrail.store.log import Draft
from handrail.store.sessions import SessionRow
from handrail.types import SandboxKind, SessionId, now

ALICE = SessionId("alice")
BOB = SessionId("bob")


def said(text: str, turn: int | None = None) -> Draft:
    return Draft(Kind.AGENT_TEXT, {"text": text}, turn)


def session_row(name: str, number: int, agent: str = "handrail", by: str = "you") -> SessionRow:
    return SessionRow(
        id=SessionId(name),
        number=number,
        title=f"work of {name}",
        agent=agent,
        by=by,
        repository="/src/project",
        repository_key="project-1",
        workspace=f"/data/sessions/{name}/workspace/project",
        base="0" * 40,
        branch=f"handrail/{name}",
        sandbox=SandboxKind.BUBBLEWRAP,
        created=now(),
        updated=now(),
    )


async def begin(store: Store, name: str, agent: str = "handrail", by: str = "you") -> SessionId:
    row = session_row(name, await sessions.next_number(store), agent, by)
    await store.log.append(row.id, [], sessions.insert(row))
    return row.id
