from __future__ import annotations

from pathlib import Path

import pytest

from handrail.automation import EffectKind, EffectState, TriggerKind, Trust
from handrail.runs import gate
from handrail.runs.plan import Plan

COMMENT, MERGE = EffectKind.COMMENT, EffectKind.MERGE
DENIED = "effects:\n  deny: [comment]\n"
ASKED = "effects:\n  ask: [comment]\n"


def state(
    tmp_path: Path, policy: str | None, *, by_agent: bool, listed: bool = False, team: str | None = None,
    kind: EffectKind = COMMENT, trust: Trust = Trust.AUTONOMOUS,
) -> EffectState:  # fmt: skip
    plan = Plan("w", "0", (), (), policy=policy, may_propose=(kind,) if listed else ())
    ceiling = tmp_path / "policy.yaml"
    if team is not None:
        ceiling.write_text(team)
    ruling = gate.ruling(plan, ceiling, kind, by_agent=by_agent)
    seen = gate.Proposal(kind, by_agent=by_agent, key="f-1", verified=True, flagged=False, ruling=ruling)
    return gate.decide(plan, trust, TriggerKind.MANUAL, seen)[0]


@pytest.mark.parametrize(
    ("policy", "of_workflow", "listed", "unlisted"),
    [
        (None, "approved", "approved", "rejected"),
        ("rest: ask", "approved", "approved", "waiting"),  # what the file names, its rest says nothing about
        ("rest: deny", "approved", "approved", "rejected"),
        ("rest: allow", "approved", "approved", "approved"),
        (ASKED, "waiting", "waiting", "waiting"),
        (DENIED, "rejected", "rejected", "rejected"),
        ("effects:\n  allow: [comment]\n", "approved", "approved", "approved"),
    ],
)
def test_policy_and_list_decide_together(
    tmp_path: Path, policy: str | None, of_workflow: str, listed: str, unlisted: str
) -> None:
    assert state(tmp_path, policy, by_agent=False) == of_workflow
    assert state(tmp_path, policy, by_agent=True, listed=True) == listed
    assert state(tmp_path, policy, by_agent=True) == unlisted


def test_no_workflow_is_above_the_policy_of_the_data_directory(tmp_path: Path) -> None:
    assert state(tmp_path, None, by_agent=False, team="rest: ask") is EffectState.WAITING
    assert state(tmp_path, "rest: allow", by_agent=True, listed=True, team=DENIED) is EffectState.REJECTED
    assert state(tmp_path, None, by_agent=False, team="effects: [") is EffectState.WAITING  # unreadable: nobody guesses


def test_what_is_allowed_is_still_weighed_by_trust(tmp_path: Path) -> None:
    allowed = "effects:\n  allow: [merge]\n"
    assert state(tmp_path, allowed, by_agent=True, kind=MERGE) is EffectState.WAITING  # it cannot be taken back
    assert state(tmp_path, allowed, by_agent=True, trust=Trust.SUPERVISED) is EffectState.REJECTED
    assert state(tmp_path, "rest: ask", by_agent=True, trust=Trust.SHADOW) is EffectState.RECORDED


def fate(kind: EffectKind, trust: Trust, key: str = "f-1", *, verified: bool = True, flagged: bool = False,
         unwatched: tuple[EffectKind, ...] = (), sample: float = 0.0) -> str:  # fmt: skip
    """The state of what a workflow proposes that no policy names, and why."""
    plan = Plan("w", "0", (), (), unwatched=unwatched, sample=sample)
    seen = gate.Proposal(kind, by_agent=False, key=key, verified=verified, flagged=flagged, ruling=None)
    return ": ".join(gate.decide(plan, trust, TriggerKind.EVENT, seen))


@pytest.mark.parametrize("kind", EffectKind)
def test_how_far_each_kind_goes_unwatched_at_each_level(kind: EffectKind) -> None:
    inside, final = kind is EffectKind.REPORT, kind in {EffectKind.MERGE, EffectKind.MESSAGE, EffectKind.WEBHOOK}
    approved = "approved: it stays inside Handrail" if inside else "approved: the workflow is trusted: "
    assert fate(kind, Trust.SHADOW) == "recorded: a workflow in shadow carries nothing out"
    assert fate(kind, Trust.SUPERVISED, unwatched=(kind,)).startswith(approved if inside else "waiting: every effect")
    for trust in (Trust.SAMPLED, Trust.AUTONOMOUS):
        said = fate(kind, trust)
        assert "cannot be taken back" in said if final else said.startswith(approved)
        assert fate(kind, trust, unwatched=(kind,)).startswith(approved)
        for held in (fate(kind, trust, verified=False), fate(kind, trust, flagged=True)):
            assert held.startswith(approved if inside else "waiting: ")


def test_a_share_of_what_a_sampled_workflow_does_waits_and_which_does_not_change() -> None:
    def waiting(share: float) -> set[int]:
        said = [fate(EffectKind.PUSH, Trust.SAMPLED, f"f-{at}", sample=share) for at in range(1000)]
        return {at for at, one in enumerate(said) if one == "waiting: it was drawn as a sample"}

    assert 150 < len(waiting(0.2)) < 250
    assert waiting(0.2) == waiting(0.2) < waiting(0.4)
    assert (len(waiting(0.0)), len(waiting(1.0))) == (0, 1000)
    assert fate(EffectKind.PUSH, Trust.AUTONOMOUS, sample=1.0).startswith("approved")
