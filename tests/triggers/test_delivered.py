from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from handrail.automation import EffectKind, EffectState, Trust
from handrail.notify import Notice, Occasion
from handrail.store import arrivals, effects, workflows
from handrail.store.arrivals import ArrivalRow
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.workflows import WorkflowRow
from handrail.triggers import DAY
from handrail.triggers.delivered import ClosedUnmerged, FailedCheck, closed_unmerged, failed_check
from handrail.triggers.dispatch import Dispatcher, Listener
from handrail.triggers.senders import gitlab
from handrail.types import ArrivalId, EffectId, Json, RunId, now

SHA, OTHER = "a" * 40, "b" * 40


def event(name: str, kind: str, payload: Json, repository: str | None = "acme/app") -> ArrivalRow:
    return ArrivalRow(
        id=ArrivalId(name), source="github", delivery=name, meaning=name, event=kind, action="completed", sender="ci",
        repository=repository, payload=payload, received=now(),
    )  # fmt: skip


def suite(conclusion: str, sha: str = SHA, branch: str | None = "handrail/x") -> Json:
    return {"check_suite": {"conclusion": conclusion, "head_sha": sha, "head_branch": branch}}


def test_what_tells_of_a_failed_check() -> None:
    run: Json = {"conclusion": "timed_out", "name": "build", "head_sha": SHA, "check_suite": {"head_branch": "b"}}
    status: Json = {"state": "error", "context": "ci/x", "sha": SHA, "branches": [{"name": "b"}, {}]}
    assert failed_check(event("e", "check_run", {"check_run": run})) == FailedCheck("build", "acme/app", SHA, ("b",))
    assert failed_check(event("e", "status", status)) == FailedCheck("ci/x", "acme/app", SHA, ("b",))
    assert failed_check(event("e", "check_suite", suite("failure", branch=None))) == FailedCheck(
        "check_suite", "acme/app", SHA, ()
    )
    own: Json = {"id": 7, "sha": SHA, "ref": "handrail/x", "status": "failed"}
    told = gitlab.message("", {"object_kind": "pipeline", "object_attributes": own}, None)
    of_gitlab = failed_check(event("e", told.event, told.payload))
    assert of_gitlab == FailedCheck("pipeline", "acme/app", SHA, ("handrail/x",))
    others: tuple[tuple[str, Json], ...] = (
        ("check_suite", suite("success")), ("check_suite", {}), ("check_suite", {"check_suite": 1}), ("push", {}),
        ("status", {"state": "pending", "sha": SHA}), ("status", {"state": "failure"}),
        ("workflow_run", {"workflow_run": {"conclusion": None}}),
    )  # fmt: skip
    for kind, payload in others:
        assert failed_check(event("e", kind, payload)) is None
    assert failed_check(event("e", "check_suite", suite("failure"), None)) is None


def test_what_tells_that_a_person_did_not_want_a_pull_request() -> None:
    """A merge, another act, and what an automaton sweeps away, tell of no such thing."""
    url = "https://hub.example/acme/app/pull/3"
    pull: Json = {"number": 3, "html_url": url, "merged": False}
    told: Json = {"pull_request": pull, "sender": {"login": "alice", "type": "User"}}
    row = replace(event("e", "pull_request", told), action="closed", sender="alice")
    assert closed_unmerged(row) == ClosedUnmerged("alice", "acme/app", 3, url)
    others: tuple[dict[str, Any], ...] = (
        {"action": "reopened"}, {"event": "issues"}, {"sender": "stale[bot]"},
        {"payload": {**told, "pull_request": {**pull, "merged": True}}},
        {"payload": {**told, "sender": {"login": "queue", "type": "Bot"}}}, {"payload": {}},
    )  # fmt: skip
    assert [closed_unmerged(replace(row, **other)) for other in others] == [None] * len(others)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path / "handrail.db") as opened:
        at = now()
        row = WorkflowRow(name="nightly", source="file", origin=None, version="0", enabled=True, trust=Trust.AUTONOMOUS,
                          accepted=9, created=at, updated=at)  # fmt: skip
        await opened.log.write(guard=workflows.insert(row))
        delivered: tuple[tuple[str, Json, Json | None], ...] = (
            ("f-1", {"repository": "acme/app", "head": "handrail/x", "commit": OTHER}, {"ids": {"commit": SHA}}),
            ("f-2", {"repository": "acme/app", "branch": "handrail/y", "commit": "c" * 40}, None),
        )
        for name, body, receipt in delivered:
            effect = EffectRow(
                id=EffectId(name), key=name, kind=EffectKind.PULL_REQUEST, target="acme/app", body=body, by="workflow",
                created=at, run=RunId("r-1"), workflow="nightly", state=EffectState.CARRIED, carried=at,
                receipt=receipt,
            )  # fmt: skip
            await opened.log.write(effects.propose(effect))
        yield opened


async def worked(store: Store, *rows: ArrivalRow, told: list[Notice] | None = None) -> WorkflowRow:
    async def listening() -> Sequence[Listener]:
        return []

    async def start(_workflow: str, _row: ArrivalRow) -> RunId:
        raise AssertionError

    def tell(notice: Notice, _key: str, _to: tuple[str, ...]) -> tuple[Write, ...]:
        (told if told is not None else []).append(notice)
        return ()

    for row in rows:
        await store.log.write(guard=arrivals.put(row, DAY))
    await Dispatcher(store, listening, start, tell).work_off()
    return await workflows.get(store, "nightly")


async def test_a_check_that_fails_on_a_delivery_lowers_its_workflow_once(store: Store) -> None:
    elsewhere = event("e-0", "check_suite", suite("failure", "d" * 40, "handrail/x"), "acme/other")
    assert (await worked(store, elsewhere)).trust is Trust.AUTONOMOUS
    several = [event(f"e-{at}", "check_suite", suite("failure")) for at in (1, 2)]
    told: list[Notice] = []
    row = await worked(store, *several, told=told)
    (notice,) = told
    assert (notice.occasion, notice.title) == (Occasion.TRUST, "nightly")
    assert notice.detail == "check_suite failed in acme/app on what it had delivered: it is sampled from now on"
    assert (row.trust, row.accepted) == (Trust.SAMPLED, 0)
    assert row.fell == "check_suite failed in acme/app on what it had delivered"
    assert (await effects.get(store, EffectId("f-1"))).cause == "check_failed"
    row = await worked(store, event("e-3", "check_suite", suite("failure", "d" * 40, "handrail/y")))
    assert row.trust is Trust.SUPERVISED
