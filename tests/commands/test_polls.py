from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.commands import events, forges, polls
from handrail.commands.actor import NOBODY, OWNER
from handrail.commands.desk import Desk
from handrail.commands.forges import Given
from handrail.errors import Forbidden, InvalidInput, NotFound
from handrail.triggers import Settings
from tests.fake_github import FakeGitHub

NAMES = ("acme/shop", "acme/app")


@pytest.fixture
async def github(desk: Desk, tmp_path: Path) -> AsyncIterator[FakeGitHub]:
    async with FakeGitHub(tmp_path / "github") as double:
        for name in NAMES:
            await double.create(name)
        await forges.put(desk, OWNER, "hub", Given("github", double.url, double.token))
        yield double
        await polls.put(desk, OWNER, "hub", repositories=[], every=60)
    assert double.violations == []


@pytest.mark.usefixtures("github")
async def test_what_is_polled_is_set_looked_at_changed_and_ended(desk: Desk) -> None:
    await polls.put(desk, OWNER, "hub", repositories=[*NAMES, NAMES[0]], every=60)
    async with asyncio.timeout(30):
        while not all(row.looked for row in await polls.listed(desk, OWNER)):  # noqa: ASYNC110 - the poller writes it
            await asyncio.sleep(0.02)
    both = await polls.listed(desk, OWNER)
    assert [(row.repository, row.error) for row in both] == [("acme/app", None), ("acme/shop", None)]
    assert [item.account for item in await forges.listed(desk, OWNER)] == ["handrail-bot"], "whose acts are our own"
    (one,) = await polls.put(desk, OWNER, "hub", repositories=["acme/shop"], every=300)
    assert (one.every, one.seen["began"]) == (300, both[1].seen["began"]), "it goes on from where it was"
    secret = "a-secret-of-the-hook"
    await events.set_source(desk, OWNER, "hub", kind="github", secret=secret, settings=Settings(account="me"))
    await events.remove_source(desk, OWNER, "hub")
    assert await polls.listed(desk, OWNER) == []
    await polls.put(desk, OWNER, "hub", repositories=["acme/app"], every=60)
    await events.remove_source(desk, OWNER, "hub")
    await polls.put(desk, OWNER, "hub", repositories=["acme/app"], every=60)
    await forges.remove(desk, OWNER, "hub")
    assert await polls.listed(desk, OWNER) == []


@pytest.mark.usefixtures("github")
async def test_what_cannot_be_polled_is_refused_with_field_value_and_mend(desk: Desk) -> None:
    await forges.put(desk, OWNER, "lab", Given("gitlab", secret="glpat-x"))
    await forges.put(desk, OWNER, "bare", Given("git", "/srv/git"))
    with pytest.raises(NotFound, match="handrail forges set nowhere"):
        await polls.put(desk, OWNER, "nowhere", repositories=["acme/shop"], every=60)
    with pytest.raises(InvalidInput, match="plain git is not polled"):
        await polls.put(desk, OWNER, "bare", repositories=["acme/shop"], every=60)
    for repositories, every, field in ((["shop"], 60, "repositories"), (["a/b", "a/b/c"], 60, "repositories"),
                                       (["acme/shop"], 1, "every"), (["acme/shop"], 1e9, "every")):  # fmt: skip
        with pytest.raises(InvalidInput, match=field):
            await polls.put(desk, OWNER, "hub", repositories=repositories, every=every)
    with pytest.raises(InvalidInput, match=r"acme/never.*credential may see"):
        await polls.put(desk, OWNER, "hub", repositories=["acme/never"], every=60)
    with pytest.raises(Forbidden):
        await polls.put(desk, NOBODY, "hub", repositories=["acme/shop"], every=60)
    assert await polls.listed(desk, OWNER) == []
