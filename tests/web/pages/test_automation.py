"""Runs, workflows, events and effects as a person meets them in a browser."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from msgspec.structs import replace

from handrail.automation import ArrivalState, EffectKind, EffectState, RunState, Step, TaskState, TriggerKind, Trust
from handrail.commands import runs as runs_api
from handrail.commands import sessions
from handrail.commands.actor import OWNER, Permission
from handrail.commands.desk import Desk
from handrail.commands.runs import Task
from handrail.kinds import Kind
from handrail.runs import results
from handrail.runs.plan import Plan, Stage, Target, as_json
from handrail.runs.results import Made, Ran, put
from handrail.store import arrivals, effects, polls, runs, tasks
from handrail.store.arrivals import ArrivalRow
from handrail.store.effects import EffectRow
from handrail.store.polls import PollRow
from handrail.store.runs import RunRow
from handrail.store.tasks import TaskRow
from handrail.types import ArrivalId, EffectId, Outcome, RunId, SessionId, TaskId, now
from handrail.web.guard import Keys
from handrail.web.pages.matrix import cells
from tests.commands.desks import ask, begin
from tests.web.pages.test_routes import NASTY, Page, page

RUN = RunId("r-one")
WORKFLOW = """\
name: greet
on:
  schedule: {cron: '0 3 * * *'}
  forge: {events: issues, actions: opened}
  manual: {inputs: {times: {type: integer, default: 1, description: how often}}}
goal: "Greet {{ inputs.times }} times"
repositories: /src/x
"""


def task(at: int = 0, **columns: Any) -> TaskRow:
    values: dict[str, Any] = {
        "id": TaskId(f"t-{at}"), "run": RUN, "position": at, "repository": f"/src/repo-{at}", "created": now(),
        "results": {},
    }  # fmt: skip
    return TaskRow(**(values | columns))


def effect(state: EffectState = EffectState.WAITING, **columns: Any) -> EffectRow:
    values: dict[str, Any] = {
        "id": EffectId(f"f-{state}"), "key": f"key-{state}", "kind": EffectKind.PULL_REQUEST, "target": "acme/shop",
        "body": {"title": "Mend it"}, "by": "agent", "created": now(), "state": state,
    }  # fmt: skip
    return EffectRow(**(values | columns))


def checked(row: TaskRow, *passed: bool) -> TaskRow:
    made = Made(head="h" * 40, checks=tuple(Ran("make check", one, int(not one), NASTY) for one in passed))
    return replace(row, results=put(row, "check", made))


async def a_run(desk: Desk, *rows: TaskRow, **columns: Any) -> None:
    plan = Plan("greet", "v" * 40, (Stage("work", "x"),), tuple(Target(row.repository) for row in rows))
    values: dict[str, Any] = {
        "id": RUN, "number": 1, "workflow": "greet", "version": "v" * 40, "trigger": TriggerKind.MANUAL,
        "plan": as_json(plan), "by": "you", "trust": Trust.SUPERVISED, "created": now(), "inputs": {},
        "state": RunState.ENDED, "outcome": Outcome.FAILED, "reason": NASTY,
    }  # fmt: skip
    run = RunRow(**(values | columns))
    await desk.store.log.write(runs.insert(run), *(tasks.insert(row) for row in rows))


def acted(row: TaskRow, *of: EffectState) -> Task:
    return Task(row, "work", results.change(row), tuple(effect(state) for state in of))


def at_work(state: TaskState, **columns: Any) -> TaskRow:
    return task(state=state, step=Step.WORK, session=SessionId("s"), **columns)


def ended(outcome: Outcome, *passed: bool) -> TaskRow:
    return checked(at_work(TaskState.ENDED, outcome=outcome), *passed)


async def arrived(desk: Desk) -> None:
    nasty = NASTY.replace("\x00", "")
    row = ArrivalRow(
        id=ArrivalId("e-one"), source="hub", delivery="d", meaning="m", event="issues", action="opened", sender=nasty,
        repository="acme/shop", payload={"issue": {"title": nasty}}, received=now(), state=ArrivalState.WORKED,
        reason="started greet",
    )  # fmt: skip
    await desk.store.log.write(guard=arrivals.put(row, timedelta(days=1)))


async def test_empty_pages_say_what_to_do(browser: httpx2.AsyncClient) -> None:
    assert "No run yet" in (await page(browser, "/runs")).words
    assert "No workflow yet" in (await page(browser, "/workflows")).words
    assert "No event yet" in (await page(browser, "/events")).words
    rail = (await page(browser, "/runs")).all("a")
    assert {"/inbox", "/sessions", "/workflows", "/runs", "/spend"} <= {str(link.get("href")) for link in rail}


async def test_a_run_shows_groups_matrix_evidence_and_effects(desk: Desk, browser: httpx2.AsyncClient) -> None:
    session = await begin(desk)
    over: dict[str, Any] = {"state": TaskState.ENDED, "step": Step.REPORT}
    good = [checked(task(at, outcome=Outcome.DONE, **over), True) for at in range(2)]
    bad = checked(task(2, outcome=Outcome.FAILED, reason=NASTY, session=session, **over), True, False)
    held = task(3, state=TaskState.PARKED, step=Step.GATE, session=SessionId("s-alice"))
    await a_run(desk, *good, bad, held)
    receipt = {"url": "https://forge/pull/7"}
    bait = {"url": "javascript:alert(1)"}
    about: dict[str, Any] = {"run": RUN, "workflow": "greet"}
    for row in (
        effect(task=held.id, **about),
        effect(EffectState.CARRIED, task=good[0].id, receipt=receipt, **about),
        effect(EffectState.REJECTED, task=bad.id, receipt=bait, because=NASTY, **about),
    ):
        await desk.store.log.write(effects.propose(row))
    assert "/runs/r-one" in [link.get("href") for link in (await page(browser, f"/sessions/{session}")).all("a")]
    found = await page(browser, "/runs/r-one")
    assert "2 alike done" in found.words
    assert "1 of 2" in found.words
    assert "1 to decide" in found.words
    assert "1 effect waits for you" in found.words
    links = {link.get("href") for link in found.all("a")}
    assert {"https://forge/pull/7", "/sessions/s-alice", "/workflows/greet"} <= links
    assert not any(str(link).startswith("javascript") for link in links)
    assert {"/effects/f-waiting", "/runs/r-one/rerun", "/runs/r-one/resume"} <= found.forms
    takes = {form for form in found.forms if str(form).endswith("/take")}
    assert takes == {"/tasks/t-2/take", "/tasks/t-3/take"}, "what has ended too, where there is a session to take"
    assert "alert(1)" in found.words
    assert "f-rejected" in (await browser.get("/runs/r-one.json")).text
    assert "javascript:" in (await page(browser, "/effects/f-rejected")).words
    assert (await browser.get("/effects/f-carried.json")).json()["receipt"] == receipt


async def test_facets_narrow_the_list_and_count_what_each_would_leave(
    desk: Desk, browser: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    await a_run(desk, task(), reason=None)
    other = task(1, id=TaskId("t-b"), run=RunId("r-b"), repository="/src/other")
    stage = Stage("work", "x", agent="claude", model="opus")
    plan = as_json(Plan("sweep", "v" * 40, (stage,), (Target("/src/other"),)))
    await a_run(
        desk, other, id=RunId("r-b"), number=2, workflow="sweep", plan=plan, by="bob", trigger=TriggerKind.SCHEDULE,
        outcome=Outcome.DONE, created=now() - timedelta(days=3),
    )  # fmt: skip
    today, then = now().date().isoformat(), (now() - timedelta(days=3)).date().isoformat()
    every = (await browser.get("/runs.json")).json()
    assert every["facets"] == {
        "state": {"ended": 2}, "outcome": {"done": 1, "failed": 1}, "workflow": {"greet": 1, "sweep": 1},
        "repository": {"/src/other": 1, "/src/repo-0": 1}, "trigger": {"manual": 1, "schedule": 1},
        "agent": {"claude": 1, "handrail": 1}, "model": {"opus": 1}, "by": {"bob": 1, "you": 1},
        "day": {today: 1, then: 1},
    }  # fmt: skip
    assert (every["fits"], every["failed"]) == (2, ["r-one"])
    words = {
        "state": "ended", "outcome": "done", "workflow": "sweep", "repository": "/src/other", "trigger": "schedule",
        "agent": "claude", "model": "opus", "by": "bob", "day": then,
    }  # fmt: skip
    for name, word in words.items():
        query = f"{name}={quote(word, safe='')}"
        narrowed = (await browser.get(f"/runs.json?{query}")).json()
        assert [one["id"] for one in narrowed["runs"]] == (["r-b", "r-one"] if name == "state" else ["r-b"]), name
    assert [one["id"] for one in (await client.get("/api/v1/runs", params=words)).json()["runs"]] == ["r-b"]
    shown = await page(browser, "/runs?trigger=schedule&agent=claude")
    links = {str(link.get("href")) for link in shown.all("a")}
    assert {"/runs?agent=claude", "/runs?trigger=schedule"} <= links
    assert "/runs?by=bob" in {str(link.get("href")) for link in (await page(browser, "/runs")).all("a")}
    assert "1 queued" in (await page(browser, "/runs?workflow=greet&state=ended")).words
    assert "No run fits" in (await page(browser, "/runs?workflow=greet&state=running")).words
    for wrong in ("state=asleep", "outcome=x", "trigger=x", "day=yesterday"):
        assert wrong.partition("=")[0] in (await page(browser, f"/runs?{wrong}", 422)).words
    await page(browser, "/runs/r-none", 404)


async def test_what_failed_of_the_runs_that_fit_is_tried_again_together(
    desk: Desk, browser: httpx2.AsyncClient, client: httpx2.AsyncClient, keys: Keys
) -> None:
    for at, name in enumerate(("r-a", "r-b", "r-c", "r-d"), 1):
        bad = task(at, id=TaskId(f"t-{name}"), run=RunId(name), state=TaskState.ENDED, outcome=Outcome.FAILED)
        await a_run(desk, bad, id=RunId(name), number=at, workflow="other" if name == "r-d" else "greet")
    await a_run(desk, id=RunId("r-none"), number=5)  # says that it failed, and has no task that did
    found = await page(browser, "/runs?workflow=greet")
    assert "Try 4 failed runs again" in found.words
    (only,) = [field["value"] for field in found.all("input") if field.get("name") == "only"]
    assert only == "r-none r-c r-b r-a"
    form = {"csrf": keys.form_of(OWNER), "workflow": "greet", "only": "r-none r-b r-a"}
    told = await browser.post("/runs/retry", data=form)
    assert told.status_code == 200, told.text
    assert "2 go on" in Page(told).words
    assert "nothing of run 5 waits to go on" in Page(told).words
    lines = {name: [one.kind for one in await runs.events(desk.store, RunId(name))] for name in ("r-a", "r-b", "r-c")}
    assert {name for name, kinds in lines.items() if "run.resumed" in kinds} == {"r-a", "r-b"}
    rest = (await client.post("/api/v1/runs/retry", json={"workflow": "other"})).json()
    assert rest == {"resumed": ["r-d"], "refused": [], "left": 0}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (acted(at_work(TaskState.RUNNING)), "done now later later later later"),
        (acted(at_work(TaskState.TAKEN)), "done taken later later later later"),
        (acted(task()), "queued later later later later later"),
        (acted(ended(Outcome.DONE, True), EffectState.CARRIED), "done done 1 of 1 1 proposed passed 1 carried out"),
        (acted(ended(Outcome.FAILED, False)), "done done 0 of 1 none none none"),
        (acted(ended(Outcome.FAILED, True), EffectState.FAILED), "done done 1 of 1 1 proposed passed failed"),
        (acted(ended(Outcome.DONE), EffectState.RECORDED), "done done no check 1 proposed none recorded"),
        (acted(task(state=TaskState.ENDED, outcome=Outcome.BLOCKED)), "failed none none none none none"),
        (acted(at_work(TaskState.ENDED, outcome=Outcome.NEEDS_PERSON)), "done stopped none none none none"),
    ],
)
def test_cells_follow_the_evidence(given: Task, words: str) -> None:
    assert " ".join(cell.word for cell in cells(given)) == words


async def test_effects_are_counted_and_answered_in_the_inbox(
    desk: Desk, browser: httpx2.AsyncClient, keys: Keys
) -> None:
    await ask(desk, await begin(desk))
    await desk.store.log.write(effects.propose(effect()))
    found = await page(browser, "/inbox")
    assert " in work of s-alice o · project · handrail" in found.words
    assert "Inbox 2 waiting" in found.words
    assert {"/effects/f-waiting", "/approvals/a-1"} <= found.forms
    assert [one["id"] for one in (await browser.get("/inbox.json")).json()["effects"]] == ["f-waiting"]
    fields = {str(field["id"]): field["data-key"] for field in found.all("input") if field.get("name") == "because"}
    assert fields == {"a-1-because": "m", "f-waiting-because": "m"}, "a name each, so that no morph takes what is typed"
    form = {"csrf": keys.form_of(OWNER), "back": "/inbox", "decision": "reject", "because": "not now"}
    assert (await browser.post("/effects/f-waiting", data=form)).status_code == 303
    assert "not now" in (await page(browser, "/effects/f-waiting")).words
    again = await browser.post("/effects/f-waiting", data=form)
    assert again.status_code == 409
    assert (await browser.post("/effects/f-waiting", data=form | {"csrf": "x"})).status_code == 403
    doubtful = effect(EffectState.FAILED, cause="unknown", session=SessionId("s-alice"))
    await desk.store.log.write(effects.propose(doubtful))
    assert "It arrived Try again" in (await page(browser, "/effects/f-failed")).words
    said = {"csrf": keys.form_of(OWNER), "back": "/inbox", "decision": "arrived"}
    assert (await browser.post("/effects/f-failed", data=said)).status_code == 303
    assert "carried out" in (await page(browser, "/effects/f-failed")).words


async def test_what_ended_badly_stands_in_the_inbox_until_somebody_knows(
    desk: Desk, browser: httpx2.AsyncClient, client: httpx2.AsyncClient, keys: Keys
) -> None:
    bad = await begin(desk, "s-bad", outcome=Outcome.NEEDS_PERSON, outcome_reason=NASTY)
    again = await begin(desk, "s-again", outcome=Outcome.BLOCKED)
    await begin(desk, "s-good", outcome=Outcome.DONE)
    await begin(desk, "s-of-a-run", outcome=Outcome.FAILED, key="work:t-0")
    await a_run(desk, task(), by="you")
    await a_run(desk, id=RunId("r-rehearsed"), number=2, trigger=TriggerKind.REHEARSAL)
    await a_run(desk, id=RunId("r-stopped"), number=3, state=RunState.STOPPED, outcome=None)
    found = await page(browser, "/inbox")
    assert "Inbox 4 waiting" in found.words
    seen = {"/sessions/s-bad/seen", "/sessions/s-again/seen", "/runs/r-one/seen", "/runs/r-stopped/seen"}
    assert found.forms == seen | {"/runs/r-one/resume", "/runs/r-stopped/resume"}
    ended = (await browser.get("/inbox.json")).json()["ended"]
    assert ended == (await client.get("/api/v1/unseen")).json()
    assert [one["id"] for one in ended["sessions"] + ended["runs"]] == ["s-bad", "s-again", "r-one", "r-stopped"]
    form = {"csrf": keys.form_of(OWNER), "back": "/inbox"}
    for path in ("/sessions/s-bad/seen", "/sessions/s-bad/seen", "/runs/r-one/seen"):
        assert (await browser.post(path, data=form)).status_code == 303
    assert (await browser.post("/sessions/s-good/seen", data=form)).status_code == 409
    events = [event.kind for event in await desk.store.log.read(bad)]
    assert events.count(Kind.OUTCOME_SEEN) == 1, "the second time said nothing new"
    await sessions.end(desk, OWNER, again)  # who works on it knows of it
    await runs_api.cancel(desk, OWNER, "r-stopped")
    assert "Nothing waits for you" in (await page(browser, "/inbox")).words
    assert "The outcome was seen by you" in (await page(browser, f"/sessions/{bad}")).words


async def test_a_workflow_from_the_gallery_to_a_run(
    desk: Desk, browser: httpx2.AsyncClient, client: httpx2.AsyncClient, keys: Keys
) -> None:
    form = {"csrf": keys.form_of(OWNER), "back": "/workflows"}
    answer = await browser.post("/gallery/triage-issues", data=form)
    assert answer.headers["location"] == "/workflows/triage-issues"
    added = await client.post("/api/v1/workflows", json={"text": WORKFLOW})
    assert added.status_code == 201, added.text
    await client.post("/api/v1/workflows", json={"text": WORKFLOW.replace("Greet", "Welcome")})
    await a_run(desk, task())
    listed = await page(browser, "/workflows")
    assert "Run 1: failed" in listed.words
    assert "/gallery/triage-issues" not in listed.forms
    found = await page(browser, "/workflows/greet")
    assert "Enable it unproven" in found.words
    told = (await browser.get("/workflows/greet.json")).json()["sentence"]
    assert told == {
        "When": "at 03:00 every day (UTC); on issues (opened)", "For each of": "/src/x",
        "Do": "Welcome {{ inputs.times }} times, with handrail", "Check": "nothing: nobody verifies it",
        "Ask": "a person about each effect", "Deliver": "nothing outside",
    }  # fmt: skip
    assert all(f"{what}{words}" in found.words for what, words in told.items())
    assert sum(str(time.get("datetime") or "") > now().isoformat() for time in found.all("time")) == 5, "the next five"
    assert any(field.get("name") == "input.times" for field in found.all("input"))
    assert "What changed since version 1" in found.words
    assert 'goal: "Welcome' not in (await page(browser, "/workflows/greet?version=1")).words
    await page(browser, "/workflows/greet?version=3", 422)
    assert (await browser.post("/workflows/greet/enable", data=form)).status_code == 409
    assert (await browser.post("/workflows/greet/enable", data=form | {"unproven": "yes"})).status_code == 303
    assert "Disable" in (await page(browser, "/workflows/greet")).words
    assert (await browser.post("/workflows/greet/trust", data=form | {"level": "sampled"})).status_code in {409, 422}
    refused = await browser.post("/workflows/greet/start", data=form | {"input.times": "x"})
    assert refused.status_code == 422
    assert "inputs.times" in refused.text
    assert (await browser.post("/workflows/greet/rehearse", data=form | {"cases": "last:0"})).status_code == 422
    assert (await browser.post("/workflows/greet/disable", data=form)).status_code == 303
    assert (await browser.get("/workflows/greet.json")).json()["enabled"] is False
    assert len((await browser.get("/workflows.json")).json()["workflows"]) == 2
    await page(browser, "/workflows/none", 404)


async def test_an_event_and_what_would_come_of_it(
    desk: Desk, browser: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    await client.post("/api/v1/workflows", json={"text": WORKFLOW})
    await client.post("/api/v1/workflows", json={"text": "name: other\ngoal: x\nrepositories: /src/x\n"})
    await arrived(desk)
    assert "started greet" in (await page(browser, "/events")).words
    later = now() + timedelta(days=1)
    row = PollRow(source="hub", repository="acme/shop", every=60, due=later, seen={}, error="no answer", created=later)
    await desk.store.log.write(*polls.replace("hub", [row], []))
    assert "no answer" in (await page(browser, "/events")).words
    assert "alert(1)" in (await page(browser, "/events/e-one")).words
    assert "other would not start" in (await page(browser, "/events/e-one?workflow=other")).words
    tried = await page(browser, "/events/e-one?workflow=greet")
    assert "greet would start" in tried.words
    assert "Greet 1 times" in tried.words
    assert tried.forms == {"/events/e-one/replay"}
    assert (await browser.get("/events/e-one.json")).json()["reason"] == "started greet"
    assert (await browser.get("/events.json")).json()["events"][0]["id"] == "e-one"
    await page(browser, "/events/e-one?workflow=none", 404)


@pytest.mark.parametrize(
    ("path", "lacks"),
    [
        ("/runs", Permission.RUNS_READ),
        ("/workflows", Permission.WORKFLOWS_READ),
        ("/events", Permission.EVENTS_READ),
        ("/effects/f-waiting", Permission.EFFECTS_READ),
    ],
)
async def test_who_may_not_read_is_told_so(
    desk: Desk, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, lacks: Permission
) -> None:
    await desk.store.log.write(effects.propose(effect()))
    monkeypatch.setattr("handrail.web.guard.OWNER", replace(OWNER, permissions=OWNER.permissions - {lacks}))
    assert lacks.value in (await page(browser, path, 403)).words


async def test_strangers_see_nothing(stranger: httpx2.AsyncClient) -> None:
    for path in ("/runs", "/workflows", "/events", "/runs/r-one"):
        assert (await stranger.get(path, headers={"accept": "text/html"})).status_code in {401, 403}
