"""Forms of pages: read without JavaScript, signed against forgery, answered by going back to the page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from handrail.commands.values import GoalSpec
from handrail.errors import Forbidden, InvalidInput
from handrail.web.guard import Keys
from handrail.web.table import LONGEST_BODY, actor_of, read

MEDIA_TYPE = "application/x-www-form-urlencoded"
_MOST_FIELDS = 50
_DIGITS = 19

Form = Mapping[str, str]
Act = Callable[[Request, Form], Awaitable[str | Response | None]]
"""Does what the form asks; returns where to go, None for where it came from, or a page that is shown once"""


def posted(act: Act, keys: Keys) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that reads a form, checks that it came from one of our pages, acts, and shows the page again.

    A script that posts for a page that is live gets nothing back, or a sentence why not.
    """

    async def endpoint(request: Request) -> Response:
        form = await fields(request)
        if not keys.signed_form(actor_of(request), form.get("csrf", "")):
            raise Forbidden("This form did not come from a page of this server: open the page again and repeat it.")
        where = await act(request, form)
        if isinstance(where, Response):
            return where
        if request.headers.get("hx-request"):  # the page's stream shows what came of it
            return Response(media_type="text/html", headers={"hx-redirect": where} if where else None)
        return RedirectResponse(where or back(form.get("back")), status_code=303)

    return endpoint


def back(given: str | None) -> str:
    """A path of this server to go back to; anything else is the start page."""
    if not given or not given.startswith("/") or given.startswith(("//", "/\\")) or urlsplit(given).netloc:
        return "/"
    return given if given.isascii() and given.isprintable() else "/"


def goal(form: Form) -> GoalSpec | None:
    """The goal that a form words: its checks stand one a line. None without checks and limits."""
    checks = tuple((line.strip(), None) for line in form.get("checks", "").splitlines() if line.strip())
    budget = form.get("budget_usd", "").strip() or None
    turns = whole("turns", form.get("turns", ""))
    if not checks and budget is None and turns is None:
        return None
    return GoalSpec(form.get("text", ""), checks, turns, budget)


def whole(name: str, given: str) -> int | None:
    """A whole number that a field holds; None where it is empty.

    Raises:
        InvalidInput: it is none.
    """
    given = given.strip()
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < _DIGITS):
        raise InvalidInput(name, given, "give a whole number")
    return int(given)


async def fields(request: Request) -> Form:
    """The fields of a form.

    Raises:
        InvalidInput: the body is no form.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != MEDIA_TYPE:
        raise InvalidInput("Content-Type", media, f"send {MEDIA_TYPE}")
    given = await read(request, LONGEST_BODY)
    try:
        found = parse_qsl(given.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:  # UnicodeDecodeError is one
        raise InvalidInput("form", given[:80], "send fields in UTF-8") from error
    # browsers send line ends as CR LF, https://html.spec.whatwg.org/multipage/form-control-infrastructure.html
    return {name: value.replace("\r\n", "\n") for name, value in found}
