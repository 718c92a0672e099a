"""The application: the API's table, the pages, and one place where errors become answers."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from handrail.commands.desk import Desk
from handrail.errors import HandrailError
from handrail.lazy import Later
from handrail.web import hooks, problems, roles, static
from handrail.web.api import TABLE
from handrail.web.guard import Guard, Keys
from handrail.web.pages import links, signing, terminal
from handrail.web.pages import routes as pages
from handrail.web.stream import Closing

_openapi = Later("handrail.web.openapi")


def create_app(desk: Desk, token: str, closing: Closing) -> Guard:
    """The server's application, behind its door.

    Args:
        desk: the rooms.
        token: what opens the door over TCP; over the unix socket of `desk.running` it is open.
        closing: told when the server ends, so that streams end.
    """
    keys = Keys(token)
    app = Starlette(
        routes=roles.guarded(
            [
                *hooks.routes(desk),
                *(entry.route(desk) for entry in TABLE),
                *pages.routes(desk, keys),
                *links.routes(desk),
                *signing.routes(desk, keys),
                *terminal.routes(desk),
                *static.routes(),
                Route("/health", _health),
                Route("/openapi.json", _document),
            ],
            desk,
        ),
        exception_handlers={HandrailError: _failed, HTTPException: _failed, Exception: _failed},
    )
    app.router.redirect_slashes = False
    app.state.closing = closing
    # Starlette's outermost layer answers an unforeseen error and raises it again, to be logged: that was done
    return Guard(
        hooks.Front(desk, _Quiet(app), _failed),
        keys=keys,
        roll=desk.roll,
        socket=desk.running.socket,
        host=desk.config.host,
        refuse=_refuse,
    )


class _Quiet:
    """Swallows what Starlette raises again after it was answered and logged."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: object) -> None:
            nonlocal started
            started = True
            await send(message)  # type: ignore[arg-type]  # passed on as it is

        try:
            await self._app(scope, receive, watched)
        except Exception:  # the edge of every request: answered and logged above, unless nothing was sent
            if not started:
                raise


async def _failed(request: Request, error: Exception) -> Response:
    headers = error.headers if isinstance(error, HTTPException) else None
    return answer(request, problems.understood(error), headers)


def answer(request: Request, error: HandrailError, headers: Mapping[str, str] | None = None) -> Response:
    """`error` as what the caller can read: a page for a browser, a problem document for a program."""
    if problems.wants_page(request):
        return pages.refused(request, error)
    return problems.respond(error, headers)


async def _refuse(scope: Scope, receive: Receive, send: Send, error: HandrailError) -> None:
    await answer(Request(scope, receive), error)(scope, receive, send)


async def _health(_: Request) -> Response:
    return JSONResponse({"ok": True})


async def _document(request: Request) -> Response:
    return JSONResponse(_openapi.load().document(TABLE, str(request.base_url).rstrip("/")))
