"""A model's answer that breaks off is no end of the work, though the agent ends its turn as if it were whole."""

from __future__ import annotations

import shutil
from pathlib import Path

from handrail.kinds import Kind
from tests.sessions import pet
from tests.sessions.conftest import Open, git

AGENT = """
title = "Careless"
wire = "anthropic"
command = ["{python}", "pet.py"]
[env]
PET_DOOR = "{url}"
PET_DOOR_TOKEN = "{token}"
"""


async def test_half_an_answer_is_not_the_end_of_a_turn(tmp_path: Path, repository: Path, open_house: Open) -> None:
    shutil.copy(pet.__file__, repository / "pet.py")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "an agent")
    (tmp_path / "data/agents").mkdir(parents=True)
    (tmp_path / "data/agents/careless.toml").write_text(AGENT)
    async with open_house() as house:
        session = await house.new(agent="careless")
        steps: tuple[dict[str, object], ...] = ({"text": "Whole."}, {"fault": "drop"}, {"text": "Whole again."})
        for step in steps:
            await house.say(session, [step])
        await house.until(session, Kind.TURN_ENDED, count=3)
        whole, half, again = [event.data for event in await house.events(session, Kind.TURN_ENDED)]
        assert (whole["stop_reason"], again["stop_reason"]) == ("end_turn", "end_turn")
        assert (half["stop_reason"], half["error_kind"]) == ("error", "provider")
        assert "broke off" in str(half["error"])
