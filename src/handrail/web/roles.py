"""What each route needs, said and checked in this one place: the least role, and whether the thing must be one's own.

A route that stands in no list is refused when the application is made. What a handler then calls checks the
permission once more (`commands.actor`): this table is the one that people read.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from handrail.commands import members
from handrail.commands.actor import OWNERS, Actor
from handrail.commands.desk import Desk
from handrail.errors import Forbidden, HandrailError, SignInNeeded
from handrail.types import Role
from handrail.web.guard import NEEDED, POLICY_VIOLATION
from handrail.web.table import PREFIX


class Least(StrEnum):
    """Who may, at the least."""

    ANYONE = "anyone"
    MEMBER = "member"
    OWNER = "owner"


_ANYONE = """
GET /health
GET /open
POST /open
GET /static/{name:path}
GET /answer
POST /answer
POST /hooks/{source}
"""
"""the last three bring a proof of their own: a link, a signature"""

_MEMBERS = """
GET /
GET /live
GET /inbox
GET /sessions
GET /spend
GET /spend.csv
GET /patterns
GET /approvals/{id}/always
POST /approvals/{id}
GET /sessions/{id}
GET /sessions/{id}/live
GET /sessions/{id}/older
GET /sessions/{id}/{tab}
POST /sessions
GET /sessions/{id}/raw
GET /sessions/{id}/terminal/socket
POST /sessions/{id}/branch
POST /sessions/{id}/prompts
POST /sessions/{id}/withdraw
POST /sessions/{id}/cancel
POST /sessions/{id}/take
POST /sessions/{id}/end
POST /sessions/{id}/handoff
POST /sessions/{id}/undo
POST /sessions/{id}/seen
GET /runs
POST /runs/retry
GET /runs/{id}
POST /runs/{id}/cancel
POST /runs/{id}/resume
POST /runs/{id}/rerun
POST /runs/{id}/seen
POST /tasks/{id}/take
POST /tasks/{id}/handoff
GET /effects/{id}
POST /effects/{id}
GET /workflows
GET /workflows/{name}
POST /workflows/{name}/start
POST /signout
GET /openapi.json
GET /api/v1/sessions
POST /api/v1/sessions
GET /api/v1/sessions/{id}
GET /api/v1/sessions/{id}/events
GET /api/v1/sessions/{id}/stream
GET /api/v1/sessions/{id}/diff
GET /api/v1/sessions/{id}/terminal
GET /api/v1/sessions/{id}/files
POST /api/v1/sessions/{id}/branch
POST /api/v1/sessions/{id}/prompts
DELETE /api/v1/sessions/{id}/prompts/{prompt}
POST /api/v1/sessions/{id}/cancel
POST /api/v1/sessions/{id}/handoff
POST /api/v1/sessions/{id}/take
POST /api/v1/sessions/{id}/end
POST /api/v1/sessions/{id}/undo
POST /api/v1/sessions/{id}/seen
GET /api/v1/unseen
GET /api/v1/approvals
GET /api/v1/approvals/{id}
POST /api/v1/approvals/{id}
GET /api/v1/agents
GET /api/v1/workflows
GET /api/v1/workflows/{name}
GET /api/v1/workflows/{name}/versions
GET /api/v1/workflows/{name}/rehearsal
POST /api/v1/workflows/{name}/start
GET /api/v1/gallery
GET /api/v1/runs
GET /api/v1/runs/{id}
GET /api/v1/runs/{id}/events
POST /api/v1/runs/{id}/cancel
POST /api/v1/runs/{id}/rerun
POST /api/v1/runs/{id}/resume
POST /api/v1/runs/retry
POST /api/v1/runs/{id}/seen
GET /api/v1/tasks/{id}
POST /api/v1/tasks/{id}/take
POST /api/v1/tasks/{id}/handoff
GET /api/v1/effects
GET /api/v1/effects/{id}
POST /api/v1/effects/{id}
GET /api/v1/budgets
GET /api/v1/spend
"""

_OWNERS = """
GET /admin
GET /agents
POST /members
POST /members/{name}/link
POST /members/{name}/remove
POST /agents/{name}/check
GET /sessions/{id}/promote
POST /sessions/{id}/promote
GET /rules
POST /rules/remove
POST /sessions/{id}/apply
POST /budgets
POST /budgets/remove
GET /events
GET /events/{event}
POST /events/{event}/replay
POST /gallery/{name}
POST /workflows/{name}/enable
POST /workflows/{name}/disable
POST /workflows/{name}/trust
POST /workflows/{name}/rehearse
POST /api/v1/sessions/{id}/apply
POST /api/v1/sessions/{id}/promote
GET /api/v1/rules
POST /api/v1/rules/remove
GET /api/v1/events
GET /api/v1/events/{event}
POST /api/v1/events/{event}/replay
POST /api/v1/events/sample
GET /api/v1/sources
PUT /api/v1/sources/{name}
PUT /api/v1/sources/{name}/polls
DELETE /api/v1/sources/{name}
GET /api/v1/notify
POST /api/v1/notify/{name}/test
POST /api/v1/agents/{name}/install
POST /api/v1/agents/{name}/check
GET /api/v1/providers
PUT /api/v1/providers/{name}
DELETE /api/v1/providers/{name}
GET /api/v1/forges
PUT /api/v1/forges/{name}
POST /api/v1/forges/{name}/check
DELETE /api/v1/forges/{name}
POST /api/v1/workflows
POST /api/v1/workflows/sync
DELETE /api/v1/workflows/{name}
POST /api/v1/workflows/{name}/enable
POST /api/v1/workflows/{name}/disable
POST /api/v1/workflows/{name}/trust
POST /api/v1/workflows/{name}/rehearse
POST /api/v1/gallery/{name}
GET /api/v1/secrets
PUT /api/v1/secrets/{name}
DELETE /api/v1/secrets/{name}
PUT /api/v1/budgets/{scope}
DELETE /api/v1/budgets/{scope}
GET /api/v1/prices
PUT /api/v1/prices
DELETE /api/v1/prices
GET /api/v1/members
POST /api/v1/members
POST /api/v1/members/{name}/link
DELETE /api/v1/members/{name}
GET /api/v1/status
GET /api/v1/doctor
POST /api/v1/shutdown
"""

PLACES: dict[str, Least] = {
    line: least
    for least, text in ((Least.ANYONE, _ANYONE), (Least.MEMBER, _MEMBERS), (Least.OWNER, _OWNERS))
    for line in text.split("\n")
    if line
}
"""the least role of each route, by its method and path; a page's `.json` needs what the page needs"""

_OWN = {"sessions": "session", "runs": "run", "tasks": "task", "approvals": "approval", "effects": "effect"}
"""below these, `{id}` names a thing that a member must have started"""


def needs(route: Route | WebSocketRoute) -> tuple[Least, str | None]:
    """What a route needs: the least role, and which kind of thing its `{id}` is, where that must be a member's own.

    Raises:
        LookupError: it is in none of the lists.
    """
    methods = {"GET"} if isinstance(route, WebSocketRoute) else route.methods or {"GET"}
    lines = [f"{method} {route.path.removesuffix('.json')}" for method in sorted(methods - {"HEAD"})]
    exact = {f"{method} {route.path}" for method in methods}
    lines = [line for line in lines if line in PLACES] or [line for line in exact if line in PLACES]
    if not lines:
        raise LookupError(f"who may use {sorted(exact)}? Place it in one of the lists of handrail.web.roles")
    first, _, rest = route.path.removeprefix(PREFIX).lstrip("/").partition("/")
    return PLACES[lines[0]], _OWN.get(first) if rest.startswith("{id}") else None


def guarded(routes: Iterable[BaseRoute], desk: Desk) -> list[BaseRoute]:
    """`routes`, each behind its check.

    Raises:
        LookupError: one of them is in none of the lists.
    """
    found = list(routes)
    for route in found:
        if not isinstance(route, Route | WebSocketRoute):
            raise TypeError(f"{route!r} cannot be placed: teach handrail.web.roles its kind")
        route.app = _behind(route.app, desk, *needs(route))
    return found


def _behind(app: ASGIApp, desk: Desk, least: Least, own: str | None) -> ASGIApp:
    async def judged(scope: Scope) -> None:
        actor: Actor = scope["handrail.actor"]
        if least is not Least.ANYONE and actor.role is None:
            raise SignInNeeded(NEEDED)
        if least is Least.OWNER and actor.role is not Role.OWNER:
            raise Forbidden(f"{actor.name} is a member, and members may not do this: {OWNERS}.")
        if own is not None:
            await members.must_own(desk, actor, own, scope["path_params"]["id"])

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await judged(scope)
        except HandrailError:
            if scope["type"] != "websocket":
                raise
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})  # before it is accepted: 403
            return
        await app(scope, receive, send)

    return checked
