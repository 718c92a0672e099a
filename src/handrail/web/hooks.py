"""Where events come in: `POST /hooks/SOURCE`. The signature is the key, so no token is asked for."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

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


def routes(desk: Desk) -> list[Route]:
    """The routes of events."""

    async def take(request: Request) -> Response:
        try:
            body = await read(request, LONGEST)
        except InvalidInput as error:
            raise TooLarge(f"This event is too large: send at most {LONGEST >> 20} MiB.") from error
        receipt = await events.take_in(desk, request.path_params["source"], dict(request.headers), body)
        if receipt.taken is Taken.REPLIED:
            return JSONResponse(receipt.reply)
        return JSONResponse({"taken": receipt.taken, "id": receipt.id}, 202 if receipt.id else 200)

    return [Route(HOOKS + "{source}", take, methods=["POST"], name="take in an event")]
