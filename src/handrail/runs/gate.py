"""Whether an effect is carried out, waits for a person, or is only recorded: policy and trust, in one pure function.

`ruling` reads what the policies say of it, `decide` weighs that with trust.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from msgspec import Struct

from handrail.automation import IRREVERSIBLE, EffectKind, EffectState, TriggerKind, Trust
from handrail.errors import HandrailError
from handrail.policy import Action, Decision, Request, Verdict, strictest
from handrail.policy.decide import decide as decided
from handrail.policy.document import text_of
from handrail.policy.layers import SESSION, TEAM, stack
from handrail.runs.plan import Plan
from handrail.types import Permissions

ALWAYS_ALLOWED = frozenset({EffectKind.REPORT})
"""a page that Handrail keeps itself changes nothing outside"""


class Proposal(Struct, frozen=True):
    """An effect as the gate sees it."""

    kind: EffectKind
    by_agent: bool
    key: str
    verified: bool
    """checks passed after the last edit, or nothing was changed"""
    flagged: bool
    """the change touches files that configure agents or tools"""
    ruling: Decision | None = None
    """what the policy says of it; None where it says nothing"""


def ruling(plan: Plan, ceiling: Path, kind: EffectKind, *, by_agent: bool) -> Decision | None:
    """What the policies say of an effect, the strictest of them; None where none says anything.

    What the workflow names, or lets its agents propose, the rest of its own policy says nothing about: it is expected.

    Args:
        plan: of the run.
        ceiling: the file with the policy of the data directory.
        kind: of the effect.
        by_agent: an agent proposed it.
    """
    request = Request(Action.EFFECT, kind)
    own = decided(stack(Permissions.ALLOW, session=plan.policy), request)
    found = [own] if own.layer == SESSION and (own.rule is not None or _unlisted(plan, kind, by_agent)) else []
    try:
        team = decided(stack(Permissions.ALLOW, team=text_of(ceiling)), request) if ceiling.exists() else None
    except HandrailError as error:
        team = Decision(Verdict.ASK, None, TEAM, f"the policy of the data directory cannot be read: {error}")
    found += [team] if team is not None and team.layer == TEAM else []
    return strictest(found) if found else None


def _unlisted(plan: Plan, kind: EffectKind, by_agent: bool) -> bool:  # it has one caller
    return by_agent and kind not in plan.may_propose


def decide(plan: Plan, trust: Trust, trigger: TriggerKind, proposal: Proposal) -> tuple[EffectState, str]:
    """The state that a proposal takes, and why.

    Args:
        plan: of its run.
        trust: what the workflow had earned when the run began.
        trigger: what started the run.
        proposal: the effect.
    """
    kind, said = proposal.kind, proposal.ruling
    if said is not None and said.verdict is Verdict.DENY:
        return EffectState.REJECTED, said.reason
    if said is None and _unlisted(plan, kind, proposal.by_agent):
        return EffectState.REJECTED, f"this workflow does not let its agents propose a {kind.replace('_', ' ')}"
    if trigger is TriggerKind.REHEARSAL:
        return EffectState.RECORDED, "a rehearsal carries nothing out"
    if trust is Trust.SHADOW:
        return EffectState.RECORDED, "a workflow in shadow carries nothing out"
    waits = _waits(plan, trust, proposal)
    if waits is not None:
        return EffectState.WAITING, waits
    if kind in ALWAYS_ALLOWED:
        return EffectState.APPROVED, "it stays inside Handrail"
    return EffectState.APPROVED, f"the workflow is trusted: {trust}"


def _waits(plan: Plan, trust: Trust, proposal: Proposal) -> str | None:
    """Why a person decides; None where nobody need."""
    kind, said = proposal.kind, proposal.ruling
    if said is not None and said.verdict is Verdict.ASK:
        return said.reason
    if kind in ALWAYS_ALLOWED:
        return None
    if trust is Trust.SUPERVISED:
        return "every effect of a supervised workflow waits for a person"
    if not proposal.verified:
        return "no check decided about the change behind it"
    if proposal.flagged:
        return "the change touches files that configure agents or tools"
    if kind in IRREVERSIBLE and kind not in plan.unwatched:
        named = kind.replace("_", " ")
        return f"a {named} cannot be taken back, and the workflow does not let it go unwatched"
    if trust is Trust.SAMPLED and draw(proposal.key) < plan.sample:
        return "it was drawn as a sample"
    return None


def draw(key: str) -> float:
    """A number from 0 to 1 that is the same for the same effect at every try, and that nobody chose."""
    return int.from_bytes(hashlib.sha256(f"sample:{key}".encode()).digest()[:8]) / (1 << 64)
