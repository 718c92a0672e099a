"""Model providers over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.commands import providers
from handrail.commands.providers import Listed
from handrail.types import Json
from handrail.web.table import Call, Entry

if TYPE_CHECKING:
    from handrail.web.bodies import ProviderBody


async def listed(call: Call) -> Json:
    """List providers."""
    return {"providers": [_provider(item) for item in await providers.listed(call.desk, call.actor)]}


async def put(call: Call, body: ProviderBody) -> Json:
    """Set one up."""
    return _provider(
        await providers.put(
            call.desk,
            call.actor,
            call.path("name"),
            wire=body.wire,
            base_url=body.base_url,
            key=body.key,
            model=body.model,
        )
    )


async def remove(call: Call) -> Json:
    """Forget one."""
    await providers.remove(call.desk, call.actor, call.path("name"))
    return {"name": call.path("name"), "removed": True}


def _provider(item: Listed) -> Json:
    return {
        "name": item.name,
        "wire": item.wire,
        "base_url": item.base_url,
        "model": item.model,
        "key": item.key,
        "source": item.source,
    }


_TAG = "providers"
TABLE = (
    Entry("GET", "/providers", _TAG, "List the model providers; keys are never shown.", listed, "ProviderList"),
    Entry(
        "PUT", "/providers/{name}", _TAG, "Set up a model provider, in place of the one of that name.",
        put, "ProviderShown", body="ProviderBody", problems=(507,),
    ),
    Entry("DELETE", "/providers/{name}", _TAG, "Forget a model provider.", remove, "Removed", problems=(404, 409)),
)  # fmt: skip
