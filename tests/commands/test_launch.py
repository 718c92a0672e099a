"""From a workflow to a run, with the real desk: what carries runs is shown in `tests/runs`."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from handrail.automation import TickState, TriggerKind, Trust
from handrail.commands import workflows
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.errors import InvalidInput, NotFound
from handrail.runs import plan as plans
from handrail.store import runs, ticks
from handrail.store import workflows as rows
from handrail.store.migrate import upgrade
from tests.commands.desks import open_desk
from tests.fake_github import FakeGitHub

EACH_SECOND = """\
name: busy
on: {schedule: {cron: "* * * * * *", overlap: queue}, manual: {inputs: {what: {default: nothing}}}}
goal: Do {{ inputs.what }} ({{ inputs.what }}).
repositories: [/src/none, "!/src/o*"]
trust: autonomous
"""


async def test_an_enabled_schedule_starts_runs_and_a_disabled_one_does_not(desk: Desk) -> None:
    await workflows.add(desk, OWNER, EACH_SECOND)
    await workflows.enable(desk, OWNER, "busy", version=None, unproven=True)
    async with asyncio.timeout(30):
        while not (found := await runs.newest(desk.store, workflow="busy")):  # noqa: ASYNC110 - the ticker writes it
            await asyncio.sleep(0.05)
    row = found[-1]
    assert (row.trigger, row.by, row.trust) == (TriggerKind.SCHEDULE, "schedule", Trust.SUPERVISED)
    fired = [tick for tick in await ticks.newest(desk.store, "busy") if tick.run == row.id]
    assert [(tick.due, tick.state) for tick in fired] == [(row.due, TickState.FIRED)]
    plan = plans.from_json(row.plan)
    assert [target.repository for target in plan.targets] == ["/src/none"]
    assert plan.stages[0].goal == "Do nothing (nothing)."
    await workflows.disable(desk, OWNER, "busy")
    before = len(await ticks.newest(desk.store, "busy", 1000))
    await asyncio.sleep(1.2)
    assert len(await ticks.newest(desk.store, "busy", 1000)) == before


async def test_a_restart_decides_what_came_due_meanwhile(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "data") as desk:
        await workflows.add(desk, OWNER, EACH_SECOND.replace("* * * * * *", "0 * * * *"))
        item = await workflows.enable(desk, OWNER, "busy", version=None, unproven=True)
        assert item.next is not None
        await desk.ticker.stop()
        early = item.next.replace(year=item.next.year - 1)
        await desk.store.log.write(guard=rows.update("busy", early, watermark=early))
    async with open_desk(tmp_path / "data") as desk:
        async with asyncio.timeout(30):
            while not await runs.newest(desk.store, workflow="busy"):  # noqa: ASYNC110 - the ticker writes it
                await asyncio.sleep(0.05)
        states = [(tick.state, tick.count > 1) for tick in await ticks.newest(desk.store, "busy")]
        assert states == [(TickState.FIRED, False), (TickState.MISSED, True)]


FIRST = "0002"
"""the schema in which workflows came into the world"""


async def test_an_upgrade_keeps_old_workflows_running_beside_new_ones(tmp_path: Path) -> None:
    """Incident 17 (OH#17436: after an upgrade only automations made since then ran)."""
    database, at = tmp_path / "data" / "handrail.db", "2026-01-01 00:00:00.000000"
    database.parent.mkdir()
    await asyncio.to_thread(upgrade, f"sqlite:///{database}", FIRST)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO workflows (name, source, version, enabled, trust, accepted, watermark, created, updated)"
            " VALUES ('old', 'file', 'v1', 1, 'supervised', 3, ?, ?, ?)", [at] * 3,
        )  # fmt: skip
        connection.execute(
            "INSERT INTO workflow_versions (workflow, version, number, text, by, created)"
            " VALUES ('old', 'v1', 1, ?, 'alice', ?)", [EACH_SECOND.replace("busy", "old"), at],
        )  # fmt: skip
    async with open_desk(tmp_path / "data") as desk:
        await workflows.add(desk, OWNER, EACH_SECOND.replace("busy", "new"))
        await workflows.enable(desk, OWNER, "new", version=None, unproven=True)
        async with asyncio.timeout(30):
            for name in ("old", "new"):
                while not await runs.newest(desk.store, workflow=name):  # noqa: ASYNC110 - the ticker writes it
                    await asyncio.sleep(0.05)
        assert (await rows.get(desk.store, "old")).accepted == 3


async def test_a_person_starts_it(desk: Desk, github: FakeGitHub) -> None:
    await workflows.add(desk, OWNER, EACH_SECOND)
    begun = await workflows.start(desk, OWNER, "busy", inputs={"what": "this"}, repositories=["/src/a", "/src/b"])
    row = await runs.get(desk.store, begun.run)
    assert (begun.tasks, row.trigger, row.by, row.inputs) == (2, TriggerKind.MANUAL, "you", {"what": "this"})
    assert plans.from_json(row.plan).stages[0].goal == "Do this (this)."
    with pytest.raises(InvalidInput, match=r"inputs\.wat"):
        await workflows.start(desk, OWNER, "busy", inputs={"wat": "x"})
    with pytest.raises(InvalidInput, match="name 1 to 500"):
        await workflows.start(desk, OWNER, "busy", inputs={}, repositories=["!/src/*"])
    with pytest.raises(NotFound, match="no forge 'github'"):
        await workflows.start(desk, OWNER, "busy", inputs={}, repositories=["github:acme/*"])
    for name in ("acme/app", "acme/old", "other/app"):
        await github.create(name)
    wide = EACH_SECOND.replace('[/src/none, "!/src/o*"]', '["hub:acme/*", "!hub:acme/old"]')
    await workflows.add(desk, OWNER, wide.replace("busy", "wide"))
    begun = await workflows.start(desk, OWNER, "wide", inputs={})
    row = await runs.get(desk.store, begun.run)
    found = [target.repository for target in plans.from_json(row.plan).targets]
    assert (begun.tasks, sorted(found)) == (2, ["hub:acme/app", "hub:acme/shop"])
