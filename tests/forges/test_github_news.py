"""What polls find is what webhooks would have told: the same events, with the same meaning."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from handrail.forges import effects as e
from handrail.forges import faults
from handrail.forges.effects import MARK
from handrail.triggers.senders import github
from tests.fake_github import FakeGitHub
from tests.fake_github.repository import stamp
from tests.forges.conftest import SHOP, Stage

LISTS = 10
"""calls of a look that finds nothing where no pull request is open"""


async def as_alice(hub: FakeGitHub, method: str, path: str, **body: object) -> Any:
    hub.tokens["alices"] = "alice"
    async with httpx2.AsyncClient(headers={"authorization": "Bearer alices"}) as client:
        answer = await client.request(method, f"{hub.url}/api/v3/repos/{SHOP}{path}", json=body)
    assert answer.status_code < 300, answer.text
    return answer.json()


def meanings(told: Any) -> set[str]:
    return {github.message(event, payload, None).meaning for event, payload in told}


async def test_a_poll_tells_what_webhooks_would_have_told(stage: Stage) -> None:
    """Opened issues and pull requests, comments, reviews, pushes, merges: under the meaning of their webhooks."""
    hub, forge = stage.github, stage.forge
    await as_alice(hub, "POST", "/issues", title="There before")
    first = await forge.news(SHOP, {})
    assert first.told == (), "what was there is no news"
    before = len(hub.sent)

    await as_alice(hub, "POST", "/issues", title="Prices", body="Too low.")
    await as_alice(hub, "POST", "/issues/2/comments", body="By a lot.")
    await as_alice(hub, "POST", "/issues/2/labels", labels=["bug"])
    commit = stage.commit("a.txt", "a\n")
    said = {"title": "Raise the price", "body": "It was too low.", "head": "handrail/s1", "base": "main"}
    await stage.carry(e.PullRequest(SHOP, commit=commit, **said), "k1")  # type: ignore[arg-type]
    line = {"path": "a.txt", "line": 1, "side": "RIGHT", "body": "Why?"}
    await as_alice(hub, "POST", "/pulls/3/reviews", event="REQUEST_CHANGES", body="One question.", comments=[line])
    second = await forge.news(SHOP, first.seen)
    later = stage.commit("b.txt", "b\n", commit)
    await stage.carry(e.PullRequest(SHOP, commit=later, expected=commit, **said), "k1")  # type: ignore[arg-type]
    await as_alice(hub, "PUT", "/pulls/3/merge", sha=later)
    third = await forge.news(SHOP, second.seen)

    told = [*second.told, *third.told]
    kinds = sorted(f"{event}.{payload['action']}" if "action" in payload else event for event, payload in told)
    assert kinds == [
        "issue_comment.created", "issues.labeled", "issues.opened", "pull_request.closed", "pull_request.opened",
        "pull_request.synchronize", "pull_request_review.submitted", "pull_request_review_comment.created",
        "push", "push", "push",
    ]  # fmt: skip
    webhooks = [item for item in hub.sent[before:] if item[1].get("action") != "edited"]
    # the double sends no webhook of labels, of comments on lines, and of the push that a merge is
    only_polled = {"issues.labeled", "pull_request_review_comment.created"}
    polled = [item for item in told if f"{item[0]}.{item[1].get('action')}" not in only_polled]
    merged = f"push::{SHOP}:refs/heads/main:{await stage.shop.head('main')}"
    assert meanings(polled) == meanings(webhooks) | {merged}
    by_kind = {f"{event}.{payload.get('action')}": payload for event, payload in told}
    assert by_kind["issues.labeled"]["sender"]["login"] == "alice"
    assert by_kind["issues.labeled"]["label"]["name"] == "bug"
    assert by_kind["issue_comment.created"]["issue"]["title"] == "Prices"
    assert by_kind["pull_request.closed"]["pull_request"]["merged"] is True
    assert MARK in by_kind["pull_request.opened"]["pull_request"]["body"]
    assert by_kind["push.None"]["repository"]["default_branch"] == "main"


async def test_a_look_that_finds_nothing_costs_nothing_of_the_limit(stage: Stage) -> None:
    hub, forge = stage.github, stage.forge
    await as_alice(hub, "POST", "/issues", title="Prices")
    seen = (await forge.news(SHOP, {})).seen
    seen = (await forge.news(SHOP, seen)).seen
    calls, same = len(hub.calls), hub.unchanged
    third = await forge.news(SHOP, seen)
    assert (third.told, third.seen) == ((), seen)
    assert (len(hub.calls) - calls, hub.unchanged - same) == (LISTS, LISTS), hub.calls[calls:]


def run(number: int, attempt: int = 1, **more: object) -> dict[str, Any]:
    of = {"id": number, "run_attempt": attempt, "status": "completed", "conclusion": "failure", "name": "build"}
    return {**of, "head_branch": "handrail/x", "updated_at": stamp(), "created_at": "2026-01-01T00:00:00Z", **more}


async def test_checks_that_ended_and_releases_are_told(stage: Stage) -> None:
    """Each once, however long it took; a check that is tried again is another one."""
    shop, forge = stage.shop, stage.forge
    shop.runs = [run(1)]
    shop.releases = [{"id": 1, "published_at": "2026-01-01T00:00:00Z"}]
    seen = (await forge.news(SHOP, {})).seen
    shop.runs = [run(3, status="in_progress", conclusion=None), run(2), run(1, updated_at="2026-01-01T00:00:00Z")]
    shop.releases.insert(0, {"id": 2, "tag_name": "v2", "published_at": stamp()})
    found = await forge.news(SHOP, seen)
    (release, published), (check, completed) = sorted(found.told)
    assert (release, published["action"], published["release"]["tag_name"]) == ("release", "published", "v2")
    assert (check, completed["action"], completed["workflow_run"]["id"]) == ("workflow_run", "completed", 2)
    assert completed["workflow"]["name"] == "build"
    told = await forge.news(SHOP, found.seen)
    assert told.told == ()
    shop.runs[1] = run(2, 2)
    again = await forge.news(SHOP, told.seen)
    ((_, retried),) = again.told
    assert meanings([("workflow_run", retried)]) != meanings([("workflow_run", completed)])
    shop.runs = [run(number) for number in range(103, 3, -1)] + shop.runs  # more in one minute than a page holds
    burst = await forge.news(SHOP, again.seen)
    assert [payload["workflow_run"]["id"] for _, payload in burst.told] == [*range(103, 3, -1)]
    shop.runs.insert(0, run(104))
    again = await forge.news(SHOP, burst.seen)
    assert [payload["workflow_run"]["id"] for _, payload in again.told] == [104]
    stage.github.fail(r"GET .*/actions/runs", 403, message="Resource not accessible by personal access token")
    await as_alice(stage.github, "POST", "/issues", title="Prices")
    assert [event for event, _ in (await forge.news(SHOP, again.seen)).told] == ["issues"]


async def test_checks_of_any_app_and_statuses_of_open_heads_are_told(stage: Stage) -> None:
    """As their webhooks would, each once: of pull requests that are open and of the default branch, and of no other."""
    hub, shop, forge = stage.github, stage.shop, stage.forge
    began, main, commit = "2026-01-01T00:00:00Z", await shop.head("main"), stage.commit("a.txt", "a\n")
    ended = {"status": "completed", "conclusion": "failure"}
    check = {"id": 8, "name": "lint", **ended, "completed_at": stamp()}
    old = {"id": 1, "head_sha": main, "head_branch": "main", **ended, "updated_at": began, "runs": []}
    suite = {**old, "id": 7, "head_sha": commit, "head_branch": "handrail/s1", "updated_at": stamp(), "runs": [check]}
    shop.suites = [old, {**old, "id": 2, "head_sha": "d" * 40, "updated_at": stamp()}, suite]
    seen: Any = (await forge.news(SHOP, {})).seen
    seen["checks"]["commits/gone/statuses"] = ["1"]
    said = {"title": "Mend", "body": "", "head": "handrail/s1", "base": "main"}
    await stage.carry(e.PullRequest(SHOP, commit=commit, **said), "k1")  # type: ignore[arg-type]
    before = len(hub.sent)
    await as_alice(hub, "POST", f"/statuses/{commit}", state="error", context="ci/x")
    hub.fail(r"GET .*/check-suites", 403, times=2, message="Resource not accessible by personal access token")
    first = await forge.news(SHOP, seen)
    assert sorted(event for event, _ in first.told) == ["pull_request", "push", "status"]
    assert "commits/gone/statuses" not in str(first.seen)
    (status,) = [payload for event, payload in first.told if event == "status"]
    assert (status["branches"][0]["name"], status["sender"]["login"]) == ("handrail/s1", "alice")
    assert meanings([("status", status)]) == meanings(hub.sent[before:])
    shop.suites[0] |= {"updated_at": stamp(), "conclusion": "timed_out"}
    second = await forge.news(SHOP, first.seen)
    found = sorted((event, str(payload[event]["id"])) for event, payload in second.told)
    assert found == [("check_run", "8"), ("check_suite", "1"), ("check_suite", "7")]
    ((_, run),) = [item for item in second.told if item[0] == "check_run"]
    assert (run["check_run"]["name"], run["check_run"]["check_suite"]["head_branch"]) == ("lint", "handrail/s1")
    calls, same = len(hub.calls), hub.unchanged
    third = await forge.news(SHOP, second.seen)
    assert (third.told, third.seen) == ((), second.seen)
    assert (len(hub.calls) - calls, hub.unchanged - same) == (LISTS + 2, LISTS + 2)


async def test_what_is_told_late_or_again_is_told_once(stage: Stage) -> None:
    """A comment that is edited is told anew, as edited; an item that a replica shows late is still told."""
    hub, forge = stage.github, stage.forge
    seen = (await forge.news(SHOP, {})).seen
    await as_alice(hub, "POST", "/issues", title="Prices")
    await as_alice(hub, "POST", "/issues/1/comments", body="By a lot.")
    await as_alice(hub, "POST", "/issues", title="Other")
    late = stage.shop.texts.pop(1)
    found = await forge.news(SHOP, seen)
    assert [payload["issue"]["number"] for _, payload in found.told] == [2]
    stage.shop.texts[1] = late
    found = await forge.news(SHOP, found.seen)
    assert [(event, payload["action"]) for event, payload in found.told] == [
        ("issues", "opened"),
        ("issue_comment", "created"),
    ]
    comment = late.comments[0]
    comment["body"], comment["updated_at"] = "By a little.", _later(comment["updated_at"])
    late.updated = comment["updated_at"]
    found = await forge.news(SHOP, found.seen)
    assert [(event, payload["action"]) for event, payload in found.told] == [("issue_comment", "edited")]
    assert (await forge.news(SHOP, found.seen)).told == ()


def _later(stamp: str) -> str:
    return (datetime.fromisoformat(stamp) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_the_limits_of_the_forge_are_heeded(stage: Stage) -> None:
    hub, forge = stage.github, stage.forge
    seen = (await forge.news(SHOP, {})).seen
    hub.headers = {"x-ratelimit-remaining": "0", "retry-after": "33"}
    assert (await forge.news(SHOP, seen)).wait == 33.0
    hub.fail(r"GET /repos", 429, headers={"retry-after": "77"})
    with pytest.raises(faults.RateLimited) as error:
        await forge.news(SHOP, seen)
    assert error.value.wait == 77.0
