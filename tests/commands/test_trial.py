from __future__ import annotations

import shutil

import pytest
from msgspec.structs import replace

from handrail.commands import agents
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.errors import MissingPart, NotFound


@pytest.mark.parametrize("kind", ["none", "bubblewrap"])
async def test_our_own_agent_is_tried_and_nothing_is_left(desk: Desk, kind: str) -> None:
    if kind == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    walled = replace(desk, config=replace(desk.config, sandbox=kind))
    report = await agents.check(walled, OWNER, "handrail", deep=True)
    assert report.ok, report
    tried = {item.name: item.tried for item in report.capabilities}
    assert tried["handshake"]
    assert tried["session"]
    assert list((desk.config.data / "checks").iterdir()) == []


async def test_an_agent_that_is_not_here(desk: Desk) -> None:
    with pytest.raises(NotFound, match="cody"):
        await agents.check(desk, OWNER, "cody", deep=False)
    with pytest.raises(MissingPart, match="handrail agents install codex"):
        await agents.check(desk, OWNER, "codex", deep=False)
