"""The page on which a session becomes a workflow: its draft as a diff, what it may do, and what it would ask."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from handrail.commands import promotion, sessions
from handrail.commands.desk import Desk
from handrail.web.api import promotion as promotion_api
from handrail.web.guard import Keys
from handrail.web.pages.forms import Form
from handrail.web.pages.frame import as_json, document, facts
from handrail.web.table import actor_of, reply


class Promoting:
    """The page, and what its button does.

    Args:
        desk: the rooms.
        keys: what signs the forms.
    """

    def __init__(self, desk: Desk, keys: Keys) -> None:
        self._desk = desk
        self._keys = keys

    async def page(self, request: Request) -> Response:
        """The draft."""
        actor, word = actor_of(request), str(request.path_params["id"])
        name = request.query_params.get("name") or None
        draft = await promotion.draft(self._desk, actor, word, name=name, keep=False)
        if as_json(request):
            return reply(promotion_api.drafted(draft))
        seen = await sessions.show(self._desk, actor, word)
        return await document(
            self._desk,
            request,
            "promote.html",
            here="sessions",
            csrf=self._keys.form_of(actor),
            session=facts(seen),
            told=draft.promoted,
            before=draft.before.text if draft.before is not None else None,
            newest=draft.before.number if draft.before is not None else 0,
            notes=draft.notes,
        )

    async def keep(self, request: Request, form: Form) -> str:
        """Keep it, switched off."""
        word = str(request.path_params["id"])
        kept = await promotion.keep(self._desk, actor_of(request), word, form.get("text", ""))
        return f"/workflows/{kept.row.name}"
