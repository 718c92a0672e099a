"""What agents propose through their MCP server inside a run: real agent, real door; only the model is played."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from handrail.automation import EffectKind, EffectState, TaskState, Trust
from handrail.commands.forge_shelf import ForgeShelf
from handrail.commands.proposing import Proposing
from handrail.forges import mcp
from handrail.runs.plan import PlannedEffect
from handrail.store.effects import EffectRow
from handrail.types import Outcome, RunId
from tests.runs.conftest import MEND, OpenWorks, Works, git, stage

PULL = EffectKind.PULL_REQUEST
MINED = "shell:\n  allow: [sed *]\nrest: ask\n"
"""as promotion mines one: what was seen is allowed, all else asks"""


def call(tool: str, **args: object) -> dict[str, object]:
    return {"tool": f"propose_{tool}", "args": args}


@pytest.fixture
async def works(open_works: OpenWorks) -> AsyncIterator[Works]:
    async with open_works() as works:
        shelf = ForgeShelf(works.house.store, b"0" * 32)
        works.house.gateway.mounted[mcp.PATH] = Proposing(works.house.store, shelf, lambda _notice, _key: ()).serve
        yield works


def said(rows: list[EffectRow]) -> list[tuple[str, str, str | None]]:
    return [(str(row.body.get("title")), row.state, row.cause) for row in rows]


def branches(works: Works) -> list[str]:
    return git(works.house.repository, "for-each-ref", "--format=%(refname:short)", "refs/heads/handrail").split()


async def test_a_pull_request_of_the_agent_has_the_commit_of_the_task_and_its_evidence(works: Works) -> None:
    steps = (
        call("pull_request", title="First thought"),
        MEND,
        call("pull_request", title="Say Hello", body="Why not."),
    )
    run = await works.begin(works.plan(stage(*steps), effects=(), may_propose=(PULL,)))
    assert (await works.ended(run)).outcome is Outcome.DONE
    first, second = await works.effects(run)
    assert said([first, second]) == [("First thought", "rejected", "superseded"), ("Say Hello", "carried", None)]
    (branch,) = branches(works)
    assert "Hello" in git(works.house.repository, "show", f"{branch}:greet.py")
    assert (second.receipt or {})["branch"] == second.body["head"] == branch
    assert str(second.body["body"]).startswith("Why not.\n\n### Evidence\n\n- `sh check.sh` passed after the last edit")


@pytest.mark.parametrize("kind", [PULL, EffectKind.PUSH])
async def test_there_is_one_pull_request_when_the_workflow_names_it_too(works: Works, kind: EffectKind) -> None:
    steps = (MEND, call("push"), call("pull_request", title="Say Hello", body="Why not."))
    plan = works.plan(stage(*steps), effects=(PlannedEffect(kind),), may_propose=(PULL, EffectKind.PUSH))
    run = await works.begin(plan)
    assert (await works.ended(run)).outcome is Outcome.DONE
    pushed, *made = sorted(await works.effects(run), key=lambda row: (row.by, row.kind) != ("agent", EffectKind.PUSH))
    rows = {row.by: row for row in made}
    if kind is PULL:
        assert (pushed.state, pushed.body["commit"]) == (EffectState.CARRIED, rows["workflow"].body["commit"])
        assert said([rows["workflow"], rows["agent"]]) == [
            ("Say Hello", "carried", None), ("Say Hello", "rejected", "duplicate")
        ]  # fmt: skip
        assert str(rows["workflow"].body["body"]).startswith("Why not.\n\n### Evidence\n")
    else:  # the pull request is that of the branch which the workflow pushes
        assert rows["agent"].state is EffectState.CARRIED
        assert rows["agent"].body["head"] == rows["workflow"].body["branch"]
        assert (pushed.state, pushed.cause) == (EffectState.REJECTED, "duplicate")
    assert len(branches(works)) == (2 if kind is PULL else 1)


async def test_a_pull_request_of_nothing_is_turned_down_with_its_reason(works: Works) -> None:
    (works.house.repository / "greet.py").write_text("Hello\n")
    await works.commit("well already")
    run = await works.begin(works.plan(stage(call("pull_request", title="T")), effects=(), may_propose=(PULL,)))
    assert (await works.ended(run)).outcome is Outcome.NOTHING_TO_DO
    (row,) = await works.effects(run)
    assert (row.state, row.reason) == (
        EffectState.REJECTED,
        "nothing was changed, so there is nothing to open a pull request for",
    )
    assert branches(works) == []


async def unlisted(works: Works, policy: str | None) -> tuple[RunId, EffectRow]:
    """An autonomous run whose agent proposes what the workflow does not list."""
    steps = (MEND, call("report", title="Findings", body="All of it"))
    run = await works.begin(works.plan(stage(*steps), effects=(), policy=policy))
    await (works.ended(run) if policy is None else works.until(run, TaskState.PARKED))
    (row,) = await works.effects(run)
    return run, row


async def test_what_a_policy_leaves_to_a_person_waits_for_one_and_is_not_lost(works: Works) -> None:
    run, row = await unlisted(works, MINED)
    assert (row.state, works.ledger.asked) == (EffectState.WAITING, 0)
    assert row.reason == "no rule of the session policy names the effect report: it says ask to the rest"
    await works.decide(row, EffectState.APPROVED)
    assert (await works.ended(run)).outcome is Outcome.DONE
    assert [one.id for one in works.ledger.carried] == [row.id]
    _, silent = await unlisted(works, None)
    assert (silent.state, silent.reason) == (
        EffectState.REJECTED, "this workflow does not let its agents propose a report"
    )  # fmt: skip


async def test_proposals_of_a_task_that_fails_stay_with_it_and_of_one_that_is_taken_wait_for_its_person(
    works: Works,
) -> None:
    steps: tuple[dict[str, object], ...] = (call("report", title="Findings", body="B"), {"text": "I cannot."})
    listed = works.plan(stage(*steps, turns=1), effects=(), may_propose=(EffectKind.REPORT,))
    run = await works.begin(listed)
    assert (await works.ended(run)).outcome is Outcome.FAILED
    (row,) = await works.effects(run)
    assert (row.state, row.cause, row.reason) == (EffectState.REJECTED, "too_late", "its task ended before")
    git(works.house.repository, "mv", "greet.py", "gone.py")
    held = works.plan(stage(steps[0], {"shell": "sleep 60"}), effects=(), trust=Trust.AUTONOMOUS)
    run = await works.begin(held)
    session = await works.at_work(run)
    found: list[EffectRow] = []
    while not found:
        found = await works.proposed(session)
    (task,) = await works.tasks(run)
    await works.runs.take(task.id, "alice")
    (row,) = await works.proposed(session)
    assert (row.state, row.task) == (EffectState.WAITING, None)
