"""The HTTP API as a table: an `Entry` a route says all there is to know of it, for the router and for OpenAPI.

Why not FastAPI: it costs 0.3 s and 8 MB at start to find out what this table says in words, and a server must be
ready in a second. Bodies are still pydantic models, loaded when the first one comes; the OpenAPI document is made from
the same entries (`openapi`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from handrail.commands.actor import Actor
from handrail.commands.desk import Desk
from handrail.errors import InvalidInput
from handrail.lazy import Later

if TYPE_CHECKING:
    from handrail.web import bodies
    from handrail.web.bodies import Body, Given
else:
    bodies = Later("handrail.web.bodies")

PREFIX = "/api/v1"
LONGEST_BODY = 16 << 20
"""bytes of a request's body that are read; what one field may hold is less and checked by the command"""
_DRAINED = 64 << 20


class Call(Struct, frozen=True):
    """One request as a handler sees it."""

    desk: Desk
    actor: Actor
    request: Request

    def path(self, name: str) -> str:
        """A part of the address."""
        return str(self.request.path_params[name])

    def text(self, name: str) -> str | None:
        """A query parameter, None where it is missing or empty."""
        return self.request.query_params.get(name) or None

    def number(self, name: str, default: int, *, least: int = 0, most: int = 1 << 53) -> int:
        """A whole number from the query, between `least` and `most`."""
        given = self.text(name)
        if given is None:
            return default
        mend = f"give a whole number from {least} to {most}"
        if not (given.isascii() and given.isdigit() and len(given) < 20 and least <= int(given) <= most):
            raise InvalidInput(name, given, mend)
        return int(given)

    def flag(self, name: str) -> bool | None:
        """Whether the query says `true`; None where it says nothing."""
        given = self.text(name)
        if given is None:
            return None
        if given not in {"true", "false"}:
            raise InvalidInput(name, given, "give true or false")
        return given == "true"


Handler = Callable[..., Awaitable[object]]
"""Takes the Call, and the Body where the entry names one; answers JSON values, or a Response of its own."""


class Query(Struct, frozen=True):
    """A query parameter, for the document."""

    name: str
    type: str
    means: str


class Entry(Struct, frozen=True):
    """One route.

    `body` names a model of `web.bodies`, `answer` one of `web.answers`; `problems` are the statuses beyond 403, 422 and
    500.
    """

    method: str
    path: str
    tag: str
    summary: str
    handler: Handler
    answer: str
    body: str | None = None
    body_optional: bool = False
    status: int = 200
    query: tuple[Query, ...] = ()
    problems: tuple[int, ...] = ()

    @staticmethod
    def model(body: str) -> type[Given]:
        """The model that `body` names."""
        found: type[Given] = getattr(bodies, body)
        return found

    def route(self, desk: Desk) -> Route:
        """The entry as a route of `desk`."""

        async def endpoint(request: Request) -> Response:
            call = Call(desk, actor_of(request), request)
            if self.body is None:
                await read_nothing(request)
                answer = await self.handler(call)
            else:
                given = await read(request, LONGEST_BODY)
                answer = await self.handler(call, parse(self.model(self.body), given, optional=self.body_optional))
            return answer if isinstance(answer, Response) else reply(answer, self.status)

        return Route(PREFIX + self.path, endpoint, methods=[self.method], name=f"{self.method} {self.path}")


def actor_of(request: Request) -> Actor:
    """Who asks, as the guard found."""
    actor: Actor = request.scope["handrail.actor"]
    return actor


def reply(answer: object, status: int = 200) -> Response:
    """`answer` as JSON. Text that is no valid Unicode is made so: it came from outside, through the log."""
    body = json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(body, status, media_type="application/json")


async def read(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes of it.

    What is too long is still taken from the wire (to a bound) and thrown away, so that the caller gets to read the
    answer instead of a broken pipe.

    Raises:
        InvalidInput: there is more.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size <= limit:
                parts.append(part)
            elif size > _DRAINED:
                break
    except ClientDisconnect as error:
        raise InvalidInput("body", f"{size} bytes", "send it whole") from error
    if size > limit:
        raise InvalidInput("body", f"{size} bytes", f"send at most {limit} bytes")
    return b"".join(parts)


async def read_nothing(request: Request) -> None:
    """Read a body that should not be there; an empty object is as good as none.

    Raises:
        InvalidInput: it says something.
    """
    given = (await read(request, 1024)).strip()
    if given not in {b"", b"{}"}:
        raise InvalidInput("body", given[:80].decode("utf-8", "replace"), "send no body here")


def parse(model: type[Body], given: bytes, *, optional: bool = False) -> Body:
    """`given` as a `model`.

    Raises:
        InvalidInput: it is no JSON, or not of that shape; the first thing that is wrong is named.
    """
    if optional and not given.strip():
        given = b"{}"
    try:
        value = json.loads(given.decode("utf-8"), parse_constant=_refuse_constant)
        if b"\\u" in given:  # the one way in which JSON in UTF-8 says what no UTF-8 can
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("body", "a lone surrogate", "send whole characters") from error
    except UnicodeDecodeError as error:
        raise InvalidInput("body", given[max(0, error.start - 8) : error.start + 8], "send valid UTF-8") from error
    except RecursionError as error:
        raise InvalidInput("body", "[[[…", "nest it less deeply") from error
    except ValueError as error:
        raise InvalidInput("body", given[:80].decode("utf-8", "replace"), "send one JSON object") from error
    if not isinstance(value, dict):
        raise InvalidInput("body", value, "send one JSON object")
    return bodies.validated(model, value)


def _refuse_constant(name: str) -> float:
    message = f"{name} is no JSON"
    raise ValueError(message)
