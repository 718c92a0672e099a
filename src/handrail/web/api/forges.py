"""Forges over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.commands import forges
from handrail.commands.forges import Given, Listed
from handrail.types import Json
from handrail.web.table import Call, Entry

if TYPE_CHECKING:
    from handrail.web.bodies import ForgeBody, ForgeCheckBody


async def listed(call: Call) -> Json:
    """List forges."""
    return {"forges": [_forge(item) for item in await forges.listed(call.desk, call.actor)]}


async def put(call: Call, body: ForgeBody) -> Json:
    """Set one up."""
    given = Given(body.kind, body.url, body.secret, body.app_id, body.user)
    return _forge(await forges.put(call.desk, call.actor, call.path("name"), given))


async def check(call: Call, body: ForgeCheckBody) -> Json:
    """Try one."""
    found = await forges.check(call.desk, call.actor, call.path("name"), body.repository)
    return {
        "name": call.path("name"),
        "login": found.login,
        "scopes": None if found.scopes is None else list(found.scopes),
        "writable": found.writable,
        "notes": list(found.notes),
    }


async def remove(call: Call) -> Json:
    """Forget one."""
    await forges.remove(call.desk, call.actor, call.path("name"))
    return {"name": call.path("name"), "removed": True}


def _forge(item: Listed) -> Json:
    return {
        "name": item.name,
        "kind": item.kind,
        "url": item.url,
        "account": item.account,
        "app_id": item.settings.get("app"),
        "user": item.settings.get("user"),
        "credential": item.credential,
    }


_TAG = "forges"
TABLE = (
    Entry("GET", "/forges", _TAG, "List the forges; credentials are never shown.", listed, "ForgeList"),
    Entry(
        "PUT", "/forges/{name}", _TAG, "Set up a forge, in place of the one of that name.",
        put, "ForgeShown", body="ForgeBody", problems=(507,),
    ),
    Entry(
        "POST", "/forges/{name}/check", _TAG, "Try a forge's credential, and whether it may write to a repository.",
        check, "ForgeChecked", body="ForgeCheckBody", body_optional=True, problems=(404, 502),
    ),
    Entry("DELETE", "/forges/{name}", _TAG, "Forget a forge and its credential.", remove, "Removed", problems=(404,)),
)  # fmt: skip
