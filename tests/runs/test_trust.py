"""Trust: earned in a row, given by a person, lost by itself; shown with runs that really ran."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from handrail.automation import EffectState, TaskState, TriggerKind, Trust
from handrail.errors import Conflict
from handrail.policy import Verdict
from handrail.runs import trust
from handrail.runs.acts import Outside
from handrail.store import workflows as rows
from handrail.store.workflows import WorkflowRow
from handrail.types import Outcome, now
from tests.runs.conftest import MEND, Works, stage

ROW = WorkflowRow(name="nightly", source="file", origin=None, version="0" * 12, enabled=True, trust=Trust.SUPERVISED,
                  created=now(), updated=now())  # fmt: skip
MINED = 'shell:\n  allow: ["sed -i s/Hallo/Hello/ greet.py"]\nrest: ask\n'


def test_it_rises_one_level_at_a_time_after_enough_accepted_results() -> None:
    for level, needed in trust.NEEDED.items():
        up = trust.above(level)
        assert up is not None
        row = replace(ROW, trust=level, accepted=needed - 1)
        with pytest.raises(Conflict, match=f"{up} takes {needed}, 1 more"):
            trust.moved(row, up, Trust.AUTONOMOUS)
        assert trust.moved(replace(row, accepted=needed), up, Trust.AUTONOMOUS) is up
        assert "1 more accepted result in a row" in trust.to_rise(level, needed - 1, Trust.AUTONOMOUS)
        assert f"it may rise to {up}" in trust.to_rise(level, needed, Trust.AUTONOMOUS)
    with pytest.raises(Conflict, match="one level at a time, next is sampled"):
        trust.moved(replace(ROW, accepted=99), Trust.AUTONOMOUS, Trust.AUTONOMOUS)


def test_never_above_its_file_and_down_at_any_time() -> None:
    with pytest.raises(Conflict, match="allows no more than supervised"):
        trust.moved(replace(ROW, accepted=99), Trust.SAMPLED, Trust.SUPERVISED)
    assert trust.to_rise(Trust.SUPERVISED, 99, Trust.SUPERVISED) == "its file allows no more than supervised"
    for level in (Trust.SUPERVISED, Trust.SHADOW):
        assert trust.moved(ROW, level, Trust.AUTONOMOUS) is level
    assert trust.above(Trust.AUTONOMOUS) is None
    assert trust.to_rise(Trust.AUTONOMOUS, 0, Trust.AUTONOMOUS) == "the highest level"
    assert trust.below(Trust.SHADOW) is Trust.SHADOW


def test_what_the_end_of_a_run_says() -> None:
    assert trust.after(Outcome.DONE, []) == (True, None)
    assert trust.after(Outcome.FAILED, []) == trust.after(Outcome.LOST, []) == (False, None)
    for neither in (Outcome.NOTHING_TO_DO, Outcome.CANCELLED, Outcome.BLOCKED, Outcome.NEEDS_PERSON):
        assert trust.after(neither, []) == (None, None)
    beyond = [Outside(f"shell: {at}", Verdict.ASK, "", named=False) for at in range(3)]
    assert trust.after(Outcome.DONE, beyond) == (False, "it went beyond its policy: shell: 0, and 2 more")


async def test_runs_count_once_each_and_drift_lowers_it(works: Works) -> None:
    store = works.house.store
    await store.log.write(guard=rows.insert(replace(ROW, trust=Trust.AUTONOMOUS, accepted=3)))
    kept = replace(works.plan(), effects=())

    async def came(outcome: Outcome, trigger: TriggerKind = TriggerKind.MANUAL, **more: object) -> WorkflowRow:
        plan = replace(kept, **more)
        assert (await works.ended(await works.begin(plan, trigger))).outcome is outcome
        return await rows.get(store, "nightly")

    assert (await came(Outcome.DONE, policy=MINED)).accepted == 4
    assert (await came(Outcome.DONE, TriggerKind.REHEARSAL)).accepted == 4
    row = await came(Outcome.FAILED, stages=(stage({"shell": "echo x > greet.py"}, turns=1),))
    assert (row.trust, row.accepted, row.fell) == (Trust.AUTONOMOUS, 0, None)
    # what nobody was asked about, since its rule allows it, is no drift; what no rule names is
    more = stage(MEND, {"shell": "touch more"})
    run = await works.begin(replace(kept, stages=(more,), policy=MINED.replace("ask", "deny")))
    assert (await works.ended(run)).outcome is Outcome.DONE
    row = await rows.get(store, "nightly")
    assert (row.trust, row.accepted) == (Trust.SAMPLED, 0)
    assert row.fell is not None
    assert row.fell.endswith("it went beyond its policy: shell: touch more")
    assert "trust.fell" in await works.lines(run)


async def test_what_was_lost_since_a_run_began_is_lost_at_once(works: Works) -> None:
    await works.house.store.log.write(guard=rows.insert(ROW))
    run = await works.begin(works.plan(trust=Trust.AUTONOMOUS))
    await works.until(run, TaskState.PARKED)
    (effect,) = await works.effects(run)
    assert (effect.state, works.ledger.carried) == (EffectState.WAITING, [])
