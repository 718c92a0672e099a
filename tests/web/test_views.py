"""Every answer of the API is what its model in `answers` says, no more and no less."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx2

from handrail.commands.desk import Desk
from handrail.gateway import ModelCall, Wire
from handrail.kinds import Kind
from handrail.store import calls
from handrail.store.calls import Spend, Totals
from handrail.store.log import Draft
from handrail.types import Check, Goal, Limits, NanoUSD, Outcome, now
from handrail.web import answers, views
from handrail.web.answers import MODELS
from handrail.workspaces import Applied, ApplyMode, Change, FileChange
from tests.commands.desks import ask, begin


async def told(client: httpx2.AsyncClient, path: str, model: str) -> dict[str, Any]:
    answer = await client.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    MODELS[model].model_validate_json(answer.content, strict=True)
    found: dict[str, Any] = answer.json()
    return found


async def test_answers_keep_to_their_models(desk: Desk, client: httpx2.AsyncClient) -> None:
    goal = Goal("Make it pass.", (Check("pytest -q"),), Limits(5, NanoUSD(10**9), 60.0))
    alice = await begin(desk, goal=goal, outcome=Outcome.DONE, outcome_reason="it passed", holds=["reads"])
    await ask(desk, alice, diffs=[{"path": "a", "old": None, "new": "b"}])
    await desk.store.log.append(alice, [Draft(Kind.NOTICE, {"level": "info", "text": "héllo \ud800"})])
    priced = ModelCall(alice, 1, now(), "anthropic", Wire.ANTHROPIC, "m", 200, 10, 2, 3, NanoUSD(5))
    await desk.store.log.write(calls.insert(priced))
    session = await told(client, "/sessions/last", "Session")
    assert session["goal"]["budget_nano"] == 10**9
    assert session["approvals"][0]["options"][0]["kind"] == "allow_once"
    assert session["created"].endswith("Z")
    await told(client, "/sessions", "SessionList")
    page = await told(client, f"/sessions/{alice}/events?limit=2", "EventPage")
    assert (len(page["events"]), page["last_seq"]) == (2, 3)
    await told(client, "/approvals", "ApprovalList")
    await told(client, "/agents", "AgentList")
    providers = await told(client, "/providers", "ProviderList")
    assert providers["providers"][0]["source"] == "environment"
    assert "sk-test" not in json.dumps(providers)
    spend = await told(client, "/spend", "Spend")
    assert spend["total_nano"] == 5
    assert [row["agent"] for row in spend["by_agent"]] == ["handrail"]
    await told(client, "/members", "MemberList")
    status = await told(client, "/status", "Status")
    assert status["sessions"] == {"total": 1, "running": 0, "waiting": 0}
    await told(client, "/doctor", "Doctor")


def test_a_change_and_where_it_went() -> None:
    change = Change("a" * 40, "b" * 40, (FileChange("x.py", "modified", 1, 2, flag="configures an agent"),), "patch")
    answers.Change.model_validate(views.change(change))
    answers.Applied.model_validate(views.applied(Applied(ApplyMode.BRANCH, "handrail/x", "c" * 40, 3)), strict=False)


async def test_what_is_written_is_answered_in_its_model_too(desk: Desk, client: httpx2.AsyncClient) -> None:
    asked = await ask(desk, await begin(desk))
    answer = await client.post(f"/api/v1/approvals/{asked}", json={"decision": "deny", "because": "no"})
    assert answers.Approval.model_validate_json(answer.content).by == "you"
    again = await client.post(f"/api/v1/approvals/{asked}", json={"decision": "allow"})
    assert again.status_code == 409
    problem = answers.Problem.model_validate_json(again.content)
    assert "deny by you" in problem.detail
    put = await client.put("/api/v1/providers/work", json={"wire": "openai", "key": "sk-other"})
    assert answers.ProviderShown.model_validate_json(put.content).source == "stored"
    assert "sk-other" not in put.text
    gone = await client.delete("/api/v1/providers/work")
    assert answers.Removed.model_validate_json(gone.content).removed
    await begin(desk, "s-bob")
    assert (await client.post("/api/v1/sessions/last/cancel")).status_code == 409
    taken = await client.post("/api/v1/sessions/last/take")
    assert answers.Session.model_validate_json(taken.content).control == "you"


def test_a_table_for_spreadsheets_holds_no_formula() -> None:
    sums = Totals(2, 1_500_000_000, 1, 10, 0, 5)
    text = views.spend_table(Spend(sums, {"=1+1": sums, 'a, "b"': sums}, {}, {}, {"claude": sums}, {}, {}, {}))
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0][:3] == ["by", "name", "calls"]
    assert rows[1] == ["agent", "claude", "2", "1.500000000", "1", "10", "5"]
    assert [row[1] for row in rows[2:]] == ["'=1+1", 'a, "b"']
