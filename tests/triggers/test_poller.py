"""The poller on a real store, asking a GitHub double by the real client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from handrail.automation import ArrivalState, EffectKind, EffectState, Trust
from handrail.errors import StorageFull
from handrail.forges import ForgeKind, News
from handrail.forges.effects import marked
from handrail.forges.github import GitHub, Token
from handrail.forges.http import client
from handrail.notify import Notice
from handrail.store import arrivals, effects, workflows
from handrail.store import polls as rows
from handrail.store.arrivals import ArrivalRow
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.polls import PollRow
from handrail.store.workflows import WorkflowRow
from handrail.triggers import Settings
from handrail.triggers import poller as module
from handrail.triggers.dispatch import Dispatcher, Listener
from handrail.triggers.poller import LEASE, Poller
from handrail.triggers.receive import arrival
from handrail.triggers.senders import github
from handrail.types import EffectId, Json, RunId, now
from tests.fake_github import FakeGitHub, Repository
from tests.fake_github.repository import stamp

SHOP = "acme/shop"
EVERY = 60.0


@dataclass
class Post:
    """A shop on the double that is polled, and a clock that a test sets."""

    hub: FakeGitHub
    shop: Repository
    forge: GitHub
    store: Store
    at: datetime = field(default_factory=now)
    asked: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    stuck: asyncio.Event | None = None

    async def news(self, source: str, repository: str, seen: Json) -> News:
        assert source == "hub"
        self.asked += 1
        self.begun.set()
        if self.stuck is not None:
            await self.stuck.wait()
        return await self.forge.news(repository, seen)

    async def settings(self, source: str) -> Settings:
        return Settings(account=f"{source}-bot")

    def poller(self) -> Poller:
        return Poller(self.store, self, lambda: None, lambda: self.at)

    async def look(self) -> PollRow:
        await self.poller().look()
        (row,) = await rows.everything(self.store)
        return row

    def opened(self, title: str) -> Json:
        """Somebody opens an issue; gives what a webhook tells of it."""
        text = self.shop.add(title, "please", "alice")
        issue = {"number": text.number, "title": title}
        return {"action": "opened", "issue": issue, "repository": {"full_name": SHOP}, "sender": {"login": "alice"}}

    async def kept(self) -> list[tuple[str, ArrivalState]]:
        return [(f"{row.event}.{row.action}", row.state) for row in await arrivals.newest(self.store)]

    async def trust(self, told: list[Notice]) -> Trust:
        """Look, work off what came, and give what is left of the trust in `nightly`."""
        self.at += timedelta(seconds=EVERY)
        await self.look()

        def tell(notice: Notice, _key: str, _to: tuple[str, ...]) -> tuple[Write, ...]:
            told.append(notice)
            return ()

        async def nobody() -> Sequence[Listener]:
            return []

        async def start(_workflow: str, _row: ArrivalRow) -> RunId:
            raise AssertionError

        while await Dispatcher(self.store, nobody, start, tell).work_off():
            pass
        return (await workflows.get(self.store, "nightly")).trust


class Lab(Post):
    """What a GitLab would tell."""

    async def news(self, source: str, repository: str, seen: Json) -> News:
        about = {"id": 5, "iid": 2, "action": "open", "title": "Prices"}
        told: Json = {
            "object_kind": "issue",
            "object_attributes": about,
            "project": {"path_with_namespace": repository},
        }
        return News((("issue", told),), {**seen, "began": source}, None, ForgeKind.GITLAB)


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    async with (
        FakeGitHub(tmp_path / "github") as hub,
        client() as http,
        await Store.open(tmp_path / "h.sqlite") as store,
    ):
        shop = await hub.create(SHOP)
        made = Post(hub, shop, GitHub(http, hub.url, Token(hub.token)), store)
        row = PollRow(source="hub", repository=SHOP, every=EVERY, due=made.at, seen={}, created=made.at)
        await store.log.write(*rows.replace("hub", [row], []))
        await made.look()
        yield made
    assert hub.violations == []


async def test_news_become_events_once(post: Post) -> None:
    post.opened("Prices")
    row = await post.look()
    assert post.asked == 1, "it is not due yet"
    assert row.due == post.at + timedelta(seconds=EVERY)
    post.at += timedelta(seconds=EVERY)
    await asyncio.gather(*(post.poller().look() for _ in range(3)))
    assert post.asked == 2, "of several servers one alone looks"
    assert await post.kept() == [("issues.opened", ArrivalState.STORED)]
    post.at += timedelta(seconds=EVERY)
    await post.look()
    assert len(await post.kept()) == 1


@pytest.mark.parametrize("webhook_first", [True, False])
async def test_a_webhook_and_a_poll_are_one_event(post: Post, *, webhook_first: bool) -> None:
    told = github.message("issues", post.opened("Prices"), "a-guid")

    async def webhook() -> None:
        await post.store.log.write(guard=arrivals.put(arrival("hub", told, post.at, Settings()), told.window))

    post.at += timedelta(seconds=EVERY)
    if webhook_first:
        await webhook()
    await post.look()
    if not webhook_first:
        await webhook()
    states = sorted(state for _, state in await post.kept())
    assert states == [ArrivalState.IGNORED, ArrivalState.STORED]


async def test_a_server_that_dies_or_dawdles_in_a_look_loses_and_doubles_nothing(post: Post) -> None:
    post.opened("Prices")
    post.at += timedelta(seconds=EVERY)
    post.stuck = stuck = asyncio.Event()
    post.begun.clear()
    dying = asyncio.create_task(post.poller().look())
    await post.begun.wait()
    post.stuck = None
    await post.look()
    assert await post.kept() == [], "the look belongs to another server"
    post.at += LEASE
    row = await post.look()
    assert await post.kept() == [("issues.opened", ArrivalState.STORED)]
    stuck.set()
    await dying
    assert (await rows.everything(post.store)) == [row], "a look that was overtaken writes nothing"
    assert len(await post.kept()) == 1


async def test_a_forge_that_fails_is_asked_less_and_less_and_told_of(post: Post) -> None:
    fault = post.hub.fail("GET", 500)
    pauses = []
    for _ in range(8):
        post.at = (await rows.everything(post.store))[0].due
        row = await post.look()
        pauses.append((row.due - post.at).total_seconds())
    assert pauses == [120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert (row.failures, row.error and "the forge answered 500" in row.error) == (8, True)
    post.hub.faults.remove(fault)
    post.hub.fail("GET", 429, times=1, headers={"retry-after": "9000"})
    post.at = row.due
    row = await post.look()
    assert (row.due - post.at).total_seconds() == 9000
    post.opened("Prices")
    post.at = row.due
    row = await post.look()
    assert (row.failures, row.error, row.looked) == (0, None, post.at)
    assert await post.kept() == [("issues.opened", ArrivalState.STORED)]
    post.hub.headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(now().timestamp()) + 500)}
    post.at = row.due
    row = await post.look()
    assert (row.due - post.at).total_seconds() > 490, "a spent limit is heeded before the forge refuses"


async def test_what_a_poll_finds_to_have_become_of_a_delivery_lowers_its_workflow_and_a_person_is_told(
    post: Post,
) -> None:
    """From the forge's API to the trust of the workflow and the words for people, with no webhook on the way."""
    commit = await post.shop.commit("handrail/nightly", {"a.txt": "a\n"}, "Work")
    row = WorkflowRow(name="nightly", source="file", origin=None, version="0", enabled=True, trust=Trust.SAMPLED,
                      created=post.at, updated=post.at)  # fmt: skip
    body: Json = {"repository": SHOP, "head": "handrail/nightly", "commit": commit}
    effect = EffectRow(id=EffectId("f-1"), key="f-1", kind=EffectKind.PULL_REQUEST, target=SHOP, body=body,
                       by="workflow", created=post.at, workflow="nightly", state=EffectState.CARRIED,
                       carried=post.at)  # fmt: skip
    await post.store.log.write(effects.propose(effect), guard=workflows.insert(row))
    check: Json = {"status": "completed", "name": "build", "run_attempt": 1, "updated_at": stamp()}
    post.shop.runs = [
        {**check, "id": 2, "conclusion": "success", "head_sha": commit, "head_branch": "handrail/nightly"},
        {**check, "id": 1, "conclusion": "failure", "head_sha": "d" * 40, "head_branch": "main"},
    ]
    told: list[Notice] = []
    assert (await post.trust(told), told) == (Trust.SAMPLED, [])
    failed = {**check, "id": 2, "run_attempt": 2, "conclusion": "failure", "updated_at": stamp()}
    post.shop.runs[0] |= failed
    assert await post.trust(told) is Trust.SUPERVISED
    (notice,) = told
    assert notice.detail == f"build failed in {SHOP} on what it had delivered: it is supervised from now on"
    assert (await post.trust(told), len(told)) == (Trust.SUPERVISED, 1), "once"

    pulls = [
        post.shop.add("Work", marked("", key), "hub-bot", head="handrail/nightly", base="main", head_sha=commit)
        for key in ("f-2", "f-3")
    ]
    for pull in pulls:
        receipt: Json = {"url": f"{post.hub.url}/{SHOP}/pull/{pull.number}"}
        name = EffectId(f"f-{pull.number + 1}")
        await post.store.log.write(effects.propose(replace(effect, id=name, key=name, receipt=receipt)))
    assert (await post.trust(told), len(told)) == (Trust.SUPERVISED, 1)
    pulls[0].merged = commit
    for pull in pulls:  # by the person whose token is used: it bears our mark, and closing it is their act
        post.shop.touch(pull, "closed", "hub-bot")
    assert await post.trust(told) is Trust.SHADOW
    assert [notice.detail for notice in told[1:]] == [f"hub-bot closed {SHOP}#2 unmerged: it is shadow from now on"], (
        "a merged one is an accepted result"
    )
    assert [(await effects.get(post.store, EffectId(f"f-{at}"))).cause for at in (2, 3)] == [None, "closed_unmerged"]
    post.shop.touch(pulls[1], "reopened", "alice")
    post.shop.touch(pulls[1], "closed", "alice")
    assert (await post.trust(told), len(told)) == (Trust.SHADOW, 2), "once"


async def test_a_full_disk_ends_no_poller(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [StorageFull("no room is left")]
    claim = rows.claim

    def full(*given: Any) -> Any:
        if faults:
            raise faults.pop()
        return claim(*given)

    monkeypatch.setattr(rows, "claim", full)
    monkeypatch.setattr(module, "RETRY", 0.01)
    post.opened("Prices")
    post.at += timedelta(seconds=EVERY)
    poller = post.poller()
    await poller.start()
    async with asyncio.timeout(20):
        while not await post.kept():  # noqa: ASYNC110 - the poller writes it
            await asyncio.sleep(0.01)
    await poller.stop()
    assert faults == []


async def test_pushes_of_our_own_start_nothing(post: Post) -> None:
    await post.shop.commit("handrail/s1", {"a.txt": "a\n"}, "Work")
    await post.shop.commit("feature", {"b.txt": "b\n"}, "Work of others")
    post.at += timedelta(seconds=EVERY)
    await post.look()
    found = {str(row.payload["ref"]): row.state for row in await arrivals.newest(post.store)}
    assert found == {"refs/heads/handrail/s1": ArrivalState.IGNORED, "refs/heads/feature": ArrivalState.STORED}


async def test_news_are_read_as_the_webhooks_of_their_forge_are(post: Post) -> None:
    lab = Lab(post.hub, post.shop, post.forge, post.store, post.at + timedelta(seconds=EVERY))
    await lab.look()
    assert await lab.kept() == [("issues.opened", ArrivalState.STORED)]
