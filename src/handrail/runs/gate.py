"""Whether an effect is carried out, waits for a person, or is only recorded: policy and trust, in one pure function."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from handrail.automation import IRREVERSIBLE, EffectKind, EffectState, TriggerKind, Trust
from handrail.runs.plan import Plan

ALWAYS_ALLOWED = frozenset({EffectKind.REPORT})
"""a page that Handrail keeps itself changes nothing outside"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An effect as the gate sees it."""

    kind: EffectKind
    by_agent: bool
    key: str
    verified: bool
    """checks passed after the last edit, or nothing was changed"""
    flagged: bool
    """the change touches files that configure agents or tools"""


def decide(plan: Plan, trust: Trust, trigger: TriggerKind, proposal: Proposal) -> tuple[EffectState, str]:
    """The state that a proposal takes, and why.

    Args:
        plan: of its run.
        trust: what the workflow had earned when the run began.
        trigger: what started the run.
        proposal: the effect.
    """
    kind = proposal.kind
    named = kind.replace("_", " ")
    if proposal.by_agent and kind not in plan.may_propose:
        return EffectState.REJECTED, f"this workflow does not let its agents propose a {named}"
    if trigger is TriggerKind.REHEARSAL:
        return EffectState.RECORDED, "a rehearsal carries nothing out"
    if trust is Trust.SHADOW:
        return EffectState.RECORDED, "a workflow in shadow carries nothing out"
    if kind in ALWAYS_ALLOWED:
        return EffectState.APPROVED, "it stays inside Handrail"
    if trust is Trust.SUPERVISED:
        return EffectState.WAITING, "every effect of a supervised workflow waits for a person"
    if not proposal.verified:
        return EffectState.WAITING, "no check decided about the change behind it"
    if proposal.flagged:
        return EffectState.WAITING, "the change touches files that configure agents or tools"
    if kind in IRREVERSIBLE and kind not in plan.unwatched:
        return EffectState.WAITING, f"a {named} cannot be taken back, and the workflow does not let it go unwatched"
    if trust is Trust.SAMPLED and draw(proposal.key) < plan.sample:
        return EffectState.WAITING, "it was drawn as a sample"
    return EffectState.APPROVED, f"the workflow is trusted: {trust}"


def draw(key: str) -> float:
    """A number from 0 to 1 that is the same for the same effect at every try, and that nobody chose."""
    return int.from_bytes(hashlib.sha256(f"sample:{key}".encode()).digest()[:8]) / (1 << 64)
