from __future__ import annotations

import re

import pytest

from handrail.agents import Failure
from handrail.agents.catalogue import get
from handrail.agents.faults import Fault, of_failure, of_rpc, of_text, told
from handrail.agents.spec import ErrorPattern


@pytest.mark.parametrize(
    ("code", "message", "data", "kind"),
    [
        (-32000, "Authentication required", None, "auth"),
        (-32603, "Internal error", {"errorKind": "rate_limit"}, "limit"),
        (-32603, "Internal error", {"errorKind": "server_error"}, "provider"),
        (-32603, "Internal error: scripted wrong", {"errorName": "APIError"}, "provider"),
        (-32603, "Internal error", {"details": "400 malformed"}, "provider"),
        (-32603, "Internal error: 401 wrong key", None, "auth"),
        (-32603, "litellm.RateLimitError: OpenAIException", None, "limit"),
        (401, '{"error":{"code":401,"message":"wrong"}}', None, "auth"),
        (429, "x", None, "limit"),
        (400, "x", None, "provider"),
        (503, "x", None, "provider"),
        (-32601, "Method not found", None, "protocol"),
        (-32603, "Internal error", "it just broke", "agent"),
        (["odd"], "", {"details": ["odd"]}, "agent"),
    ],
)
def test_json_rpc_errors(code: object, message: str, data: object, kind: str) -> None:
    fault = of_rpc(code, message, data)
    assert fault.kind == kind
    assert fault.text


def test_failures_in_meta() -> None:
    assert of_failure(Failure("exceeded retry limit, last status: 429", "service", retrying=False)).kind == "limit"
    assert of_failure(Failure("high demand", "service", retrying=False)).kind == "provider"
    assert of_failure(Failure("You hit it", "limit", retrying=False)).kind == "limit"
    assert of_failure(Failure("Turn failed", "other", retrying=False)).kind == "agent"


RETRY = "\n\nPlease retry if you think this is a transient or recoverable error."
RESEND = "\n\nPlease resend your message to try again."
GOOSE = [
    f"Ran into this error: Request failed: Bad request (400): no.{RETRY}",
    f"half an ansNetwork error: Stream decode error: error decoding response body{RESEND}",
    "The model returned an empty response. Please resend your message to continue.",
]


@pytest.mark.parametrize("said", GOOSE)
def test_goose_tells_errors_as_text(said: str) -> None:
    fault = of_text(said, get("goose").errors)
    assert fault is not None
    assert fault.kind == "provider"
    assert not fault.text.startswith("half")


def test_an_answer_about_errors_is_no_error() -> None:
    said = "I fixed it: the log said 'Ran into this error: Rate limit exceeded (429)', so I added a retry."
    assert of_text(said, get("goose").errors) is None
    assert of_text("429", ()) is None


def test_the_kind_of_a_pattern_is_refined_by_its_words() -> None:
    pattern = ErrorPattern(re.compile("ERR.*"), "provider")
    assert of_text("x ERR odd", [pattern]) == Fault("ERR odd", "provider")
    assert of_text("ERR 429", [pattern]) == Fault("ERR 429", "limit")
    assert of_text("ERR 429", [ErrorPattern(re.compile("ERR.*"), "agent")]) == Fault("ERR 429", "agent")


def test_told() -> None:
    assert told('Internal error: {"error":{"message":"no\\nkey"}}') == "no key"
    assert told('{"error":"no"}') == "no"
    assert told("{not json") == "{not json"
    assert told("Internal error") == "Internal error"
    assert told("") == "no reason given"
