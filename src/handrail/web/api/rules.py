"""Rules that stand, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import asdict

from handrail.commands import rules
from handrail.types import Json
from handrail.web.table import Call, Entry

if TYPE_CHECKING:
    from handrail.web.bodies import RuleBody


async def listed(call: Call) -> Json:
    """List them."""
    return {"rules": [asdict(one) for one in await rules.listed(call.desk, call.actor)]}


async def remove(call: Call, body: RuleBody) -> Json:
    """Take one back."""
    await rules.remove(call.desk, call.actor, body.key, body.section, body.rule)
    return {"removed": f"{body.section}: allow {body.rule}"}


_TAG = "approvals"
TABLE = (
    Entry("GET", "/rules", _TAG, "List the rules that `always` wrote, by repository.", listed, "RuleList"),
    Entry(
        "POST", "/rules/remove", _TAG, "Take back a rule that `always` wrote.", remove, "Removed",
        body="RuleBody", problems=(404, 507),
    ),
)  # fmt: skip
