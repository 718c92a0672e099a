from __future__ import annotations

import pytest

from handrail.commands import agents
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.errors import NotFound


async def test_the_catalogue_is_listed_with_what_is_here(desk: Desk) -> None:
    known = await agents.listed(desk, OWNER)
    assert known[0].name == "handrail"
    assert known[0].installed
    assert {"claude", "codex", "gemini"} <= {agent.name for agent in known}


async def test_an_agent_that_is_here_is_not_fetched_again(desk: Desk) -> None:
    fetched = await agents.install(desk, OWNER, "handrail")
    assert fetched.version is not None
    assert fetched.seconds < 5


async def test_an_unknown_agent_is_named_with_the_known_ones(desk: Desk) -> None:
    with pytest.raises(NotFound, match=r"cody.*handrail, claude"):
        await agents.install(desk, OWNER, "cody")
