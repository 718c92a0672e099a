"""Secrets of tasks over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.commands import secrets
from handrail.commands.secrets import Listed
from handrail.types import Json
from handrail.web.table import Call, Entry

if TYPE_CHECKING:
    from handrail.web.bodies import SecretBody


async def listed(call: Call) -> Json:
    """List secrets."""
    return {"secrets": [_secret(item) for item in await secrets.listed(call.desk, call.actor)]}


async def put(call: Call, body: SecretBody) -> Json:
    """Set one."""
    found = await secrets.put(
        call.desk,
        call.actor,
        call.path("name"),
        host=body.host,
        header=body.header,
        value=body.value,
        permits=tuple(body.permits),
    )
    return _secret(found)


async def remove(call: Call) -> Json:
    """Forget one."""
    await secrets.remove(call.desk, call.actor, call.path("name"))
    return {"name": call.path("name"), "removed": True}


def _secret(item: Listed) -> Json:
    return {"name": item.name, "host": item.host, "header": item.header, "permits": list(item.permits)}


_TAG = "secrets"
TABLE = (
    Entry("GET", "/secrets", _TAG, "List the secrets of tasks; values are never shown.", listed, "SecretList"),
    Entry(
        "PUT", "/secrets/{name}", _TAG, "Set a secret, in place of the one of that name.",
        put, "SecretShown", body="SecretBody", problems=(507,),
    ),
    Entry("DELETE", "/secrets/{name}", _TAG, "Forget a secret.", remove, "Removed", problems=(404,)),
)  # fmt: skip
