from __future__ import annotations

import json
import time

import httpx2
from msgspec.structs import replace

from handrail.commands import events
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.store import arrivals
from handrail.triggers import Hook, Settings
from handrail.types import Json
from tests.triggers.hooks import SECRET, github, hook, slack
from tests.web.test_views import told

PUSH: Json = {"ref": "refs/heads/main", "after": "abc", "repository": {"full_name": "acme/app"}}


async def source(desk: Desk, name: str = "github", kind: str = "github") -> None:
    await events.set_source(desk, OWNER, name, kind=kind, secret=SECRET, settings=Settings())


async def post(client: httpx2.AsyncClient, given: Hook, name: str = "github") -> httpx2.Response:
    return await client.post(f"/hooks/{name}", content=given.body, headers=dict(given.headers))


async def test_a_signed_event_comes_in_without_a_token_and_from_any_host(
    desk: Desk, stranger: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    await source(desk)
    given = github("push", PUSH)
    headers = dict(given.headers) | {"host": "handrail.example.com"}
    answer = await stranger.post("/hooks/github", content=given.body, headers=headers)
    assert answer.status_code == 202
    page = await told(client, "/events", "ArrivalList")
    assert [row["event"] for row in page["events"]] == ["push"]
    assert page["events"][0]["id"] == answer.json()["id"]
    assert page["events"][0]["state"] == "stored"
    whole = await told(client, "/events/last", "ArrivalWhole")
    assert whole["payload"] == PUSH


async def test_a_delivery_that_comes_again_is_answered_and_not_kept(desk: Desk, stranger: httpx2.AsyncClient) -> None:
    await source(desk)
    answers = [await post(stranger, github("push", PUSH, delivery="d-1")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 200, 200]
    assert answers[1].json() == {"taken": "duplicate", "id": None}
    assert len(await events.listed(desk, OWNER)) == 1


async def test_what_proves_nothing_leaves_no_trace(desk: Desk, stranger: httpx2.AsyncClient) -> None:
    await source(desk)
    answers = [
        await post(stranger, github("push", PUSH, secret="another")),
        await post(stranger, hook(PUSH, {})),
        await post(stranger, github("push", PUSH), "unknown"),
        await post(stranger, github("push", PUSH), "..%2f"),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 404, 404]
    assert answers[0].headers["content-type"] == "application/problem+json"
    assert SECRET not in "".join(answer.text for answer in answers)
    assert await events.listed(desk, OWNER) == []


async def test_a_source_that_is_changed_or_removed_is_so_at_once(desk: Desk, stranger: httpx2.AsyncClient) -> None:
    await source(desk)
    await post(stranger, github("push", PUSH))
    await events.set_source(desk, OWNER, "github", kind="github", secret="another secret", settings=Settings())
    old, new = github("push", PUSH), github("push", PUSH, secret="another secret", delivery="d-2")
    assert [(await post(stranger, given)).status_code for given in (old, new)] == [401, 202]
    row = await arrivals.source(desk.store, "github")
    assert row is not None
    easier = replace(row, settings={**row.settings, "account": "nobody"})  # by whoever can write the database alone
    await arrivals.put_source(desk.store, easier)
    await desk.sources.forget("github")
    answer = await post(stranger, github("push", PUSH, secret="another secret", delivery="d-3"))
    assert (answer.status_code, "set it again" in answer.text) == (422, True)
    await events.remove_source(desk, OWNER, "github")
    assert (await post(stranger, new)).status_code == 404


async def test_a_body_that_is_none_or_too_large_has_one_sentence(desk: Desk, stranger: httpx2.AsyncClient) -> None:
    await source(desk)
    broken = github("push", PUSH)
    answer = await stranger.post("/hooks/github", content=b"x" * (20 << 20), headers=dict(broken.headers))
    assert (answer.status_code, answer.json()["detail"]) == (413, "This event is too large: send at most 10 MiB.")
    await source(desk, "any", "generic")
    answer = await stranger.post("/hooks/any", content=b"[1]", headers={"x-handrail-secret": SECRET})
    assert (answer.status_code, answer.json()["field"]) == (422, "body")
    assert await events.listed(desk, OWNER) == []


async def test_slacks_handshake_is_answered_and_not_kept(desk: Desk, stranger: httpx2.AsyncClient) -> None:
    await source(desk, "slack", "slack")
    body = b'{"type":"url_verification","challenge":"abc"}'
    stamp = int(time.time())
    answer = await post(stranger, slack(body, stamp=stamp), "slack")
    assert (answer.status_code, answer.json()) == (200, {"challenge": "abc"})
    assert await events.listed(desk, OWNER) == []


async def test_only_posting_is_open_to_all(desk: Desk, stranger: httpx2.AsyncClient) -> None:
    await source(desk)
    assert (await stranger.get("/hooks/github")).status_code == 405
    assert (await stranger.get("/api/v1/events")).status_code == 401
    assert (await stranger.get("/hooks/../api/v1/events")).status_code in (401, 404)


async def test_sources_over_the_api(client: httpx2.AsyncClient) -> None:
    body = {"kind": "generic", "secret": SECRET, "header": "X-Sig", "signed": True, "prefix": "sha256="}
    answer = await client.put("/api/v1/sources/ci", json=body)
    assert answer.status_code == 200, answer.text
    assert SECRET not in answer.text
    listed = await told(client, "/sources", "SourceList")
    assert listed["sources"][0]["path"] == "/hooks/ci"
    refused = {
        "kind": (body | {"kind": "bitbucket"}),
        "secret": (body | {"secret": "short"}),
        "header": (body | {"header": "X Sig: "}),
    }
    for field, given in refused.items():
        answer = await client.put("/api/v1/sources/ci2", content=json.dumps(given))
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert '"value":"short"' not in answer.text
    assert (await client.put("/api/v1/sources/Not A Name", json=body)).json()["field"] == "name"
    assert (await client.delete("/api/v1/sources/ci")).json() == {"removed": "ci"}
    assert (await client.delete("/api/v1/sources/ci")).status_code == 404
