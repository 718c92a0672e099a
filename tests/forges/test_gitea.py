from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.forges import effects as e
from handrail.forges import faults
from handrail.forges.gitea import Gitea
from handrail.forges.http import client
from tests.forges.conftest import SHOP
from tests.forges.small import TOKEN, SmallGitea
from tests.forges.suite import Meeting, every_act_happens_once


@pytest.fixture
async def meeting(tmp_path: Path) -> AsyncIterator[Meeting]:
    small = SmallGitea(tmp_path / "gitea")
    async with small.serving(), client() as http:
        yield await Meeting.begin(small, Gitea(http, small.url, TOKEN), tmp_path)
    assert small.violations == []


async def test_every_act_happens_once(meeting: Meeting) -> None:
    await every_act_happens_once(meeting, {
        "pull_request": "POST repos/acme/shop/pulls",
        "comment": "POST repos/acme/shop/issues/1/comments",
        "review": "POST repos/acme/shop/pulls/1/reviews",
        "status": "POST repos/acme/shop/statuses",
        "issue": "POST repos/acme/shop/issues",
        "merge": "POST repos/acme/shop/pulls/1/merge",
    })  # fmt: skip
    small = meeting.small
    assert [note["event"] for note in small.notes["reviews1"]] == ["COMMENT"]
    assert small.pulls[0]["merged"]
    assert [label["name"] for label in small.issues[0]["labels"]] == ["ready"]


async def test_what_the_token_may_do(meeting: Meeting) -> None:
    found = await meeting.forge.check(SHOP)
    assert (found.login, found.writable) == ("bot", True)
    assert await meeting.forge.repositories("acme") == [SHOP]


async def test_a_moved_head_and_a_conflict(meeting: Meeting) -> None:
    await meeting.carry(e.PullRequest(SHOP, "f", "main", "F", commit=meeting.commit), "k")
    with pytest.raises(faults.StaleHead):
        await meeting.carry(e.Merge(SHOP, 1, "a" * 40), "k2")
    meeting.small.pulls[0]["conflict"] = True
    with pytest.raises(faults.MergeConflict):
        await meeting.carry(e.Merge(SHOP, 1, meeting.commit), "k3")
    with pytest.raises(faults.NotThere):
        await meeting.carry(e.Comment(SHOP, 9, "x", on_pull_request=True), "k4")
