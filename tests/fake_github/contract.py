"""GitHub's published contract: examples to begin an answer with, and the check of both directions."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from tests.fake_github.trim import TRIMMED


@cache
def document() -> dict[str, Any]:
    """The trimmed document."""
    loaded: dict[str, Any] = json.loads(TRIMMED.read_text("utf-8"))
    return loaded


@cache
def _api() -> OpenAPI:
    # the document was checked when it was trimmed; checking it again costs a second
    return OpenAPI.from_dict(document(), config=Config(spec_validator_cls=None))


@cache
def _example_text(path: str, method: str, status: str) -> str:
    answer = _resolved(document()["paths"][path][method]["responses"][status])
    named = answer["content"]["application/json"]["examples"]
    return json.dumps(_resolved(next(iter(named.values())))["value"])


def example(path: str, method: str, status: int, *, repository: str, url: str) -> Any:
    """GitHub's own example of an answer, told of `repository` at `url` instead."""
    text = _example_text(path, method, str(status))
    text = text.replace("https://api.github.com", f"{url}/api/v3").replace("https://github.com", url)
    return json.loads(text.replace("octocat/Hello-World", repository))


def _resolved(value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        _, kind, name = value["$ref"].lstrip("#/").split("/", 2)
        value = document()["components"][kind][name]
    return value


def known(path: str, method: str) -> bool:
    """Whether GitHub has this operation and the double should serve it."""
    return method in document()["paths"].get(path, {})


def documented(path: str, method: str, status: int) -> bool:
    """Whether the operation's document tells of this status."""
    return str(status) in document()["paths"].get(path, {}).get(method, {}).get("responses", {})


class Exchange:
    """One request with its answer, to be checked.

    Args:
        method: in lower case.
        path: as it was asked for, below the API's base.
        query: of the URL.
        body: of the request.
    """

    def __init__(self, method: str, path: str, query: str, body: bytes) -> None:
        self._asked = MockRequest(
            "http://localhost",
            method,
            path,
            args=dict(parse_qsl(query)),
            data=body or None,
            content_type="application/json",
        )

    def wrong_request(self) -> list[str]:
        """What is wrong with the request."""
        return _told(_api().iter_request_errors(self._asked))

    def wrong_answer(self, status: int, body: bytes) -> list[str]:
        """What is wrong with the answer."""
        answer = MockResponse(body or None, status, content_type="application/json")  # type: ignore[arg-type]
        return _told(_api().iter_response_errors(self._asked, answer))


def _told(errors: Any) -> list[str]:
    try:
        return [_cause(error) for error in errors]
    except OpenAPIError as error:
        return [_cause(error)]


def _cause(error: BaseException) -> str:
    inner = error.__cause__ or error.__context__
    details = [
        f"{'/'.join(map(str, item.absolute_path))}: {item.message}"[:300]
        for item in getattr(inner, "schema_errors", ()) or ()
    ]
    return f"{type(error).__name__}: {'; '.join(details) or inner or error}"[:1200]
