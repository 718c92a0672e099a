"""Members over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.commands import members
from handrail.commands.members import Invited, Listed
from handrail.types import Json
from handrail.web import views
from handrail.web.table import Call, Entry

if TYPE_CHECKING:
    from handrail.web.bodies import MemberBody


async def listed(call: Call) -> Json:
    """List members."""
    return {"members": [shown(item) for item in members.listed(call.desk, call.actor)]}


async def add(call: Call, body: MemberBody) -> Json:
    """Add one."""
    return _invited(await members.add(call.desk, call.actor, body.name, body.role))


async def invite(call: Call) -> Json:
    """A new link."""
    return _invited(await members.invite(call.desk, call.actor, call.path("name")))


async def remove(call: Call) -> Json:
    """Remove one."""
    await members.remove(call.desk, call.actor, call.path("name"))
    return {"name": call.path("name"), "removed": True}


def shown(item: Listed) -> Json:
    """A member as JSON."""
    return {
        "name": item.name,
        "role": item.role,
        "added": None if item.added is None else views.moment(item.added),
        "added_by": item.added_by,
        "seen": None if item.seen is None else views.moment(item.seen),
        "invited": None if item.invited is None else views.moment(item.invited),
    }


def _invited(made: Invited) -> Json:
    return shown(made.member) | {"link": made.link}


_TAG = "members"
TABLE = (
    Entry("GET", "/members", _TAG, "List who may come in, the person of this machine first.", listed, "MemberList"),
    Entry(
        "POST", "/members", _TAG, "Make somebody a member; the link lets them in once.",
        add, "MemberInvited", body="MemberBody", status=201, problems=(409, 507),
    ),
    Entry(
        "POST", "/members/{name}/link", _TAG, "Make a new link for a member; the one before opens nothing any more.",
        invite, "MemberInvited", problems=(404, 507),
    ),
    Entry(
        "DELETE", "/members/{name}", _TAG, "Remove a member: their browsers are signed out, what they made stays.",
        remove, "Removed", problems=(404, 409),
    ),
)  # fmt: skip
