"""The policy of one session, put together from its layers, and an agent's questions in its terms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from handrail.errors import HandrailError
from handrail.policy import Decision, Request, Verdict
from handrail.policy.decide import decide_all
from handrail.policy.document import PolicyLimits, text_of
from handrail.policy.layers import REPOSITORY, TEAM, Policy, stack
from handrail.policy.learn import Learnt, Proposal, add, helps, propose
from handrail.policy.normalise import normalise
from handrail.sessions import standing
from handrail.store.approvals import ApprovalRow
from handrail.store.sessions import SessionRow
from handrail.types import Goal, Json, Limits, NanoUSD, Permissions

Number = TypeVar("Number", int, float, NanoUSD)

CEILING = "policy.yaml"
"""file in the data directory that no session's policy can widen"""


def current(row: SessionRow, permissions: Permissions, ceiling: Path) -> Policy:
    """What holds for a session now; the ceiling is read anew each time, so that a change holds at once.

    Raises:
        InvalidInput: the ceiling cannot be read.
    """
    team = text_of(ceiling) if ceiling.exists() else None
    stands = standing.text(ceiling.parent, row)
    return stack(permissions, team=team, repository=stands, session=row.policy, network=tuple(row.network))


def asked(
    tool: str | None, title: str, given: Json | None, paths: Sequence[str], workspace: str
) -> tuple[Request, ...]:
    """An agent's question as the policy takes it."""
    return normalise(tool, title, given, workspace=workspace, paths=paths)


def judge(row: SessionRow, permissions: Permissions, ceiling: Path, requests: Sequence[Request]) -> Decision:
    """The policy's answer; a policy that cannot be read makes a question of everything that changes something."""
    try:
        return decide_all(current(row, permissions, ceiling), requests)
    except HandrailError as error:
        below = decide_all(stack(permissions, session=row.policy, network=tuple(row.network)), requests)
        if below.verdict is Verdict.DENY:
            return below
        return Decision(Verdict.ASK, None, TEAM, f"the policy of the data directory cannot be read: {error}")


def always(policy: Policy, approval: ApprovalRow, earlier: Sequence[ApprovalRow], row: SessionRow) -> Proposal | None:
    """The rules that would answer `approval` from now on, and how many of the `earlier` ones they would have."""
    wanted = _of(approval, row.workspace)
    found = propose(policy, wanted, [_of(one, row.workspace) for one in earlier])
    if found is None:
        return None
    stands = standing.may(row, found.rules) and helps(policy, wanted, found.rules, REPOSITORY)
    return replace(found, stands=stands)


def learnt(text: str | None, rules: Sequence[Learnt]) -> str:
    """A session's policy with more rules."""
    return add(text, rules)


def shown(proposal: Proposal) -> list[str]:
    """The rules as a person reads them."""
    return [f"{rule.section}: allow {rule.rule}" for rule in proposal.rules]


def narrowed(goal: Goal, limits: PolicyLimits) -> Goal:
    """A goal within the limits of a policy."""
    own = goal.limits
    turns = _least(own.turns, limits.turns)
    budget = _least(own.budget, limits.budget)
    seconds = _least(own.seconds, limits.seconds)
    return replace(goal, limits=Limits(turns, budget, seconds))


def _least(one: Number | None, other: Number | None) -> Number | None:
    return one if other is None else other if one is None else min(one, other)


def _of(row: ApprovalRow, workspace: str) -> tuple[Request, ...]:
    paths = [str(diff.get("path")) for diff in row.diffs]
    return asked(None if row.tool == "other" else row.tool, row.title, row.input, paths, workspace)
