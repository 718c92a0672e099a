"""kill -9 of the server between a forge's acceptance of an act and our record of it: each act is there once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from handrail.automation import EffectKind, EffectState
from handrail.store import effects
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.types import EffectId, Json
from handrail.workspaces.layout import results_of
from tests.commands.desks import begin_in, proposed_in
from tests.fake_github import FakeGitHub, Repository
from tests.forges.conftest import sh
from tests.notify.servers import hook
from tests.whole.house import House

LOST = (
    r"POST .*/git-receive-pack", r"POST .*/pulls$", r"POST .*/issues/\d+/comments", r"POST .*/reviews",
    r"POST .*/labels", r"POST .*/statuses/", r"PUT .*/merge", r"POST .*/issues$",
)  # fmt: skip
"""the call of each act, whose answer does not come before the server is dead"""
INSIDE = {EffectKind.MESSAGE, EffectKind.WEBHOOK, EffectKind.REPORT}


async def bodies(shop: Repository, source: Path) -> dict[EffectKind, Json]:
    """One effect of each kind there is."""
    for branch in ("feature", "ready", "proposal"):
        sh("git", "branch", branch, "main", cwd=shop.path)
    await shop.commit("feature", {"f.txt": "f\n"}, "Feature")
    await shop.commit("ready", {"r.txt": "r\n"}, "Ready")
    feature, ready = await shop.head("feature"), await shop.head("ready")
    talked = shop.add("Talked of", "", "alice", head="feature", base="main", head_sha=feature)
    merged = shop.add("Ready", "", "alice", head="ready", base="main", head_sha=ready)
    await shop.commit("proposal", {"p.txt": "p\n"}, "Proposal")
    source.parent.mkdir(parents=True, exist_ok=True)
    sh("git", "clone", "-q", "--bare", str(shop.path), str(source), cwd=source.parent)
    who, tree = ("-c", "user.name=H", "-c", "user.email=h@x"), sh("git", "rev-parse", "main^{tree}", cwd=source)
    commit = sh("git", *who, "commit-tree", tree, "-p", "main", "-m", "Work", cwd=source)
    at: Json = {"repository": shop.name}
    proposal: Json = {"head": "proposal", "commit": await shop.head("proposal")}
    said: Json = {"channel": "ops", "title": "Done", "text": "All of it"}
    return {
        EffectKind.PUSH: at | {"branch": "pushed", "commit": commit},
        EffectKind.PULL_REQUEST: at | proposal | {"base": "main", "title": "Proposal"},
        EffectKind.COMMENT: at | {"number": talked.number, "body": "Once."},
        EffectKind.REVIEW: at | {
            "number": talked.number, "commit": feature, "body": "Good",
            "comments": [{"path": "f.txt", "line": 1, "body": "Here"}],
        },
        EffectKind.LABEL: at | {"number": talked.number, "add": ["seen"]},
        EffectKind.STATUS: at | {"commit": feature, "context": "handrail", "state": "success"},
        EffectKind.MERGE: at | {"number": merged.number, "head": ready},
        EffectKind.ISSUE: at | {"title": "Prices", "body": "Look"},
        EffectKind.MESSAGE: said,
        EffectKind.WEBHOOK: said,
        EffectKind.REPORT: {"title": "Report", "body": "All of it"},
    }  # fmt: skip


async def world(shop: Repository) -> dict[EffectKind, int]:
    """How often each act is there."""
    texts = list(shop.texts.values())
    return {
        EffectKind.PUSH: list(await shop.heads()).count("pushed"),
        EffectKind.PULL_REQUEST: sum(text.title == "Proposal" for text in texts),
        EffectKind.COMMENT: sum(len(text.comments) for text in texts),
        EffectKind.REVIEW: sum(len(text.reviews) for text in texts),
        EffectKind.LABEL: sum(len(text.labels) for text in texts),
        EffectKind.STATUS: sum(map(len, shop.statuses.values())),
        EffectKind.MERGE: sum(text.merged is not None for text in texts),
        EffectKind.ISSUE: sum(text.title == "Prices" for text in texts),
    }


async def accepted(shop: Repository) -> None:
    """Wait until the forge has taken each act."""
    for _ in range(600):
        if set((await world(shop)).values()) == {1}:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(await world(shop))


async def carried(store: Store, count: int) -> list[EffectRow]:
    """All effects, once so many are carried out."""
    async with asyncio.timeout(90):
        while True:
            rows = await effects.of_sessions(store, [SESSION])
            if sum(row.state is EffectState.CARRIED for row in rows) >= count:
                return rows
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_each_kind_of_effect_is_carried_out_once_though_the_server_dies_over_all_of_them(
    house: House, github: FakeGitHub
) -> None:
    shop = await github.create("acme/shop", {"README.md": "shop\n"})
    async with hook() as far:
        house.data.mkdir(parents=True)
        (house.data / "notify.toml").write_text(
            f'[ops]\nkind = "webhook"\nurl = "{far.url}"\nsecret = "whsec_{"a" * 32}"\n'
        )
        forge = ("forges", "set", "hub", "--kind", "github", "--url", github.url, "--token-stdin")
        await asyncio.to_thread(house.run, *forge, stdin=github.token.encode())
        given = await bodies(shop, results_of(house.data, "project-1"))
        async with await Store.open(house.data / "handrail.db") as store:
            session = await begin_in(store, SESSION)
            for kind, body in given.items():
                of = {"forge": None if kind in INSIDE else "hub"}
                await proposed_in(store, kind, body, session, **of)
            inbox = await asyncio.to_thread(house.json, "inbox")
            assert {item["kind"] for item in inbox["effects"]} == set(given)
            for call in LOST:
                github.fail(call, 0, times=1, after=True, delay=120)
            approving = [asyncio.create_task(approve(house, EffectId(f"f-{kind}"))) for kind in given]
            await accepted(shop)
            await carried(store, len(INSIDE))
            before = house.server()
            house.kill(before)
            await asyncio.gather(*approving)
            await asyncio.to_thread(house.ready, but=before)
            rows = await carried(store, len(given))
    assert await world(shop) == dict.fromkeys(await world(shop), 1)
    assert all(fault.seen == 1 for fault in github.faults)
    found = {row.kind: (row.receipt or {}).get("found") for row in rows if row.kind not in INSIDE}
    assert found == {kind: kind is not EffectKind.LABEL for kind in found}  # a label that is set is set again
    heard = [json.loads(got.body) for got in far.got]
    assert [message["data"]["facts"]["text"] for message in heard] == ["All of it"] * 2  # a message and a webhook


SESSION: Any = "s-alice"


async def approve(house: House, effect: EffectId) -> None:
    """A person's yes, whose answer is lost with the server."""
    address = house.address()
    headers = {"authorization": f"Bearer {address['token']}"}
    url = f"{address['url']}/api/v1/effects/{effect}"
    async with httpx2.AsyncClient(headers=headers, timeout=120, trust_env=False) as client:
        try:
            await client.post(url, json={"decision": "approve"})
        except httpx2.TransportError:
            return
