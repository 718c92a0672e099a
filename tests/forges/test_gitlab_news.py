"""What a poll of GitLab finds is what its webhooks would have told: the same events, with the same meaning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from handrail.forges import ForgeKind
from handrail.forges.gitlab import GitLab
from handrail.forges.http import client
from handrail.triggers import Message
from handrail.triggers.fields import at
from handrail.triggers.senders.gitlab import message
from handrail.types import Json
from tests.forges.conftest import SHOP
from tests.forges.small import TOKEN, SmallGitLab, stamp


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[SmallGitLab]:
    made = SmallGitLab(tmp_path / "gitlab")
    async with made.serving():
        yield made


@pytest.fixture
async def forge(small: SmallGitLab) -> AsyncIterator[GitLab]:
    async with client() as http:
        yield GitLab(http, small.url, TOKEN)


def issue(small: SmallGitLab, title: str, **more: object) -> int:
    number = len(small.issues) + 1
    small.issues.append({
        "id": 100 + number, "iid": number, "title": title, "description": "please", "state": "opened",
        "created_at": stamp(), "web_url": f"{small.url}/i/{number}", **more,
    })  # fmt: skip
    return number


async def request(small: SmallGitLab, branch: str, **more: object) -> int:
    await small.repository.commit(branch, {f"{branch}.txt": "1\n"}, "First")
    number = len(small.pulls) + 1
    small.pulls.append({
        "id": 200 + number, "iid": number, "title": branch, "description": "", "state": "opened", "draft": False,
        "created_at": stamp(), "updated_at": stamp(), "source_branch": branch, "target_branch": "main",
        "source_project_id": 15, "target_project_id": 15, **more,
    })  # fmt: skip
    return number


def read(told: Any) -> list[Message]:
    return [message(event, payload, None) for event, payload in told]


async def test_a_poll_tells_what_webhooks_would_have_told(small: SmallGitLab, forge: GitLab) -> None:
    issue(small, "There before")
    small.happened("opened", "Issue", 1)
    await request(small, "old")
    first = await forge.news(SHOP, {})
    assert (first.told, first.kind) == ((), ForgeKind.GITLAB), "what was there is no news"

    issue(small, "Prices")
    small.happened("opened", "Issue", 2)
    said: Json = {"id": 31, "body": "By a lot.", "noteable_type": "Issue", "noteable_iid": 2, "system": False}
    small.happened("commented on", "Note", 31, note=said)
    small.happened("commented on", "Note", 32, note={**said, "id": 32, "system": True})
    await request(small, "new")
    small.happened("opened", "MergeRequest", 2)
    ends = {"commit_from": None, "commit_to": await small.repository.head("new")}
    small.happened("pushed new", None, None, push_data={"ref_type": "branch", "ref": "new", **ends})
    small.happened("pushed to", None, None, push_data={"ref_type": "branch", "ref": None, "ref_count": 9})
    await small.repository.commit("old", {"old.txt": "2\n"}, "Second")
    moved = await small.repository.head("old")
    second = await forge.news(SHOP, first.seen)
    told = {f"{one.event}.{one.action or ''}": one for one in read(second.told)}
    assert sorted(told) == [
        "issue_comment.created", "issues.opened", "pull_request.opened", "pull_request.synchronize", "push.",
    ]  # fmt: skip
    assert {one.sender for name, one in told.items() if name != "pull_request.synchronize"} == {"alice"}
    assert all(one.repository == SHOP for one in told.values())
    assert (told["issue_comment.created"].number, told["issue_comment.created"].text) == (2, "By a lot.")
    assert (told["pull_request.synchronize"].number, told["pull_request.synchronize"].ref) == (1, moved)
    assert at(told["pull_request.synchronize"].payload, "pull_request", "head") == {
        "sha": moved,
        "ref": "old",
        "repo": {"full_name": SHOP},
    }

    ended = {"id": 71, "ref": "old", "sha": moved, "status": "failed", "updated_at": stamp()}
    small.pipelines = [ended, {**ended, "id": 72, "status": "running"}]
    small.pulls[0] |= {"state": "merged", "kept": moved}
    small.happened("accepted", "MergeRequest", 1)
    small.issues[0] |= {"state": "closed"}
    small.happened("closed", "Issue", 1)
    small.issues[0] |= {"created_at": "2026-01-01T00:00:00.000Z"}
    small.happened("opened", "Issue", 1)  # again, as GitLab words it
    third = await forge.news(SHOP, second.seen)
    (check, *others) = sorted(read(third.told), key=lambda one: one.event != "workflow_run")
    assert (check.action, at(check.payload, "workflow_run", "conclusion")) == ("completed", "failure")
    assert at(check.payload, "workflow_run", "head_sha") == moved
    assert [(one.event, one.action, one.number) for one in others] == [
        ("pull_request", "closed", 1), ("issues", "closed", 1), ("issues", "reopened", 1),
    ]  # fmt: skip
    told_states = [payload["object_attributes"].get("state") for _, payload in third.told]
    assert "merged" in told_states
    small.calls.clear()
    small.pipelines = None  # not to be seen with this token
    fourth = await forge.news(SHOP, third.seen)
    assert (fourth.told, len(small.calls)) == ((), 3), "a look that finds nothing asks for three lists"


def test_a_webhook_of_the_same_thing_has_the_same_meaning() -> None:
    """What GitLab's webhooks say beside: they write times in another form, and a text may have been edited since."""
    project = {"path_with_namespace": SHOP}
    both: list[tuple[Json, Json]] = [
        ({"id": 1, "action": "open", "updated_at": "2026-01-01 10:00:00 UTC"},
         {"id": 1, "action": "open", "updated_at": "2026-01-01T10:05:00Z"}),
        ({"id": 1, "action": "close", "updated_at": "2026-01-01 10:00:00 UTC"},
         {"id": 1, "action": "close", "updated_at": "2026-01-01T10:00:00Z"}),
    ]  # fmt: skip
    for pair in both:
        told: list[Json] = [{"object_kind": "issue", "object_attributes": own, "project": project} for own in pair]
        assert message("", told[0], None).meaning == message("", told[1], None).meaning
