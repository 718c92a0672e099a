"""What the tests of the policy share."""

from __future__ import annotations

from handrail.policy import Action, Decision, Request
from handrail.policy.decide import decide
from handrail.policy.layers import Policy, stack
from handrail.types import Permissions

WORKSPACE = "/work/project"


def policy(
    session: str | None = None,
    *,
    team: str | None = None,
    workflow: str | None = None,
    permissions: Permissions = Permissions.ASK,
) -> Policy:
    return stack(permissions, team=team, workflow=workflow, session=session)


def shell(given: Policy, command: str | tuple[str, ...]) -> Decision:
    if isinstance(command, tuple):
        return decide(given, Request(Action.SHELL, " ".join(command), command, WORKSPACE))
    return decide(given, Request(Action.SHELL, command, workspace=WORKSPACE))


def of(given: Policy, action: Action, target: str) -> Decision:
    return decide(given, Request(action, target, workspace=WORKSPACE))
