"""A person takes or ends a task while its forge has not answered: nothing is done twice, lost, or said falsely."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import asdict

from handrail.automation import EffectState, RunState, TaskState
from handrail.commands.pushing import Pushing
from handrail.errors import ForgeError
from handrail.forges import effects as e
from handrail.forges.deliver import Patience, carry_out
from handrail.forges.github import GitHub, Token
from handrail.forges.http import client
from handrail.runs import delivery
from handrail.runs.plan import Target
from handrail.runs.rooms import Brought, Carried, Refused
from handrail.store import runs
from handrail.store.effects import EffectRow
from handrail.store.tasks import TaskRow
from handrail.types import Outcome, RunId
from tests.fake_github import FakeGitHub, Repository
from tests.forges.conftest import sh
from tests.runs.conftest import MEND, Ledger, OpenWorks, Works, by_hand, stage

OPENS = r"POST .*/pulls$"


@dataclass
class Hub:
    """A GitHub with one repository, and what brings it here and carries effects out in it."""

    github: FakeGitHub
    shop: Repository
    forge: GitHub
    checkout: Path

    async def bring(self, _: Target) -> Brought:
        return Brought(self.checkout, None)

    async def carry(self, effect: EffectRow, source: Path) -> Carried | Refused:
        said = e.parse(effect.kind, effect.body)
        try:
            patience = Patience(tries=1)
            receipt = await carry_out(self.forge, said, effect.id, push=Pushing(), source=source, patience=patience)
        except ForgeError as error:
            return Refused(error.cause, error.message, error.passing)
        return Carried(asdict(receipt))

    @property
    def opened(self) -> list[str]:
        return [text.title for text in self.shop.texts.values()]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with FakeGitHub(tmp_path / "github") as github, client() as http:
        files = {"greet.py": 'def greet(name):\n    return "Hallo " + name\n', "check.sh": "grep -q Hello greet.py\n"}
        shop = await github.create("acme/shop", files)
        sh("git", "clone", "-q", str(shop.path), "checkout", cwd=tmp_path)
        yield Hub(github, shop, GitHub(http, github.url, Token(github.token)), tmp_path / "checkout")
        await github.settled()
    assert github.violations == []


async def delivering(works: Works, hub: Hub) -> tuple[RunId, TaskRow]:
    """A task whose pull request is open at the forge, which has not said so."""
    plan = works.plan(stage(MEND, {"text": "Done."}), targets=(Path("hub:acme/shop"),))
    run = await works.begin(plan)
    async with asyncio.timeout(60):
        while not hub.opened:  # noqa: ASYNC110 - another task opens it
            await asyncio.sleep(0.02)
    return run, (await works.tasks(run))[0]


@pytest.mark.parametrize("patience", [20, 0.2])
async def test_taken_while_the_forge_has_not_answered(
    open_works: OpenWorks, hub: Hub, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    """An answer that comes soon is kept; what was not answered is looked for when the task goes on."""
    monkeypatch.setattr(delivery, "ANSWER", patience)
    hub.github.fail(OPENS, 200, times=1, after=True, delay=1)
    async with open_works(Ledger(inner=hub), sources=hub) as works:
        run, task = await delivering(works, hub)
        await works.runs.take(task.id, "alice")
        (taken,) = await works.tasks(run)
        (effect,) = await works.effects(run)
        assert (taken.state, (await runs.get(works.house.store, run)).state) == (TaskState.TAKEN, RunState.RUNNING)
        assert effect.state is (EffectState.CARRIED if patience > 1 else EffectState.CARRYING)
        await by_hand(works, task)
        assert (await works.ended(run)).outcome is Outcome.DONE
        first, second = await works.effects(run)
        assert (first.state, second.state) == (EffectState.CARRIED, EffectState.CARRIED)
        assert hub.opened == ["Say Hello"]
        assert second.body["expected"] == first.body["commit"]
        assert await hub.shop.head(str(second.body["head"])) == second.body["commit"]


async def test_cancelled_while_the_forge_has_not_answered_it_says_so_and_is_looked_for_later(
    open_works: OpenWorks, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ANSWER", 0.2)
    hub.github.fail(OPENS, 200, times=1, after=True, delay=1)
    async with open_works(Ledger(inner=hub), sources=hub) as works:
        run, _ = await delivering(works, hub)
        await works.runs.cancel(run, "alice")
        assert (await works.ended(run)).outcome is Outcome.CANCELLED
        (effect,) = await works.effects(run)
        assert (effect.state, effect.cause) == (EffectState.FAILED, "unknown")
        assert "may have been carried out, look at acme/shop" in str(effect.reason)
        await works.runs.resume(run, "alice", failed=True, step="work")
        assert (await works.ended(run)).outcome is Outcome.DONE
        assert {effect.state for effect in await works.effects(run)} == {EffectState.CARRIED}
        assert hub.opened == ["Say Hello"]
