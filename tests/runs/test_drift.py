from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.errors import InvalidInput
from handrail.kinds import Kind
from handrail.policy.layers import stack
from handrail.runs import drift
from handrail.store import sessions
from handrail.store.engine import Store
from handrail.store.log import Draft
from handrail.store.sessions import SessionRow
from handrail.types import Json, Permissions, SandboxKind, SessionId, now

POLICY = stack(Permissions.ALLOW, workflow="rest: ask\n")
ID = SessionId("s-1")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path / "handrail.db") as opened:
        row = SessionRow(
            id=ID, number=1, title="t", agent="handrail", repository="/r", repository_key="r-1", workspace="/w",
            base="0" * 40, branch="b", sandbox=SandboxKind.NONE, created=now(), updated=now(),
        )  # fmt: skip
        given: Json = {"call": "1", "title": "make", "tool": "execute", "input": {"command": "make"}}
        await opened.log.append(ID, [Draft(Kind.TOOL_STARTED, given), Draft(Kind.TOOL_ENDED, {"call": "1"})],
                                sessions.insert(row))  # fmt: skip
        yield opened


async def test_a_session_that_is_gone_says_nothing_and_one_too_long_is_said(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await drift.beyond(store, POLICY, [ID, SessionId("s-gone")])
    assert [one.what for one in found] == ["shell: make"]
    monkeypatch.setattr(drift, "MOST_EVENTS", 1)
    with pytest.raises(InvalidInput, match="take a shorter one"):
        await drift.whole_log(store, ID)
    assert [one.what for one in await drift.beyond(store, POLICY, [ID])] == ["the log of session s-1 is too long"]
