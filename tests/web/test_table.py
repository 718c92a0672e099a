from __future__ import annotations

import inspect

import httpx2
import pytest
from pydantic import BaseModel

from handrail.errors import InvalidInput
from handrail.web.api import TABLE
from handrail.web.bodies import GoalBody, PromptBody, SessionBody
from handrail.web.table import Entry, parse


def test_json_becomes_a_body() -> None:
    body = parse(GoalBody, b'{"text": "x", "checks": ["a", {"command": "b", "timeout": 3}], "budget_usd": 0.5}')
    spec = body.spec()
    assert spec.checks == (("a", None), ("b", 3.0))
    assert spec.budget_usd is not None
    assert float(spec.budget_usd) == 0.5
    assert parse(GoalBody, b'{"text": "x", "budget_usd": 2}').budget_usd == "2"


@pytest.mark.parametrize(
    ("given", "field", "mend"),
    [
        (b"", "body", "send one JSON object"),
        (b"{", "body", "send one JSON object"),
        (b"[]", "body", "send one JSON object"),
        (b"null", "body", "send one JSON object"),
        (b'{"text": NaN}', "body", "send one JSON object"),
        (b'{"text": "\xff"}', "body", "send valid UTF-8"),
        (b'{"text": ' + b"[" * 100_000, "body", "nest it less deeply"),
        (b'{"text": ' + b"9" * 10_000 + b"}", "body", "send one JSON object"),
        (b"{}", "text", "give this field"),
        (b'{"text": 1}', "text", "give text"),
        (b'{"text": null}', "text", "give text"),
        (b'{"text": "\\ud800"}', "body", "send whole characters"),
        (b'{"\\udfff": 1}', "body", "send whole characters"),
        (b'{"text": "x", "more": 1}', "more", "leave this field out"),
    ],
)
def test_what_is_no_body_names_the_field_and_the_mend(given: bytes, field: str, mend: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(PromptBody, given)
    assert (refused.value.field, refused.value.mend) == (field, mend)


def test_the_place_within_a_body_is_named_as_people_write_it() -> None:
    given = b'{"repository": "/x", "goal": {"text": "x", "checks": ["a", {"command": 3}]}}'
    with pytest.raises(InvalidInput) as refused:
        parse(SessionBody, given)
    assert refused.value.field == "goal.checks[1].command"


def test_an_optional_body_may_be_missing() -> None:
    with pytest.raises(InvalidInput):
        parse(PromptBody, b"", optional=True)
    assert parse(GoalBody, b'{"text": "x"}', optional=True).text == "x"


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: f"{entry.method} {entry.path}")
def test_the_table_tells_the_truth_about_its_handlers(entry: Entry) -> None:
    given = list(inspect.signature(entry.handler).parameters)
    if entry.body is None:
        assert given == ["call"]
    else:
        assert given == ["call", "body"]
        assert entry.handler.__annotations__["body"] == entry.body
        assert issubclass(Entry.model(entry.body), BaseModel)
    assert entry.summary.endswith(".")
    assert entry.summary[0].isupper()


async def test_a_body_of_ten_megabytes_is_one_sentence_and_larger_ones_too(client: httpx2.AsyncClient) -> None:
    long = await client.post("/api/v1/sessions/last/prompts", json={"text": "x" * (10 << 20)})
    assert long.status_code == 422
    assert long.json()["field"] == "prompt"
    assert "at most 1048576 bytes" in long.json()["detail"]
    longer = await client.post("/api/v1/sessions/last/prompts", json={"text": "x" * (20 << 20)})
    assert longer.status_code == 422
    assert longer.json()["field"] == "body"
    assert len(longer.content) < 2000


async def test_a_body_where_none_belongs(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/api/v1/shutdown", content=b"x")).json()["field"] == "body"
    assert (await client.post("/api/v1/shutdown", json={})).status_code == 202


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1", "limit=1e3", "limit=99999", "limit=" + "9" * 50])
async def test_a_query_that_cannot_be(client: httpx2.AsyncClient, query: str) -> None:
    answer = await client.get(f"/api/v1/sessions?{query}")
    assert answer.status_code == 422
    assert answer.json()["field"] == "limit"
