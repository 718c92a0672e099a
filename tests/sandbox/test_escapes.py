"""The battery against the real walls, and beside it without walls, where each attempt must be seen to bite."""

from __future__ import annotations

import shutil

import pytest

from tests.sandbox.battery import course
from tests.sandbox.battery.course import GROUPS, NAMES
from tests.sandbox.battery.page import FOUND, PAGE, excused, load, page
from tests.sandbox.battery.resources import ALONE

pytestmark = pytest.mark.timeout(120)


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
async def test_nothing_gets_through() -> None:
    tried = await course.behind_walls()
    assert {item.name: item.said for item in tried if item.got} == {}
    left_out = set(NAMES) - {item.name for item in tried}
    assert left_out <= set(ALONE), "only what no control group can be had for may be left out"
    assert {item.name for item in tried if item.flagged} == {name for name in NAMES if NAMES[name] == "tripwires"}


@pytest.mark.skipif(not course.PROVES, reason="as an ordinary user the machine itself stops many attempts")
async def test_every_attempt_bites_without_walls() -> None:
    tried = await course.without_walls()
    assert {item.name for item in tried} == set(NAMES)
    assert {item.name: item.said for item in tried if not item.got and item.name not in excused(load())} == {}


def test_the_page_tells_what_was_measured() -> None:
    found = load()
    assert page(PAGE.read_text("utf-8"), found) == PAGE.read_text("utf-8"), "run python -m tests.sandbox.battery"
    assert [row["name"] for row in found["attempts"] if row["walls"] == "through"] == []
    assert {row["name"]: row["group"] for row in found["attempts"]} == NAMES, f"{FOUND} is of another battery"
    assert len(found["attempts"]) >= 150
    assert {row["group"] for row in found["attempts"]} == GROUPS.keys()
