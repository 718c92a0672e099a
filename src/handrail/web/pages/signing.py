"""Signing in and out: a link becomes a cookie that scripts cannot read, a new one each time (no session fixation).

The owner's link, which `handrail open` prints, lets in as often as it is opened: it is the token of the data directory.
A member's link lets in once, when its button is pressed: getting the page does nothing, since mail scanners and chats
follow links.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from handrail.commands.desk import Desk
from handrail.identity import YOU
from handrail.identity.roll import SIGNED_IN
from handrail.web.guard import COOKIE, Keys, cookie_of
from handrail.web.pages import forms, render
from handrail.web.pages.frame import OUTSIDE


def routes(desk: Desk, keys: Keys) -> list[Route]:
    """The link's page, its button, and the way out."""
    return [
        Route("/open", _shown(desk, keys), methods=["GET"]),
        Route("/open", _accepted(desk), methods=["POST"]),
        Route("/signout", forms.posted(_left(desk), keys), methods=["POST"]),
    ]


def _shown(desk: Desk, keys: Keys) -> Callable[[Request], Awaitable[Response]]:
    async def shown(request: Request) -> Response:
        """Let the owner in; ask a member to press the button."""
        token = request.query_params.get("token", "")
        if keys.opens(token):
            return await _let_in(desk, request, await desk.roll.sign_in(YOU))
        row = desk.roll.invited(token)
        text = await asyncio.to_thread(
            render.page, "signin.html", **OUTSIDE, here="", refresh=None, member=row, token=token
        )
        return HTMLResponse(text)

    return shown


def _accepted(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    async def accepted(request: Request) -> Response:
        """Use a member's link up."""
        form = await forms.fields(request)
        return await _let_in(desk, request, await desk.roll.accept(form.get("token", "")))

    return accepted


async def _let_in(desk: Desk, request: Request, cookie: str) -> Response:
    await desk.roll.sign_out(cookie_of(request.headers))  # whoever sat here before sits here no longer
    response = RedirectResponse("/", status_code=303)
    age = int(SIGNED_IN.total_seconds())
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", path="/", max_age=age)
    return response


def _left(desk: Desk) -> forms.Act:
    async def left(request: Request, _: forms.Form) -> str:
        """Sign this browser out."""
        await desk.roll.sign_out(cookie_of(request.headers))
        return "/"

    return left
