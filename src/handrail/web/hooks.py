"""Where events come in: `POST /hooks/SOURCE`. The signature is the key, so no token is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from handrail.commands import events
from handrail.commands.desk import Desk
from handrail.commands.events import Taken
from handrail.errors import HandrailError, InvalidInput
from handrail.web.guard import HOOKS
from handrail.web.table import read

LONGEST = 10 << 20
"""bytes of one event: GitHub sends up to 25 MB and cuts its own long lists far below this"""


class TooLarge(HandrailError):
    """A body that no event needs."""

    code = "too_large"
    status = 413
    exit_code = 2


Refused = Callable[[Request, Exception], Awaitable[Response]]


class Front:
    """Takes events in before the application is asked: what comes in bursts passes none of its layers.

    Args:
        desk: the rooms.
        rest: what answers everything else.
        refused: makes an answer of an error.
    """

    def __init__(self, desk: Desk, rest: ASGIApp, refused: Refused) -> None:
        self._desk = desk
        self._rest = rest
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        name = _source(scope)
        if name is None:
            await self._rest(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await _take(self._desk, name, request)
        except Exception as error:  # noqa: BLE001  # the edge of every such request
            answer = await self._refused(request, error)
        await answer(scope, receive, send)


def routes(desk: Desk) -> list[Route]:
    """The route of events, for the table of who may do what, and for methods that it does not take."""

    async def take(request: Request) -> Response:
        return await _take(desk, request.path_params["source"], request)

    return [Route(HOOKS + "{source}", take, methods=["POST"], name="take in an event")]


def _source(scope: Scope) -> str | None:
    """The source that a request is for; None where it is for no source, or posts nothing."""
    if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(HOOKS):
        return None
    name = str(scope["path"][len(HOOKS) :])
    return None if "/" in name else name


async def _take(desk: Desk, source: str, request: Request) -> Response:
    try:
        body = await read(request, LONGEST)
    except InvalidInput as error:
        raise TooLarge(f"This event is too large: send at most {LONGEST >> 20} MiB.") from error
    receipt = await events.take_in(desk, source, dict(request.headers), body)
    if receipt.taken is Taken.REPLIED:
        return JSONResponse(receipt.reply)
    return JSONResponse({"taken": receipt.taken, "id": receipt.id}, 202 if receipt.id else 200)
