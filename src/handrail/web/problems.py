"""Errors as `application/problem+json` (RFC 9457) or as a page: one sentence for a person, never a traceback."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from handrail.errors import ForgeError, HandrailError, InvalidInput, NotFound

LOG = logging.getLogger("handrail.web")
MEDIA_TYPE = "application/problem+json"

_WORDS = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
}


class UnknownFailure(HandrailError):
    """Something broke that nobody foresaw; the log of the server has the traceback."""

    code = "internal"


def problem(error: HandrailError) -> dict[str, object]:
    """The members of the problem document for `error`."""
    status = HTTPStatus(error.status)
    document: dict[str, object] = {
        "type": f"urn:handrail:problem:{error.code}",
        "title": status.phrase,
        "status": status.value,
        "detail": error.message,
        "code": error.code,
    }
    if isinstance(error, InvalidInput):
        document |= {"field": error.field, "value": shown(error.value), "mend": error.mend}
    if isinstance(error, ForgeError):
        document["cause"] = error.cause
    return document


def respond(error: HandrailError, headers: Mapping[str, str] | None = None) -> Response:
    """The problem document as a response."""
    body = json.dumps(problem(error), ensure_ascii=False).encode("utf-8", "replace")
    if error.status == HTTPStatus.UNAUTHORIZED:  # https://www.rfc-editor.org/rfc/rfc9110#name-401-unauthorized
        headers = {"www-authenticate": "Bearer", **(headers or {})}
    return Response(body, error.status, headers, media_type=MEDIA_TYPE)


def understood(error: Exception) -> HandrailError:
    """`error` as one of ours. What is unknown is logged with its traceback and told as one sentence."""
    if isinstance(error, HandrailError):
        return error
    if isinstance(error, HTTPException):
        return _Http(error)
    LOG.error("a request failed in a way that nobody foresaw", exc_info=error)
    return UnknownFailure("Something broke inside the server; its log says what.")


def wants_page(request: Request) -> bool:
    """Whether a person's browser asked, for a page rather than for JSON."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def shown(value: object, limit: int = 200) -> object:
    """`value` as JSON takes it, shortened: a problem document never returns what made the request too large."""
    if value is None or isinstance(value, bool | int | float):
        text = json.dumps(value)
        return value if len(text) <= limit and text not in {"NaN", "Infinity", "-Infinity"} else text[:limit]
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def field_name(location: Sequence[str | int]) -> str:
    """A pydantic error's location as people write it: `goal.checks[0].command`."""
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name or "body"


class _Http(HandrailError):
    """Starlette's own refusals (no such route, no such method)."""

    def __init__(self, error: HTTPException) -> None:
        super().__init__(_WORDS.get(error.status_code, error.detail))
        self.status = error.status_code  # type: ignore[misc]  # the one error whose status is the router's
        self.code = NotFound.code if error.status_code == HTTPStatus.NOT_FOUND else "http"  # type: ignore[misc]
