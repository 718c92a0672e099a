from __future__ import annotations

from datetime import timedelta

import pytest

from handrail.automation import TickState, Trust
from handrail.commands import workflows
from handrail.commands.actor import NOBODY, OWNER
from handrail.commands.desk import Desk
from handrail.commands.workflows import File
from handrail.errors import Conflict, Forbidden, InvalidInput, NotFound
from handrail.store import ticks
from handrail.store import workflows as rows
from handrail.store.ticks import TickRow
from handrail.types import now

NIGHTLY = """\
name: nightly
on:
  schedule: {cron: "0 3 * * *", zone: Europe/Berlin}
goal: Make the tests pass.
repositories: /src/project
trust: autonomous
"""


async def test_a_workflow_from_file_to_enabled(desk: Desk) -> None:
    item = await workflows.add(desk, OWNER, NIGHTLY, origin="nightly.yaml")
    assert (item.row.name, item.row.enabled, item.number, item.next, item.last) == ("nightly", False, 1, None, None)
    assert item.row.trust is Trust.SUPERVISED  # what the file says is a ceiling
    assert item.starts == "at 03:00 every day (Europe/Berlin)"
    with pytest.raises(Conflict, match="version 1 of nightly was not rehearsed"):
        await workflows.enable(desk, OWNER, "nightly", version=None, unproven=False)
    before = now()
    item = await workflows.enable(desk, OWNER, "nightly", version=None, unproven=True)
    assert item.row.enabled
    assert item.next is not None
    assert before < item.next < before + timedelta(days=1, minutes=1)
    assert item.row.watermark is not None
    assert item.row.watermark >= before  # what was due before never fires
    assert not (await workflows.disable(desk, OWNER, "nightly")).row.enabled


async def test_what_is_enabled_goes_on_with_its_version_until_a_person_says_otherwise(desk: Desk) -> None:
    await workflows.add(desk, OWNER, NIGHTLY)
    await workflows.enable(desk, OWNER, "nightly", version=None, unproven=True)
    item = await workflows.add(desk, OWNER, NIGHTLY.replace("0 3", "0 4"))
    assert (item.number, item.newest) == (1, 2)
    assert item.starts.startswith("at 03:00")
    item = await workflows.enable(desk, OWNER, "nightly", version=None, unproven=True)
    assert (item.number, item.newest) == (2, 2)
    first, second = reversed(await workflows.versions(desk, OWNER, "nightly"))
    assert (first.number, second.number, first.by) == (1, 2, "you")
    assert (await workflows.enable(desk, OWNER, "nightly", version=first.version, unproven=True)).number == 1
    same = await workflows.add(desk, OWNER, NIGHTLY)
    assert (same.number, same.newest) == (1, 2)  # a text that is known is no new version
    assert (await workflows.disable(desk, OWNER, "nightly")).number == 2


async def test_show(desk: Desk) -> None:
    await workflows.add(desk, OWNER, NIGHTLY)
    at = now()
    tick = TickRow(workflow="nightly", trigger=0, due=at, state=TickState.SKIPPED, reason="busy", time=at)
    await desk.store.log.write(*ticks.insert(tick))
    shown = await workflows.show(desk, OWNER, "nightly", 3)
    assert shown.text == NIGHTLY
    assert len(shown.upcoming) == 3
    assert [(one.state, one.reason) for one in shown.ticks] == [("skipped", "busy")]
    assert shown.notes[0].startswith("budget:")


async def test_a_repository_is_taken_whole_and_enables_nothing(desk: Desk) -> None:
    files = [
        File("a.yaml", NIGHTLY),
        File("b.yaml", "name: b\ngoal: x\n"),
        File("c.yaml", "name: c\ngaol: x\n"),
        File("d.yaml", "name: b\ngoal: y\n"),
    ]
    told = await workflows.sync(desk, OWNER, "/src/project", files)
    assert [(one.file, one.workflow, one.result) for one in told] == [
        ("a.yaml", "nightly", "added"), ("b.yaml", "b", "added"),
        ("c.yaml", None, "refused"), ("d.yaml", None, "refused"),
    ]  # fmt: skip
    assert "c.yaml:2: gaol: 'gaol' cannot be used: did you mean goal?" in (told[2].problem or "")
    assert "another file has this name" in (told[3].problem or "")
    assert not any(item.row.enabled for item in await workflows.listed(desk, OWNER))
    told = await workflows.sync(desk, OWNER, "/src/project", [File("a.yaml", NIGHTLY + "agent: claude\n")])
    assert [(one.workflow, one.result) for one in told] == [("nightly", "changed"), ("b", "gone")]
    told = await workflows.sync(desk, OWNER, "/src/other", [File("a.yaml", NIGHTLY)])
    assert [(one.result, "from /src/project" in (one.problem or "")) for one in told] == [("refused", True)]


async def test_removed_but_not_forgotten(desk: Desk) -> None:
    await workflows.add(desk, OWNER, NIGHTLY)
    await workflows.enable(desk, OWNER, "nightly", version=None, unproven=True)
    with pytest.raises(Conflict, match="is enabled"):
        await workflows.remove(desk, OWNER, "nightly")
    await workflows.disable(desk, OWNER, "nightly")
    await workflows.remove(desk, OWNER, "nightly")
    assert await workflows.listed(desk, OWNER) == []
    assert len(await rows.versions(desk.store, "nightly")) == 1  # runs name it
    item = await workflows.add(desk, OWNER, NIGHTLY + "agent: claude\n")
    assert (item.number, item.newest) == (2, 2)


async def test_the_gallery_comes_switched_off_and_asks_for_its_blanks(desk: Desk) -> None:
    assert "weekly-report" in workflows.shelf(OWNER)
    item = await workflows.from_gallery(desk, OWNER, "weekly-report")
    assert (item.row.enabled, item.row.source) == (False, "gallery")
    with pytest.raises(Conflict, match="put yours there"):
        await workflows.enable(desk, OWNER, "weekly-report", version=None, unproven=True)
    with pytest.raises(Conflict, match="put yours there"):
        await workflows.start(desk, OWNER, "weekly-report", inputs={})


async def test_what_cannot_be(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match=r"nightly\.yaml:1: nam"):
        await workflows.add(desk, OWNER, "nam: x", origin="nightly.yaml")
    with pytest.raises(InvalidInput, match="did you mean claude"):
        await workflows.add(desk, OWNER, "name: x\ngoal: y\nagent: cluade\n")
    assert await workflows.listed(desk, OWNER) == []
    with pytest.raises(NotFound, match="no workflow 'x'"):
        await workflows.show(desk, OWNER, "x")
    await workflows.add(desk, OWNER, "name: x\ngoal: y\n")
    with pytest.raises(NotFound, match="no version 'abc'"):
        await workflows.enable(desk, OWNER, "x", version="abc", unproven=True)
    with pytest.raises(Conflict, match="names no repositories"):
        await workflows.enable(desk, OWNER, "x", version=None, unproven=True)
    with pytest.raises(Forbidden, match=r"workflows\.write"):
        await workflows.disable(desk, NOBODY, "x")
