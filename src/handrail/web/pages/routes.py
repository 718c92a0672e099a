"""The addresses of the pages and of what their forms do. Each page is a document; none of them needs a script."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from handrail.commands import sessions
from handrail.commands.desk import Desk
from handrail.errors import HandrailError
from handrail.web.guard import Keys
from handrail.web.pages import forms, live, patterns, render
from handrail.web.pages.acts import Acts
from handrail.web.pages.admin import Admin
from handrail.web.pages.automation import Automation
from handrail.web.pages.beside import Beside
from handrail.web.pages.deeds import Deeds
from handrail.web.pages.frame import EMPTY, OUTSIDE
from handrail.web.pages.promoting import Promoting
from handrail.web.pages.reading import Pages
from handrail.web.table import actor_of

Endpoint = Callable[[Request], Awaitable[Response]]

_TITLES = {401: "Sign in first", 403: "Not yours to do", 404: "Not found", 409: "Not now", 422: "That cannot be used"}


def routes(desk: Desk, keys: Keys) -> list[Route]:
    """The routes of all pages."""
    pages = Pages(desk, keys)
    acts, rails = Acts(desk), live.Rails(desk)
    beside, promoting = Beside(desk, keys), Promoting(desk, keys)
    both = partial(_both, desk)

    def post(path: str, act: forms.Act) -> Route:
        return _post(path, act, keys)

    async def session_stream(request: Request) -> Response:
        return await live.session(desk, rails, keys.form_of(actor_of(request)), request)

    async def list_stream(request: Request) -> Response:
        return await live.lists(desk, rails, keys.form_of(actor_of(request)), request)

    return [
        _get("/", _dated(desk, pages.index)),
        _get("/live", list_stream),
        *both("/inbox", pages.inbox),
        *both("/sessions", pages.index),
        *both("/spend", pages.spend),
        _get("/spend.csv", pages.spend),
        *both("/rules", pages.rules),
        *both("/approvals/{id}/always", pages.always),
        _get("/patterns", patterns.endpoint(desk, keys)),
        *both("/sessions/{id}", pages.session),
        _get("/sessions/{id}/live", session_stream),
        _get("/sessions/{id}/older", pages.older),
        *both("/sessions/{id}/promote", promoting.page),
        _get("/sessions/{id}/raw", beside.raw),
        *both("/sessions/{id}/{tab}", beside.tab),
        post("/sessions", acts.create),
        post("/sessions/{id}/promote", promoting.keep),
        post("/sessions/{id}/branch", acts.branch),
        post("/sessions/{id}/prompts", acts.prompt),
        post("/sessions/{id}/withdraw", acts.withdraw),
        post("/sessions/{id}/cancel", acts.cancel),
        post("/sessions/{id}/take", acts.take),
        post("/sessions/{id}/end", acts.end),
        post("/sessions/{id}/handoff", acts.handoff),
        post("/sessions/{id}/undo", acts.undo),
        post("/sessions/{id}/seen", acts.see),
        post("/sessions/{id}/apply", acts.apply),
        post("/approvals/{id}", acts.answer),
        post("/rules/remove", acts.take_back),
        post("/budgets", acts.set_budget),
        post("/budgets/remove", acts.remove_budget),
        *_automation(desk, keys),
        *_owners(desk, keys),
    ]


def _automation(desk: Desk, keys: Keys) -> list[Route]:
    found, deeds, both = Automation(desk, keys), Deeds(desk), partial(_both, desk)
    acts = (
        ("/effects/{id}", deeds.decide),
        ("/runs/retry", found.retry),
        ("/runs/{id}/cancel", deeds.cancel),
        ("/runs/{id}/resume", deeds.resume),
        ("/runs/{id}/rerun", deeds.rerun),
        ("/runs/{id}/seen", deeds.see),
        ("/tasks/{id}/take", deeds.take),
        ("/tasks/{id}/handoff", deeds.give_back),
        ("/gallery/{name}", deeds.gallery),
        ("/workflows/{name}/enable", deeds.enable),
        ("/workflows/{name}/disable", deeds.disable),
        ("/workflows/{name}/trust", deeds.trust),
        ("/workflows/{name}/start", deeds.start),
        ("/workflows/{name}/rehearse", deeds.rehearse),
        ("/events/{event}/replay", deeds.replay),
    )
    return [
        *both("/runs", found.runs),
        *both("/runs/{id}", found.run),
        *both("/effects/{id}", found.effect),
        *both("/workflows", found.workflows),
        *both("/workflows/{name}", found.workflow),
        *both("/events", found.events),
        *both("/events/{event}", found.event),
        *(_post(path, act, keys) for path, act in acts),
    ]


def _owners(desk: Desk, keys: Keys) -> list[Route]:
    admin, both = Admin(desk, keys), partial(_both, desk)
    return [
        *both("/admin", admin.admin),
        *both("/agents", admin.agents),
        _post("/members", admin.add, keys),
        _post("/members/{name}/link", admin.link, keys),
        _post("/members/{name}/remove", admin.remove, keys),
        _post("/agents/{name}/check", admin.check, keys),
    ]


def _get(path: str, endpoint: Endpoint) -> Route:
    return Route(path, endpoint, methods=["GET"])


def _both(desk: Desk, path: str, endpoint: Endpoint) -> list[Route]:
    return [_get(f"{path}.json", endpoint), _get(path, _dated(desk, endpoint))]


def _dated(desk: Desk, endpoint: Endpoint) -> Endpoint:
    async def dated(request: Request) -> Response:
        request.state.at = sessions.moment(desk)  # before anything is read: what comes later is told to the page
        return await endpoint(request)

    return dated


def _post(path: str, act: forms.Act, keys: Keys) -> Route:
    return Route(path, forms.posted(act, keys), methods=["POST"])


def refused(request: Request, error: HandrailError) -> Response:
    """An error as a page, or as the piece of one that a script asked for."""
    if request.headers.get("hx-request"):
        # told where the page has a place for it: what was asked for keeps its own as it is
        place = {"hx-retarget": "#notice", "hx-reswap": "innerHTML"}
        return HTMLResponse(render.page("notice.html", sentence=error.message), status_code=error.status, headers=place)
    referred = request.headers.get("referer", "")
    path = referred.removeprefix(str(request.base_url).rstrip("/")) if referred else "/"
    text = render.page(
        "error.html",
        **OUTSIDE if error.status == HTTPStatus.UNAUTHORIZED else EMPTY,
        here="",
        refresh=None,
        status=error.status,
        title=_TITLES.get(error.status, "That did not work"),
        sentence=error.message,
        back=forms.back(path),
    )
    return HTMLResponse(text, status_code=error.status)
