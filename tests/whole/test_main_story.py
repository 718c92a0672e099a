"""From an event to a merged pull request: all of it real (server, walls, git, forge protocol) but the model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.fake_github import FakeGitHub, Repository
from tests.fake_provider import prompt
from tests.whole.conftest import git
from tests.whole.house import House, Obj, until

SECRET = "what-the-forge-signs-with"
FILES = {"greet.py": 'def greet(name):\n    return "Hallo " + name\n', "check.sh": 'grep -q "Hello" greet.py\n'}
MEND = prompt([{"shell": "sed -i s/Hallo/Hello/ greet.py"}], "The issue says: {{ event.issue.title }}. Mend it.")
WORKFLOW = f"""\
name: fix-issues
on: {{forge: {{events: issues, actions: opened, when: "issue.title != 'chatter'"}}}}
repositories: event
model: claude-sonnet-4-5
goal: |
  {MEND}
checks: [sh check.sh]
effects:
  then:
    - pull_request: {{title: "Mend: {{{{ event.issue.title }}}}"}}
budget: {{usd: 1, turns: 5}}
"""


@pytest.fixture
async def github(tmp_path: Path) -> AsyncIterator[FakeGitHub]:
    async with FakeGitHub(tmp_path / "github") as double:
        yield double
        await double.settled()
    assert double.violations == []


async def set_up(house: House, github: FakeGitHub, workflow: str = WORKFLOW) -> Repository:
    shop = await github.create("acme/shop", FILES)

    def verbs() -> None:
        forge = ("--kind", "github", "--url", github.url, "--token-stdin")
        house.run("forges", "set", "hub", *forge, stdin=github.token.encode())
        source = ("--kind", "github", "--account", "handrail-bot", "--secret-stdin")
        house.run("sources", "set", "hub", *source, stdin=SECRET.encode())
        file = house.data.parent / "workflow.yaml"
        file.write_text(workflow)
        house.run("workflows", "lint", str(file))
        house.run("workflows", "add", str(file))
        house.run("workflows", "enable", "fix-issues", "--unproven")

    await asyncio.to_thread(verbs)
    github.webhooks.append((f"{house.address()['url']}/hooks/hub", SECRET))
    return shop


def opened(github: FakeGitHub, shop: Repository, title: str = "It greets in German") -> None:
    text = shop.add(title, "please", "alice")
    issue = {"number": text.number, "title": title, "body": "please"}
    github.send("issues", shop, "alice", {"action": "opened", "issue": issue})


def run_of(house: House, state: str = "ended") -> Obj:
    def there() -> Obj | None:
        runs = house.json("runs")["runs"]
        return house.json("runs", "show", str(runs[0]["id"])) if runs and runs[0]["state"] == state else None

    return dict(until(there, 90, f"a run is {state}"))


def waiting(house: House, count: int = 1) -> list[Obj]:
    def there() -> list[Obj] | None:
        found = [item for item in house.json("effects")["effects"] if item["state"] == "waiting"]
        return found if len(found) >= count else None

    return list(until(there, 90, "an effect waits"))


async def merge(github: FakeGitHub, number: int) -> None:
    """A person merges on the forge."""
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {github.token}"}) as client:
        url = f"{github.url}/api/v3/repos/acme/shop/pulls/{number}/merge"
        answer = await client.put(url, json={"merge_method": "merge"})
        assert answer.status_code == 200, answer.text


def cost(run: dict[str, Any]) -> int:
    return int(run["cost_nano"])


@pytest.mark.timeout(300)
async def test_a_signed_event_becomes_a_merged_pull_request(house: House, github: FakeGitHub) -> None:
    shop = await set_up(house, github)
    opened(github, shop)
    opened(github, shop, "chatter")
    (effect,) = await asyncio.to_thread(waiting, house)
    assert effect["kind"] == "pull_request"
    assert shop.pulls == [], "nothing reaches the forge before a person says so"
    shown = await asyncio.to_thread(house.run, "effects", "show", effect["id"])
    assert "Mend: It greets in German" in shown.stdout
    await asyncio.to_thread(house.run, "effects", "approve", effect["id"])
    run = await asyncio.to_thread(run_of, house)
    assert (run["outcome"], run["trigger"]) == ("done", "event"), json.dumps(run, indent=1)[-6000:]
    assert cost(run) > 0
    (pull,) = shop.pulls
    assert pull.title == "Mend: It greets in German"
    (carried,) = (await asyncio.to_thread(house.json, "effects", "--run", run["id"]))["effects"]
    assert carried["receipt"]["url"].endswith(f"/pull/{pull.number}")
    await merge(github, pull.number)
    assert '"Hello "' in git(shop.path, "show", "main:greet.py")
    events = (await asyncio.to_thread(house.json, "events"))["events"]
    reasons = {item["event"]: str(item["reason"]) for item in events if item["sender"] == "alice"}
    assert any("started" in str(item["reason"]) for item in events)
    assert any("the filter gives false" in str(item["reason"]) for item in events), reasons
    assert json.dumps(run).count(github.token) == 0


@pytest.mark.timeout(300)
async def test_a_server_that_is_killed_while_the_agent_works_opens_one_pull_request(
    house: House, github: FakeGitHub
) -> None:
    slow = WORKFLOW.replace('[{"shell": "sed', '[{"shell": "sleep 3"}, {"shell": "sed')
    shop = await set_up(house, github, slow)
    opened(github, shop)

    def killed() -> None:
        until(lambda: house.json("runs")["runs"], 60, "a run began")
        until(lambda: house.json("sessions")["sessions"], 60, "its session began")
        before = house.server()
        house.kill(before)
        house.ready(but=before)

    await asyncio.to_thread(killed)
    (effect,) = await asyncio.to_thread(waiting, house)
    await asyncio.to_thread(house.run, "effects", "approve", effect["id"])
    run = await asyncio.to_thread(run_of, house)
    assert run["outcome"] == "done"
    assert len(shop.pulls) == 1
    assert len((await asyncio.to_thread(house.json, "runs"))["runs"]) == 1
