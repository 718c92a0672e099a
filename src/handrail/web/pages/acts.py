"""What the forms of pages do; each ends in the command that the API calls as well."""

from __future__ import annotations

from starlette.requests import Request

from handrail.commands import approvals, branching, budgets, changes, rules, sessions, unseen
from handrail.commands.desk import Desk
from handrail.commands.sessions import Wanted
from handrail.commands.values import GoalSpec
from handrail.errors import Conflict
from handrail.store.tables import ApprovalState
from handrail.types import ApprovalId
from handrail.web.pages import forms
from handrail.web.pages.forms import Form
from handrail.web.table import actor_of


class Acts:
    """The acts.

    Args:
        desk: the rooms.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def create(self, request: Request, form: Form) -> str:
        """Start a session: with checks or limits it is handed off."""
        prompt = form.get("prompt", "")
        repository = form.get("repository", "").strip()
        if not repository and form.get("sample") == "yes":
            repository = await sessions.sample_project(self._desk, actor_of(request))
        goal = forms.goal({**form, "text": prompt})
        wanted = Wanted(
            repository=repository,
            agent=form.get("agent", "") or "handrail",
            model=form.get("model", "").strip() or None,
            sandbox=form.get("sandbox") or None,
            permissions=form.get("permissions") or None,
            network=tuple(form.get("network", "").split()),
            policy=form.get("policy", "").strip() or None,
            login=form.get("login") == "yes",
            untrusted=form.get("untrusted") == "yes",
            prompt=None if goal is not None else prompt,
            goal=goal,
        )
        seen = await sessions.create(self._desk, actor_of(request), wanted)
        return f"/sessions/{seen.row.id}"

    async def branch(self, request: Request, form: Form) -> str:
        """Begin a session from where this one was after a turn."""
        turn = forms.whole("turn", form.get("turn", ""))
        seen = await branching.branch(self._desk, actor_of(request), _id(request), turn)
        return f"/sessions/{seen.row.id}"

    async def prompt(self, request: Request, form: Form) -> None:
        """Send or queue a prompt."""
        await sessions.prompt(self._desk, actor_of(request), _id(request), form.get("text", ""))

    async def withdraw(self, request: Request, form: Form) -> None:
        """Take back a queued prompt."""
        await sessions.withdraw(self._desk, actor_of(request), _id(request), form.get("prompt", ""))

    async def cancel(self, request: Request, _: Form) -> None:
        """Cancel the turn under way."""
        await sessions.cancel(self._desk, actor_of(request), _id(request))

    async def take(self, request: Request, _: Form) -> None:
        """Take control."""
        await sessions.take(self._desk, actor_of(request), _id(request))

    async def end(self, request: Request, _: Form) -> None:
        """End the session."""
        await sessions.end(self._desk, actor_of(request), _id(request))

    async def handoff(self, request: Request, form: Form) -> None:
        """Hand off."""
        goal = forms.goal(form) or GoalSpec(form.get("text", ""))
        await sessions.handoff(self._desk, actor_of(request), _id(request), goal)

    async def see(self, request: Request, _: Form) -> None:
        """Say that one knows how it ended."""
        await unseen.see_session(self._desk, actor_of(request), _id(request))

    async def undo(self, request: Request, _: Form) -> None:
        """Go back to before the last turn."""
        await changes.undo(self._desk, actor_of(request), _id(request), None)

    async def apply(self, request: Request, form: Form) -> None:
        """Bring the change to the checkout."""
        mode, branch = form.get("mode", ""), form.get("branch", "").strip() or None
        await changes.apply(self._desk, actor_of(request), _id(request), mode, branch)

    async def set_budget(self, request: Request, form: Form) -> None:
        """Set a budget."""
        await budgets.put(
            self._desk,
            actor_of(request),
            form.get("scope", "").strip(),
            period=form.get("period", "total"),
            money=form.get("money", "").strip() or None,
            tokens=forms.whole("tokens", form.get("tokens", "")),
        )

    async def remove_budget(self, request: Request, form: Form) -> None:
        """Remove a budget."""
        await budgets.remove(self._desk, actor_of(request), form.get("scope", ""), form.get("period"))

    async def answer(self, request: Request, form: Form) -> None:
        """Answer an approval; for one that lasts, `shown` holds the rules that the person saw."""
        actor, asked = actor_of(request), ApprovalId(_id(request))
        decision, lasts = form.get("decision", ""), form.get("lasts", "once")
        if decision in ("session", "always"):
            decision, lasts = "allow", decision
        if lasts != "once":
            row, found = await approvals.show(self._desk, actor, asked)
            if row.state is ApprovalState.OPEN and (found is None or "\n".join(found.rules) != form.get("shown", "")):
                raise Conflict("the rule that would be written is another one by now: look at it again")
        because = form.get("because", "").strip() or None
        await approvals.answer(self._desk, actor, asked, decision, option=None, because=because, lasts=lasts)

    async def take_back(self, request: Request, form: Form) -> None:
        """Take a rule that stands back."""
        key, section, rule = (form.get(name, "") for name in ("key", "section", "rule"))
        await rules.remove(self._desk, actor_of(request), key, section, rule)


def _id(request: Request) -> str:
    return str(request.path_params["id"])
