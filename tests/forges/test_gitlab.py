from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.forges import effects as e
from handrail.forges import faults
from handrail.forges.gitlab import GitLab
from handrail.forges.http import client
from tests.forges.conftest import SHOP
from tests.forges.small import TOKEN, SmallGitLab
from tests.forges.suite import Meeting, every_act_happens_once


@pytest.fixture
async def meeting(tmp_path: Path) -> AsyncIterator[Meeting]:
    small = SmallGitLab(tmp_path / "gitlab")
    async with small.serving(), client() as http:
        yield await Meeting.begin(small, GitLab(http, small.url, TOKEN), tmp_path)


async def test_every_act_happens_once(meeting: Meeting) -> None:
    await every_act_happens_once(meeting, {
        "pull_request": "POST projects/acme%2Fshop/merge_requests",
        "comment": "POST projects/acme%2Fshop/merge_requests/1/notes",
        "review": "POST projects/acme%2Fshop/merge_requests/1/notes",
        "status": "POST projects/acme%2Fshop/statuses",
        "issue": "POST projects/acme%2Fshop/issues",
        "merge": "PUT projects/acme%2Fshop/merge_requests/1/merge",
    })  # fmt: skip
    small = meeting.small
    bodies = [note["body"].partition("\n")[0] for note in small.notes["m1"]]
    assert bodies == ["Hello", "Why?", "Good"]
    assert small.pulls[0]["state"] == "merged"
    assert small.pulls[0]["add_labels"] == "ready"


async def test_what_the_token_may_do(meeting: Meeting) -> None:
    found = await meeting.forge.check(SHOP)
    assert (found.login, found.scopes, found.writable) == ("bot", ("api",), True)
    assert found.notes == ("the token ends at 2027-01-01",)
    assert await meeting.forge.repositories("acme") == [SHOP]
    with pytest.raises(faults.TokenRefused):
        await GitLab(meeting.forge._api._http, meeting.small.url, "wrong").check(None)  # type: ignore[attr-defined]


async def test_a_moved_head_and_a_conflict(meeting: Meeting) -> None:
    await meeting.carry(e.PullRequest(SHOP, "f", "main", "F", commit=meeting.commit), "k")
    with pytest.raises(faults.StaleHead):
        await meeting.carry(e.Merge(SHOP, 1, "a" * 40), "k2")
    meeting.small.pulls[0]["conflict"] = True
    with pytest.raises(faults.MergeConflict):
        await meeting.carry(e.Merge(SHOP, 1, meeting.commit), "k3")
    with pytest.raises(faults.NotThere):
        await meeting.carry(e.Comment(SHOP, 9, "x", on_pull_request=True), "k4")
