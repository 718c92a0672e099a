"""The pages of owners: people and what is set up; agents and what the walls hold. Values of secrets stand nowhere."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from handrail.commands import agents, budgets, events, forges, members, providers, secrets, system
from handrail.commands.agents import Known
from handrail.commands.desk import Desk
from handrail.errors import HandrailError
from handrail.types import Json, Role
from handrail.web import views
from handrail.web.api import agents as agents_api
from handrail.web.api import budgets as budgets_api
from handrail.web.api import events as events_api
from handrail.web.api import forges as forges_api
from handrail.web.api import members as members_api
from handrail.web.api import providers as providers_api
from handrail.web.api import secrets as secrets_api
from handrail.web.guard import Keys
from handrail.web.pages.forms import Form
from handrail.web.pages.frame import as_json, document
from handrail.web.table import Call, actor_of, reply

WALLS = {
    "reads": "The agent reads its clone, its own home and the tool chains; nothing else of this machine.",
    "writes": "It writes to its clone, its home and scratch space alone.",
    "network": "It reaches no network but through Handrail’s door, where the policy is asked.",  # noqa: RUF001
    "processes": "It sees and signals no process but its own.",
    "secrets": "It cannot read the server’s environment, keys or files.",  # noqa: RUF001
    "pids": "It cannot start so many processes that the machine chokes.",
    "memory": "It cannot take more memory than it is given.",
    "cpu": "It cannot take more of the processor than it is given.",
    "disk": "It cannot fill the disk.",
    "kill": "Whatever it started dies with it, and with the server.",
}
"""what the walls hold, in plain words; the names are those of `sandbox.Guarantee`"""


class Admin:
    """The pages.

    Args:
        desk: the rooms.
        keys: what signs the forms.
    """

    def __init__(self, desk: Desk, keys: Keys) -> None:
        self._desk = desk
        self._keys = keys

    async def admin(self, request: Request) -> Response:
        """People, and what is set up."""
        if as_json(request):
            call = Call(self._desk, actor_of(request), request)
            told: Json = {}
            for api in (members_api, providers_api, forges_api, secrets_api, budgets_api):
                told |= await api.listed(call)
            return reply(told | await events_api.sources(call))
        return await self._admin(request)

    async def add(self, request: Request, form: Form) -> Response:
        """Add a member; their link is shown this once."""
        made = await members.add(
            self._desk, actor_of(request), form.get("name", "").strip(), form.get("role", "member")
        )
        return await self._admin(request, made)

    async def link(self, request: Request, _: Form) -> Response:
        """Make a new link; it is shown this once."""
        name = str(request.path_params["name"])
        return await self._admin(request, await members.invite(self._desk, actor_of(request), name))

    async def remove(self, request: Request, _: Form) -> str:
        """Remove a member."""
        await members.remove(self._desk, actor_of(request), str(request.path_params["name"]))
        return "/admin"

    async def agents(self, request: Request) -> Response:
        """The catalogue, and the walls."""
        call = Call(self._desk, actor_of(request), request)
        if as_json(request):
            walls = (await system.status(self._desk, call.actor)).sandbox
            held: Json = {"kind": walls.kind, "holds": list(walls.holds), "lacks": list(walls.lacks)}
            looked = await system.doctor(self._desk, call.actor) if walls.known else []
            told: Json = {"walls": held | {"detail": walls.detail}, "checks": [views.finding(one) for one in looked]}
            return reply(await agents_api.listed(call) | told)
        return await self._agents(request)

    async def check(self, request: Request, _: Form) -> Response:
        """Try an agent, and show what was found."""
        name = str(request.path_params["name"])
        try:
            report = await agents.check(self._desk, actor_of(request), name, deep=False)
        except HandrailError as error:  # that it does not work is what was asked
            return await self._agents(request, tried=name, problem=error.message)
        return await self._agents(request, tried=name, report=report)

    async def _admin(self, request: Request, invited: members.Invited | None = None) -> Response:
        actor = actor_of(request)
        return await self._page(
            request,
            "admin.html",
            here="admin",
            invited=invited,
            members=members.listed(self._desk, actor),
            roles=[role.value for role in reversed(Role)],
            providers=await providers.listed(self._desk, actor),
            forges=await forges.listed(self._desk, actor),
            secrets=await secrets.listed(self._desk, actor),
            sources=await events.sources(self._desk, actor),
            budgets=await budgets.listed(self._desk, actor),
        )

    async def _agents(self, request: Request, **tried: Any) -> Response:
        actor = actor_of(request)
        found = await agents.listed(self._desk, actor)
        status = await system.status(self._desk, actor)
        return await self._page(
            request,
            "agents.html",
            here="agents",
            agents=sorted(found, key=_by_use),
            walls=status.sandbox,
            words=WALLS,
            doctor=await system.doctor(self._desk, actor)
            if status.sandbox.known
            else [],  # it would wait for the trial
            **{"tried": None, "report": None, "problem": None} | tried,
        )

    async def _page(self, request: Request, template: str, **context: Any) -> Response:
        actor = actor_of(request)
        return await document(self._desk, request, template, csrf=self._keys.form_of(actor), **context)


def _by_use(known: Known) -> tuple[bool, str]:
    return not known.installed, known.title
