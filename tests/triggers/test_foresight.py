"""Credentials are tried before a schedule needs them: a real desk, a GitHub double that tells when its token ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from handrail.commands import forges, workflows
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.commands.forges import Given
from handrail.notify import Notice, Occasion
from handrail.store.log import Write
from handrail.triggers.foresight import Foresight
from handrail.types import now
from tests.commands.desks import open_desk
from tests.fake_github import FakeGitHub

NIGHTLY = """\
name: nightly
on: {schedule: {cron: "0 3 * * *"}}
goal: Make it green.
repositories: [hub:acme/shop, /src/x]
"""


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
async def github(desk: Desk, tmp_path: Path) -> AsyncIterator[FakeGitHub]:
    async with FakeGitHub(tmp_path / "github") as double:
        await double.create("acme/shop")
        await forges.put(desk, OWNER, "hub", Given("github", double.url, double.token))
        await workflows.add(desk, OWNER, NIGHTLY)
        await workflows.enable(desk, OWNER, "nightly", version=None, unproven=True)
        yield double
    assert double.violations == []


def ends(github: FakeGitHub, at: datetime) -> None:
    github.headers = {"github-authentication-token-expiration": f"{at:%Y-%m-%d %H:%M:%S} UTC"}


async def test_a_credential_that_ends_before_it_is_needed_is_told_of_in_time(desk: Desk, github: FakeGitHub) -> None:
    """Incident 14 (CC#38813: a token that ended between two runs, and nobody knew until the second had failed)."""
    told: dict[str, Notice] = {}

    def tell(notice: Notice, key: str) -> Sequence[Write]:
        told[key] = notice
        return ()

    async def look(at: datetime) -> list[Notice]:
        told.clear()
        await Foresight(desk.store, desk.launch.scheduled, desk.forges.check, tell, lambda: at).look()
        return list(told.values())

    async def notes() -> tuple[str, ...]:
        return (await workflows.show(desk, OWNER, "nightly")).notes

    due = (await workflows.show(desk, OWNER, "nightly")).upcoming[0]
    before = len(await notes())
    ends(github, due + timedelta(hours=1))
    assert await look(due - timedelta(hours=23)) == []
    assert len(await notes()) == before
    ends(github, due - timedelta(hours=1))
    (notice,) = await look(due - timedelta(hours=23))
    assert (notice.occasion, notice.title) == (Occasion.CREDENTIAL, "nightly")
    assert "the credential of hub ends at" in notice.detail
    assert "handrail forges set hub" in (await notes())[-1]
    await forges.put(desk, OWNER, "hub", Given("github", github.url, "ghp_revoked"))
    (notice,) = await look(due - timedelta(hours=23))
    assert "is not taken any more" in notice.detail
    await forges.put(desk, OWNER, "hub", Given("github", github.url, github.token))
    github.fail("GET", 500)
    assert await look(due - timedelta(hours=23)) == [], "an outage passes"
    calls = len(github.calls)
    await workflows.disable(desk, OWNER, "nightly")
    assert await look(now()) == []
    assert len(github.calls) == calls, "nobody needs it"
