from __future__ import annotations

import json
import random
from collections.abc import Iterator

import httpx2
import pytest

from handrail.commands import sessions
from handrail.commands.desk import Desk
from handrail.errors import StorageFull
from handrail.web.answers import Problem
from handrail.web.api import TABLE
from handrail.web.table import PREFIX, Entry
from tests.commands.desks import Stops, ask, begin

HARMLESS = {"/shutdown", "/agents/{name}/install", "/agents/{name}/check"}
"""routes that a fuzz test must not really reach"""
VALUES: list[object] = [
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    1e308,
    "",
    " ",
    "x",
    "allow",
    "branch",
    "none",
    "/",
    "/proc/self/mem",
    "\x00",
    "\ud800",
    "../../etc",
    "-rf",
    "é" * 300,
    [],
    [[]],
    {},
    {"a": {}},
    ["x", 1, None],
    {"text": "x", "checks": [{}]},
    {"text": "x", "turns": "1"},
]


async def test_unknown_addresses_and_methods_are_problems(client: httpx2.AsyncClient) -> None:
    missing = await client.get("/api/v1/nothing")
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"
    wrong = await client.put("/api/v1/sessions")
    assert wrong.status_code == 405
    assert "POST" in wrong.headers["allow"] or "GET" in wrong.headers["allow"]
    Problem.model_validate_json(wrong.content)


async def test_a_person_gets_a_page_where_a_program_gets_a_problem(client: httpx2.AsyncClient) -> None:
    page = await client.get("/sessions/none", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "there is no session" in page.text
    api = await client.get("/api/v1/sessions/none", headers={"accept": "text/html"})
    assert api.headers["content-type"] == "application/problem+json"


async def test_what_breaks_is_one_sentence_and_the_log_has_the_rest(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a detail for the log")

    monkeypatch.setattr(sessions, "show", broken)
    answer = await client.get("/api/v1/sessions/last")
    assert answer.status_code == 500
    assert Problem.model_validate_json(answer.content).code == "internal"
    assert "detail for the log" not in answer.text
    assert "detail for the log" in caplog.text

    async def full(*_: object, **__: object) -> None:
        raise StorageFull("no room is left")

    monkeypatch.setattr(sessions, "show", full)
    assert (await client.get("/api/v1/sessions/last")).status_code == 507


async def test_shutdown_is_answered_before_it_happens(client: httpx2.AsyncClient, stops: Stops) -> None:
    answer = await client.post("/api/v1/shutdown")
    assert (answer.status_code, stops.count) == (202, 1)


def _bodies(seed: int) -> Iterator[object]:
    """Bodies of every field that any route knows, each with a value that may not belong there."""
    chance = random.Random(seed)  # noqa: S311  # the same bodies at every run
    fields = sorted({name for entry in TABLE if entry.body for name in Entry.model(entry.body).model_fields})
    yield from VALUES
    for _ in range(60):
        chosen = chance.sample(fields, chance.randint(1, 5))
        yield {name: chance.choice(VALUES) for name in chosen}


async def test_no_bad_body_breaks_the_server(desk: Desk, client: httpx2.AsyncClient) -> None:
    asked = await ask(desk, await begin(desk))
    known = {"{id}": "last", "{prompt}": "p-1", "{name}": "work"}
    for number, entry in enumerate(entry for entry in TABLE if entry.body is not None and entry.path not in HARMLESS):
        path = entry.path.replace("{id}", asked) if entry.path.startswith("/approvals") else entry.path
        for part, value in known.items():
            path = path.replace(part, value)
        for body in _bodies(number):
            answer = await client.request(entry.method, PREFIX + path, content=json.dumps(body))
            assert answer.status_code != 500, (entry.path, body, answer.text)
            if answer.is_error:
                problem = Problem.model_validate_json(answer.content)
                assert "\n" not in problem.detail.strip(), (entry.path, body)


async def test_no_bad_address_breaks_the_server(client: httpx2.AsyncClient) -> None:
    for part in ("%00", "%2e%2e", "%ff%fe", "x" * 5000, "%", "last%0a", "'; drop table sessions; --", "_", "%25"):
        for path in (f"/api/v1/sessions/{part}", f"/sessions/{part}", f"/api/v1/approvals/{part}", f"/{part}"):
            assert (await client.get(path)).status_code in {400, 404, 405, 422}, path
