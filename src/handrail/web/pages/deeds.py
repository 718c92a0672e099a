"""What the forms of runs, workflows, events and effects do; each ends in the command that the API calls as well."""

from __future__ import annotations

from starlette.requests import Request

from handrail.commands import effects, events, rehearsal, runs, unseen, workflows
from handrail.commands.desk import Desk
from handrail.commands.rehearsal import Wanted
from handrail.types import Json
from handrail.web.pages.forms import Form
from handrail.web.table import actor_of

INPUT = "input."
"""what the fields of a workflow's own inputs begin with"""


class Deeds:
    """The deeds.

    Args:
        desk: the rooms.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def decide(self, request: Request, form: Form) -> None:
        """Approve or reject an effect."""
        decision = form.get("decision", "")
        because = form.get("because", "").strip() if decision == "reject" else ""
        await effects.decide(self._desk, actor_of(request), _path(request, "id"), decision, because or None)

    async def cancel(self, request: Request, _: Form) -> None:
        """End a run."""
        await runs.cancel(self._desk, actor_of(request), _path(request, "id"))

    async def resume(self, request: Request, form: Form) -> None:
        """Go on with a run."""
        failed = form.get("failed") == "yes"
        await runs.resume(self._desk, actor_of(request), _path(request, "id"), failed=failed, step=None)

    async def rerun(self, request: Request, form: Form) -> str:
        """Begin a new run of the same plan."""
        failed = form.get("failed") == "yes"
        made = await runs.rerun(self._desk, actor_of(request), _path(request, "id"), failed=failed)
        return f"/runs/{made.row.id}"

    async def see(self, request: Request, _: Form) -> None:
        """Say that one knows how a run ended."""
        await unseen.see_run(self._desk, actor_of(request), _path(request, "id"))

    async def take(self, request: Request, _: Form) -> str:
        """Take a task in hand."""
        return f"/sessions/{await runs.take(self._desk, actor_of(request), _path(request, 'id'))}"

    async def give_back(self, request: Request, _: Form) -> None:
        """Hand a task back."""
        await runs.give_back(self._desk, actor_of(request), _path(request, "id"))

    async def gallery(self, request: Request, _: Form) -> str:
        """Keep a workflow of the gallery."""
        made = await workflows.from_gallery(self._desk, actor_of(request), _path(request, "name"))
        return f"/workflows/{made.row.name}"

    async def enable(self, request: Request, form: Form) -> None:
        """Switch a workflow on."""
        name, unproven = _path(request, "name"), form.get("unproven") == "yes"
        await workflows.enable(self._desk, actor_of(request), name, version=None, unproven=unproven)

    async def disable(self, request: Request, _: Form) -> None:
        """Switch a workflow off."""
        await workflows.disable(self._desk, actor_of(request), _path(request, "name"))

    async def trust(self, request: Request, form: Form) -> None:
        """Say how far it may act unwatched."""
        await workflows.entrust(self._desk, actor_of(request), _path(request, "name"), form.get("level", ""))

    async def start(self, request: Request, form: Form) -> str:
        """Start a workflow now; a field that is left empty is an input that was not given."""
        given: Json = {name[len(INPUT) :]: value for name, value in form.items() if name.startswith(INPUT) and value}
        places = [line.strip() for line in form.get("repositories", "").splitlines() if line.strip()]
        begun = await workflows.start(
            self._desk, actor_of(request), _path(request, "name"), inputs=given, repositories=places
        )
        return f"/runs/{begun.run}"

    async def rehearse(self, request: Request, form: Form) -> None:
        """Try the newest version on past cases."""
        cases = form.get("cases", "").strip() or None
        by_event = form.get("how") == "events"
        wanted = Wanted(
            commits=None if by_event else cases,
            events=cases if by_event else None,
            repository=form.get("repository", "").strip() or None,
        )
        await rehearsal.start(self._desk, actor_of(request), _path(request, "name"), wanted)

    async def replay(self, request: Request, form: Form) -> str:
        """Put an event to a workflow in earnest."""
        event, workflow = _path(request, "event"), form.get("workflow", "")
        came = await events.replay(self._desk, actor_of(request), event, workflow, dry_run=False)
        return f"/runs/{came.run}"


def _path(request: Request, name: str) -> str:
    return str(request.path_params[name])
