from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from handrail.workspaces.find import find
from handrail.workspaces.sample import sample
from tests.workspaces.conftest import sh


async def test_it_is_made_once_whole_with_a_test_that_fails(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    places = await asyncio.gather(sample(data), sample(data))
    assert set(places) == {data / "sample"}
    found = await find(places[0])
    assert sh("git", "status", "--porcelain", cwd=places[0]) == ""
    assert await sample(data) == places[0]
    assert (await find(places[0])).head == found.head
    assert [entry.name for entry in data.iterdir()] == ["sample"]
    process = await asyncio.create_subprocess_exec(sys.executable, "test_greet.py", cwd=places[0], stderr=PIPE)
    assert b"Hallo Ada" in (await process.communicate())[1]
