from __future__ import annotations

from msgspec.structs import replace

from handrail.automation import EffectKind, EffectState, TaskState, TriggerKind, Trust
from handrail.notify import Occasion
from handrail.runs import results, spending
from handrail.runs.evidence import UNKNOWN
from handrail.runs.plan import PlannedEffect, Target
from handrail.runs.rooms import Refused
from handrail.store import calls, effects
from handrail.types import Outcome, Scope
from tests.runs.conftest import Ledger, OpenWorks, Works, git, stage


async def test_a_task_goes_from_its_goal_to_a_receipt(works: Works) -> None:
    run = await works.begin(works.plan())
    row = await works.ended(run)
    (task,) = await works.tasks(run)
    (effect,) = await works.effects(run)
    assert (row.outcome, row.reason) == (Outcome.DONE, "1 done")
    assert (task.outcome, task.cause) == (Outcome.DONE, "carried_out")
    assert effect.state is EffectState.CARRIED
    assert effect.receipt is not None
    branch = str(effect.receipt["branch"])
    assert branch == f"handrail/nightly-{task.id[2:]}"
    assert "Hello" in git(works.house.repository, "show", f"{branch}:greet.py")
    assert git(works.house.repository, "rev-list", "--count", f"main..{branch}").strip() == "1"
    made = results.change(task)
    assert made.verified
    assert [(check.command, check.passed) for check in made.checks] == [("sh check.sh", True)]
    assert task.cost_nano == row.cost_nano > 0
    scopes = (await calls.spend(works.house.store)).by_scope  # so that a budget of the run or the workflow binds it
    for shared in (f"run:{run}", "workflow:nightly", "member:alice"):
        assert scopes[Scope(shared)].cost_nano == row.cost_nano
    told = [(notice.occasion, notice.outcome) for notice in works.told]
    assert told == [(Occasion.RUN, "done")]
    steps = ["run.begun", *["task.step"] * 4, "effect.approved", "task.step", "effect.carried", "task.step"]
    assert await works.lines(run) == [*steps[:5], *steps[5:], "task.ended", "run.ended"]


async def test_a_supervised_effect_waits_for_a_person_and_costs_a_row(works: Works) -> None:
    run = await works.begin(works.plan(trust=Trust.SUPERVISED))
    task = await works.until(run, TaskState.PARKED)
    (effect,) = await works.effects(run)
    assert (effect.state, task.reason) == (EffectState.WAITING, "1 effect waits for a person")
    spent = (await spending.of_tasks(works.house.store, run))[task.id]  # it is told before the end sums it up
    assert spent == (await spending.of_runs(works.house.store, [run]))[run]
    assert spent.cost_nano > task.cost_nano == 0
    assert works.ledger.carried == []
    assert [notice.occasion for notice in works.told] == [Occasion.EFFECT]
    await works.decide(effect, EffectState.APPROVED)
    assert (await works.ended(run)).outcome is Outcome.DONE
    assert [row.id for row in works.ledger.carried] == [effect.id]


async def test_a_rejected_effect_is_not_carried_out_and_no_success(works: Works) -> None:
    run = await works.begin(works.plan(trust=Trust.SUPERVISED))
    await works.until(run, TaskState.PARKED)
    (effect,) = await works.effects(run)
    await works.decide(effect, EffectState.REJECTED, "not like this")
    ended = await works.ended(run)
    assert ended.outcome is Outcome.FAILED
    assert ended.seen is not None, "who rejected it knows of the end"
    (task,) = await works.tasks(run)
    assert (task.cause, task.reason) == ("rejected", "alice rejected the pull_request: not like this")
    assert works.ledger.asked == 0


async def test_a_status_says_success_of_the_commit_that_was_checked_and_of_no_other(works: Works) -> None:
    """That a changed commit passes says nothing of the one that the task began with."""
    said = works.plan(trust=Trust.SHADOW, effects=(PlannedEffect(EffectKind.STATUS),))
    for at, state in enumerate(("pending", "success")):
        run = await works.begin(said)
        assert (await works.ended(run)).outcome is Outcome.DONE
        (effect,) = await works.effects(run)
        head = git(works.house.repository, "rev-parse", "HEAD").strip()
        assert (effect.body["state"], effect.body["commit"]) == (state, head)
        if at == 0:
            greet = works.house.repository / "greet.py"
            greet.write_text(greet.read_text().replace("Hallo", "Hello"))
            await works.commit("mended by hand")


async def test_shadow_and_rehearsal_record_and_carry_nothing_out(works: Works) -> None:
    shadow = await works.begin(works.plan(trust=Trust.SHADOW))
    rehearsal = await works.begin(works.plan(), TriggerKind.REHEARSAL)
    for run in (shadow, rehearsal):
        assert (await works.ended(run)).outcome is Outcome.DONE
        (task,), (effect,) = await works.tasks(run), await works.effects(run)
        assert (task.cause, effect.state) == ("recorded", EffectState.RECORDED)
    assert works.ledger.asked == 0
    assert "handrail/" not in git(works.house.repository, "branch", "--list")


async def test_an_empty_change_is_nothing_to_do_only_if_the_checks_agree(works: Works) -> None:
    git(works.house.repository, "mv", "greet.py", "other.py")
    (works.house.repository / "greet.py").write_text("Hello\n")
    git(works.house.repository, "add", "-A")
    git(works.house.repository, "commit", "-q", "-m", "well already")
    agreed = await works.begin(works.plan(stage({"text": "All is well."})))
    silent = await works.begin(works.plan(stage({"text": "All is well."}, checks=())))
    assert (await works.ended(agreed)).outcome is Outcome.NOTHING_TO_DO
    assert (await works.ended(silent)).outcome is Outcome.NEEDS_PERSON
    assert [(await works.tasks(run))[0].cause for run in (agreed, silent)] == ["empty_change", "no_checks"]
    assert works.ledger.asked == 0


async def test_a_change_without_checks_waits_for_a_person_whatever_the_trust(works: Works) -> None:
    run = await works.begin(works.plan(stage(checks=())))
    await works.until(run, TaskState.PARKED)
    (effect,) = await works.effects(run)
    assert effect.reason == "no check decided about the change behind it"
    assert "Not verified: no check was given" in str(effect.body["body"])


async def test_checks_that_never_pass_end_with_a_name_of_their_own(works: Works) -> None:
    run = await works.begin(works.plan(stage({"shell": "echo Hullo > greet.py"}, {"text": "Done!"}, turns=1)))
    assert (await works.ended(run)).outcome is Outcome.FAILED
    (task,) = await works.tasks(run)
    assert (task.cause, await works.effects(run)) == ("turns_spent", [])
    assert task.likeness


async def test_what_a_forge_refuses_in_passing_is_tried_again_and_for_good_is_told(open_works: OpenWorks) -> None:
    down = Refused("forge_down", "the forge answered 500", passing=True)
    async with open_works(Ledger(answers=[down, down])) as works:
        run = await works.begin(works.plan())
        assert (await works.ended(run)).outcome is Outcome.DONE
        assert works.ledger.asked == 3
        assert (await works.lines(run)).count("task.retried") == 2
        works.ledger.answers = [Refused("protected_branch", "main is protected")]
        run = await works.begin(works.plan())
        assert (await works.ended(run)).outcome is Outcome.NEEDS_PERSON
        (task,) = await works.tasks(run)
        assert (task.cause, task.reason) == ("protected_branch", "pull request: main is protected")
        await works.runs.resume(run, "alice", failed=True)  # delivery alone: no agent works again
        assert (await works.ended(run)).outcome is Outcome.DONE
        assert (await works.tasks(run))[0].attempt == 1
        works.ledger.answers = [Refused(UNKNOWN, "it may have been delivered")]
        run = await works.begin(works.plan())
        assert (await works.ended(run)).outcome is Outcome.NEEDS_PERSON
        (effect,), asked = await works.effects(run), works.ledger.asked
        there = effects.change(effect.id, EffectState.FAILED, state=EffectState.CARRIED, receipt={}, cause=None)
        await works.house.store.log.write(guard=there)  # a person says so, see `commands.effects.arrived`
        await works.runs.resume(run, "alice", failed=True)
        assert ((await works.ended(run)).outcome, works.ledger.asked) == (Outcome.DONE, asked)


async def test_a_review_is_handed_to_the_next_stage_in_one_chain_of_workspaces(works: Works) -> None:
    stages = (
        stage({"shell": "sed -i s/Hallo/Hello/ greet.py"}, name="implement"),
        stage({"shell": "echo spoilt > greet.py"}, {"text": "Say Hello twice."}, name="review", checks=(), review=True),
        stage({"shell": "grep -q Hello greet.py && echo '# Hello twice' >> greet.py"}, name="fix"),
    )
    run = await works.begin(works.plan(*stages))
    assert (await works.ended(run)).outcome is Outcome.DONE
    (task,), (effect,) = await works.tasks(run), await works.effects(run)
    assert effect.receipt is not None
    text = git(works.house.repository, "show", f"{effect.receipt['branch']}:greet.py")
    assert text == 'def greet(name):\n    return "Hello " + name\n# Hello twice\n'
    assert git(works.house.repository, "rev-list", "--count", f"main..{effect.receipt['branch']}").strip() == "1"
    work = results.work(task)
    assert [stage.name for stage in work.ended] == ["implement", "review", "fix"]
    row = await works.house.row(work.ended[2].session)
    assert row.goal is not None
    assert "Say Hello twice." in row.goal.text


async def test_the_same_cause_starts_one_run(works: Works) -> None:
    first = await works.begin(works.plan(), TriggerKind.SCHEDULE, key="tick:nightly:1")
    again = await works.begin(works.plan(), TriggerKind.SCHEDULE, key="tick:nightly:1")
    assert first == again
    await works.ended(first)
    assert len(works.ledger.carried) == 1


async def test_a_ref_that_an_event_names_is_not_trusted_and_its_rerun_neither(works: Works) -> None:
    target = Target(str(works.house.repository), ref="main")
    plan = replace(works.plan(), targets=(target,))
    run = await works.begin(plan, TriggerKind.EVENT, arrival="e-1")
    await works.ended(run)
    again = await works.runs.rerun(run, "alice", failed=False)
    await works.ended(again)
    by_hand = await works.begin(plan)
    await works.ended(by_hand)
    seen = [(await works.house.row(await works.at_work(one))).untrusted for one in (run, again, by_hand)]
    assert seen == [True, True, False]
