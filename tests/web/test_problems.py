from __future__ import annotations

import json
import math

import pytest
from starlette.exceptions import HTTPException

from handrail.errors import Conflict, HandrailError, InvalidInput, StorageFull
from handrail.web.problems import field_name, problem, respond, shown, understood


@pytest.mark.parametrize("error", [Conflict("no"), StorageFull("full"), HandrailError("broken")])
def test_every_error_of_ours_is_a_problem(error: HandrailError) -> None:
    document = problem(error)
    assert (document["status"], document["code"], document["detail"]) == (error.status, error.code, error.message)
    response = respond(error)
    assert response.media_type == "application/problem+json"
    assert json.loads(bytes(response.body)) == document


@pytest.mark.parametrize("value", ["x" * 10_000, "\ud800", math.nan, math.inf, 10**300, {"a": 1}, None, True, b"\xff"])
def test_a_refused_value_is_told_short_and_as_json(value: object) -> None:
    document = problem(InvalidInput("field", value, "give another"))
    body = json.dumps(document, allow_nan=False).encode()
    assert len(body) < 1000
    assert document["field"] == "field"
    assert document["mend"] == "give another"


def test_shown_keeps_what_json_knows() -> None:
    assert shown(3) == 3
    assert shown(None) is None
    assert shown("x") == "x"


def test_what_nobody_foresaw_is_logged_and_told_in_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    error = understood(ZeroDivisionError("secret detail"))
    assert error.status == 500
    assert "secret" not in error.message
    assert "secret detail" in caplog.text


def test_the_routers_own_refusals() -> None:
    assert problem(understood(HTTPException(404)))["code"] == "not_found"
    assert problem(understood(HTTPException(405)))["status"] == 405


def test_field_names() -> None:
    assert field_name(()) == "body"
    assert field_name(("goal", "checks", 0, "command")) == "goal.checks[0].command"
