"""What a poll of Gitea finds is what its webhooks would have told: the same events, with the same meaning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from handrail.forges import ForgeKind
from handrail.forges.gitea import Gitea
from handrail.forges.http import client
from handrail.triggers import Message, Settings
from handrail.triggers.receive import ours
from handrail.triggers.senders.gitea import message
from tests.forges.conftest import SHOP
from tests.forges.small import TOKEN, SmallGitea, stamp


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[SmallGitea]:
    made = SmallGitea(tmp_path / "gitea")
    async with made.serving():
        yield made
    assert made.violations == []


@pytest.fixture
async def forge(small: SmallGitea) -> AsyncIterator[Gitea]:
    async with client() as http:
        yield Gitea(http, small.url, TOKEN)


def begun(title: str, number: int) -> dict[str, Any]:
    at = stamp()
    return {
        "id": number, "number": number, "title": title, "body": "please", "state": "open", "user": {"login": "alice"},
        "created_at": at, "updated_at": at, "closed_at": None,
    }  # fmt: skip


def read(told: Any) -> list[Message]:
    return [message(event, payload, None) for event, payload in told]


async def test_a_poll_tells_what_webhooks_would_have_told(small: SmallGitea, forge: Gitea) -> None:
    small.issues.append(begun("There before", 1))
    await small.repository.commit("handrail/s1", {"a.txt": "1\n"}, "First")
    small.pulls.append(begun("Mine", 1) | {"head": "handrail/s1", "base": "main"})
    first = await forge.news(SHOP, {})
    assert (first.told, first.kind) == ((), ForgeKind.GITEA), "what was there is no news"

    small.issues.append(begun("Prices", 2))
    at, place = stamp(), f"{small.url}/acme/shop/issues/2"
    said = {"id": 31, "body": "By a lot.", "user": {"login": "bob"}, "issue_url": place, "pull_request_url": ""}
    small.comments.append({**said, "created_at": at, "updated_at": at})
    await small.repository.commit("handrail/s1", {"a.txt": "2\n"}, "Second")
    moved = await small.repository.head("handrail/s1")
    second = await forge.news(SHOP, first.seen)
    told = {f"{one.event}.{one.action or ''}": one for one in read(second.told)}
    assert sorted(told) == ["issue_comment.created", "issues.opened", "pull_request.synchronize", "push."]
    assert (told["issues.opened"].sender, told["issues.opened"].number) == ("alice", 2)
    comment = told["issue_comment.created"]
    assert (comment.sender, comment.number, comment.text) == ("bob", 2, "By a lot.")
    assert (told["push."].ref, told["pull_request.synchronize"].ref) == (moved, moved)
    assert all(one.repository == SHOP for one in told.values())
    assert ours(told["push."], Settings(account="bot")) == "an act of our own: a push to handrail/s1"

    small.pulls[0] |= {"state": "closed", "merged": True, "kept": moved, "closed_at": stamp(), "updated_at": stamp()}
    small.comments[0] |= {"body": "By a little.", "updated_at": "2099-01-01T00:00:00Z"}
    third = await forge.news(SHOP, second.seen)
    assert [(one.event, one.action) for one in read(third.told)] == [
        ("pull_request", "closed"), ("issue_comment", "edited"),
    ]  # fmt: skip
    assert third.told[0][1]["pull_request"]["merged"] is True
    small.calls.clear()
    fourth = await forge.news(SHOP, third.seen)
    assert (fourth.told, len(small.calls)) == ((), 4), "a look that finds nothing asks for four lists"


def test_new_commits_are_told_in_the_words_of_github() -> None:
    payload = {"action": "synchronized", "number": 3, "pull_request": {"number": 3, "head": {"sha": "a" * 40}}}
    for event in ("pull_request", "pull_request_sync"):
        assert (message(event, payload, None).event, message(event, payload, None).action) == (
            "pull_request", "synchronize",
        )  # fmt: skip
