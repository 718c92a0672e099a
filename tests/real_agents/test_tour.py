"""The whole job by each real agent: an edit approved, one denied, a command, cancel, kill -9, load, an error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.real_agents.tour import tour

GOOD: dict[str, Any] = {
    "edit_asked": True,
    "edit_done": True,
    "edit_shown": True,
    "denied_edit_kept_out": True,
    "denied_edit_told": True,
    "command_asked": True,
    "command_done": True,
    "command_output": True,
    "cancelled": True,
    "cancel_ended_command": True,
    "usable_after_cancel": True,
    "left_after_kill": 0,
    "told_interrupted": True,
    "loaded": True,
    "remembered": True,
    "refuses_unknown": True,
    "error_seen": True,
    "error_kind": "provider",
    "skipped_lines": 0,
}
KNOWN: dict[str, dict[str, Any]] = {
    # It tells nothing of what its commands print, and its load is broken, so it is never asked for.
    "gemini": {"command_output": False, "loaded": False, "remembered": False, "refuses_unknown": None},
    # A cancelled command runs on for 30 s; any session id is welcome, so only a replay proves a load.
    "openhands": {"cancel_ended_command": False, "refuses_unknown": False},
}


@pytest.mark.agents
@pytest.mark.timeout(240)
async def test_tour(agent: str) -> None:
    seen = (await tour(agent)).table()
    assert {key: seen[key] for key in GOOD} == GOOD | KNOWN.get(agent, {})
