"""The page behind a link of a message: it shows what is asked, and answers when its button is pressed.

No cookie is needed, since the link itself is the key to this one answer. Getting the page answers nothing: mail
scanners and chats that follow links do that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from handrail.commands import approvals
from handrail.commands.desk import Desk
from handrail.store.approvals import ApprovalRow
from handrail.web.guard import LINKED
from handrail.web.pages import forms, render
from handrail.web.pages.frame import OUTSIDE
from handrail.web.pages.reading import inside


def routes(desk: Desk) -> list[Route]:
    """The page, and what its button does."""
    return [
        Route(LINKED, _shown(desk), methods=["GET"]),
        Route(LINKED, _answered(desk), methods=["POST"]),
    ]


def _shown(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    async def shown(request: Request) -> Response:
        """What is asked, and one button."""
        token = request.query_params.get("token", "")
        link, row = await approvals.linked(desk, token)
        heading = "Allow this?" if link.decision == "allow" else "Deny this?"
        return await _page(inside(desk, row), heading, token, link.decision)

    return shown


def _answered(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    async def answered(request: Request) -> Response:
        """Answer."""
        form = await forms.fields(request)
        because = form.get("because", "").strip() or None
        row = await approvals.answer_by_link(desk, form.get("token", ""), because=because)
        return await _page(inside(desk, row), "Allowed" if row.decision == "allow" else "Denied", "", "")

    return answered


async def _page(row: ApprovalRow, heading: str, token: str, decision: str) -> Response:
    text = await asyncio.to_thread(
        render.page,
        "answer.html",
        **OUTSIDE,
        here="",
        refresh=None,
        heading=heading,
        asked=row,
        token=token,
        decision=decision,
    )
    return HTMLResponse(text)
