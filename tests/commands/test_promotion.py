"""The whole way: a session of Handrail's own agent, promoted, rehearsed on real commits, enabled, trusted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
import yaml

from handrail.automation import EffectKind, EffectState, RunState, TaskState, TriggerKind
from handrail.commands import approvals, promotion, rehearsal, sessions, workflows
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.commands.proposing import Proposing
from handrail.commands.rehearsal import Rehearsed, Wanted
from handrail.errors import Conflict, InvalidInput, NotFound
from handrail.forges import mcp
from handrail.kinds import Kind
from handrail.store import arrivals, effects, runs, tasks
from handrail.store.arrivals import ArrivalRow
from handrail.types import ArrivalId, Outcome, RunId, SessionId, now
from handrail.workflows.read import read
from handrail.workflows.rehearse import Came
from tests.commands.desks import begin, open_desk
from tests.fake_provider import FakeProvider, prompt
from tests.sessions.conftest import git, repository

__all__ = ["repository"]

Step: TypeAlias = dict[str, object]
MEND: list[Step] = [{"shell": "sed -i s/Hallo/Hello/ greet.py"}, {"shell": "sh check.sh"}]


@dataclass
class Live:
    desk: Desk
    repository: Path

    async def session(self, steps: list[dict[str, object]], text: str) -> SessionId:
        wanted = sessions.Wanted(
            repository=str(self.repository), agent="handrail", model="claude-sonnet-4-5", title="Mend the greeting",
            prompt=prompt(steps, text), permissions="allow",
        )  # fmt: skip
        made = (await sessions.create(self.desk, OWNER, wanted)).row.id
        async with asyncio.timeout(60), self.desk.store.log.subscribe(made) as events:
            async for event in events:
                if event.kind == Kind.TURN_ENDED:
                    break
        return made

    async def rehearsed(self, name: str, wanted: Wanted) -> Rehearsed:
        await rehearsal.start(self.desk, OWNER, name, wanted)
        async with asyncio.timeout(120):
            while (found := await rehearsal.show(self.desk, OWNER, name, None)).rehearsal.state is Came.RUNNING:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        return found


@pytest.fixture
async def live(tmp_path: Path, repository: Path) -> AsyncIterator[Live]:
    for at in range(5):
        file = repository / ("greet.py" if at % 2 else f"notes-{at}.md")
        file.write_text((file.read_text() if file.exists() else "") + f"# note {at}\n")
        git(repository, "add", "-A")
        git(repository, "commit", "-q", "-m", f"note {at}")
    async with FakeProvider() as fake:
        environ = {"ANTHROPIC_API_KEY": "sk-test", "ANTHROPIC_BASE_URL": fake.url}
        async with open_desk(tmp_path / "data", environ) as desk:
            yield Live(desk, repository)


async def test_a_session_becomes_a_workflow_that_has_proved_itself(live: Live) -> None:
    desk = live.desk
    session = await live.session(MEND, "Mend the greeting, see #42.")
    seen = await promotion.draft(desk, OWNER, session, name="greet", keep=False)
    assert seen.kept is None
    await workflows.add(desk, OWNER, seen.promoted.text.replace("name: greet", "name: taken"))
    with pytest.raises(Conflict, match="choose another name with --name"):
        await promotion.draft(desk, OWNER, session, name="taken", keep=True)
    made = await promotion.draft(desk, OWNER, session, name="greet", keep=True)
    assert made.kept is not None
    assert (made.kept.row.enabled, made.kept.row.source, made.kept.row.origin) == (False, "session", session)
    assert [(rule.section, rule.rule, rule.seen) for rule in made.promoted.rules] == [
        ("shell", "sed -i s/Hallo/Hello/ greet.py", 1), ("shell", "sh check.sh", 1),
    ]  # fmt: skip
    assert (made.promoted.asks, made.promoted.checks) == ((), ("sh check.sh",))
    assert [(one.name, one.value) for one in made.promoted.inputs] == [("issue", "42")]
    with pytest.raises(Conflict, match="version 1 of greet was not rehearsed"):
        await workflows.enable(desk, OWNER, "greet", version=None, unproven=False)

    # where no check decides, the rehearsal says so
    text = made.promoted.text
    await workflows.add(desk, OWNER, text.replace("checks:\n- sh check.sh\n", ""), source="session", origin=session)
    card = (await live.rehearsed("greet", Wanted(commits="HEAD"))).rehearsal
    assert (card.state, card.results[0].cause) == (Came.FAILED, "no_checks")
    with pytest.raises(Conflict, match=r"rehearsal of version 2 of greet failed in 1 of 1 cases, .* no check"):
        await workflows.enable(desk, OWNER, "greet", version=None, unproven=False)

    text = text.replace("# What shall follow from a change, such as effects", "effects")
    text = text.replace("on:\n", "on:\n  schedule: {cron: '0 3 * * *'}\n")
    await workflows.add(desk, OWNER, text, source="session", origin=session)
    assert [check.command for check in read(text).checks] == ["sh check.sh"]
    found = await live.rehearsed("greet", Wanted(commits="last:5", inputs={"issue": 7}))
    card = found.rehearsal
    assert (card.state, card.good, found.version.number) == (Came.PASSED, 5, 3)
    assert found.version.rehearsed is not None
    assert {(one.outcome, one.cause, one.checks, one.passed, one.files) for one in card.results} == {
        (Outcome.DONE, "recorded", 1, 1, 1)
    }
    assert [one.common for one in card.results] == [0, 1, 0, 1, 0]  # which of these commits touched greet.py
    assert all(one.effects == ("pull_request",) and one.asks == one.denials == 0 for one in card.results)
    assert all(one.cost_nano > 0 for one in card.results)
    assert card.forecast is not None
    assert card.forecast.runs_a_month == 30
    assert card.forecast.month_mean_nano == card.forecast.mean_nano * 30
    (run,) = card.runs
    row = await runs.get(desk.store, RunId(run))
    assert (row.trigger, row.state) == (TriggerKind.REHEARSAL, RunState.ENDED)
    assert {effect.state for effect in await effects.of_run(desk.store, row.id)} == {EffectState.RECORDED}
    bases = [task.ref for task in await tasks.of_run(desk.store, row.id)]
    assert bases == git(live.repository, "log", "--format=%H", "-n5", "HEAD~1").split()
    assert git(live.repository, "branch", "--list").split() == ["*", "main"]

    item = await workflows.enable(desk, OWNER, "greet", version=None, unproven=False)
    assert (item.row.enabled, item.row.trust, item.row.accepted) == (True, "supervised", 0)
    assert item.rises == "its file allows no more than supervised"
    with pytest.raises(Conflict, match="write trust: sampled there first"):
        await workflows.entrust(desk, OWNER, "greet", "sampled")


DRIFTING = """\
name: greet
on: {{alert: {{}}}}
goal: |
  {goal} For {{{{ event.name }}}}.
model: claude-sonnet-4-5
repositories: [{repository}]
checks: [sh check.sh]
policy:
  shell: {{allow: [sed -i s/Hallo/Hello/ greet.py]}}
  rest: ask
"""


async def test_what_goes_beyond_the_policy_is_refused_in_a_rehearsal_and_told(live: Live) -> None:
    desk = live.desk
    goal = prompt([*MEND, {"shell": "touch more"}], "Mend it.").replace("\n", " ")
    await workflows.add(desk, OWNER, DRIFTING.format(goal=goal, repository=live.repository))
    with pytest.raises(NotFound, match="no stored event would have started greet"):
        await rehearsal.start(desk, OWNER, "greet", Wanted(events="last:2"))
    with pytest.raises(NotFound, match="has no commit 'nowhere'"):
        await rehearsal.start(desk, OWNER, "greet", Wanted(commits="nowhere"))
    with pytest.raises(InvalidInput, match="name 1 to 100"):
        await rehearsal.start(desk, OWNER, "greet", Wanted(commits="last:0"))
    with pytest.raises(InvalidInput, match="either commits or events"):
        await rehearsal.start(desk, OWNER, "greet", Wanted())
    for at in range(2):
        row = ArrivalRow(
            id=ArrivalId(f"e-{at}"), source="monitor", delivery=f"d{at}", meaning=f"m{at}", event="alert",
            action="firing", sender=None, repository=None, payload={"name": f"case {at}"}, received=now(),
        )  # fmt: skip
        await desk.store.log.write(guard=arrivals.put(row, timedelta(hours=1)))
    card = (await live.rehearsed("greet", Wanted(events="last:1"))).rehearsal
    (one,) = card.results
    assert (card.state, one.name, one.outcome, one.files) == (Came.PASSED, "e-1", Outcome.DONE, 1)
    assert (one.asks, one.denials) == (2, 0)
    assert one.beyond == ("shell: sh check.sh", "shell: touch more")
    session = (await tasks.of_run(desk.store, RunId(card.runs[0])))[0].session
    assert session is not None
    assert "case 1</data-" in str((await sessions.show(desk, OWNER, session)).row.goal)


async def test_what_lies_outside_the_mined_policy_asks_and_what_lies_inside_does_not(live: Live) -> None:
    """A command and an effect on either side of a policy that was mined from a session, not written by hand."""
    desk = live.desk
    desk.gateway.mounted[mcp.PATH] = Proposing(desk.store, desk.forges, desk.post.writes).serve
    report: Step = {"tool": "propose_report", "args": {"title": "Greeting", "body": "It is mended."}}
    message: Step = {"tool": "propose_message", "args": {"channel": "ops", "title": "Mended", "text": "It is."}}
    session = await live.session([*MEND, report], "Mend the greeting.")
    seen = await promotion.draft(desk, OWNER, session, name="greet", keep=False)
    given = yaml.safe_load(seen.promoted.text)
    assert (given["policy"]["rest"], given["effects"]) == ("ask", {"propose": ["report"]})
    goal = prompt([*MEND, {"shell": "touch more"}, report, message], "Mend it.")
    given |= {"on": given.pop(True), "goal": goal, "checks": ["sh check.sh"]}  # YAML 1.1 reads `on` as a truth value
    await workflows.add(desk, OWNER, yaml.safe_dump(given, sort_keys=False))
    run = (await workflows.start(desk, OWNER, "greet", inputs={})).run
    async with asyncio.timeout(60):
        while not (asked := await approvals.waiting(desk, OWNER)):  # noqa: ASYNC110 - the agent asks
            await asyncio.sleep(0.05)
        assert [one.input for one in asked] == [{"command": "touch more"}]
        await approvals.answer(desk, OWNER, asked[0].id, "allow", option=None, because=None)
        while (task := (await tasks.of_run(desk.store, run))[0]).state is not TaskState.PARKED:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert {row.kind: (row.state, row.reason) for row in await effects.of_run(desk.store, run)} == {
        EffectKind.REPORT: (EffectState.APPROVED, "it stays inside Handrail"),
        EffectKind.MESSAGE: (
            EffectState.WAITING, "no rule of the session policy names the effect message: it says ask to the rest"
        ),
    }  # fmt: skip
    assert task.session is not None
    events = await desk.store.log.read(task.session, limit=1000)
    assert sum(event.kind == Kind.APPROVAL_ASKED for event in events) == 1


async def test_a_session_without_a_prompt_is_refused(desk: Desk) -> None:
    session = await begin(desk)
    with pytest.raises(InvalidInput, match="it has no prompt and no goal"):
        await promotion.draft(desk, OWNER, session, name=None, keep=True)
    with pytest.raises(NotFound):
        await promotion.draft(desk, OWNER, "s-none", name=None, keep=True)
