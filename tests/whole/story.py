"""What the main stories share: a shop on the double of GitHub, a workflow for it, a person who decides."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx2

from tests.fake_github import FakeGitHub, Repository
from tests.fake_provider import prompt
from tests.whole.house import House, Obj, until

SECRET = "what-the-sender-signs-with"
FILES = {"greet.py": 'def greet(name):\n    return "Hallo " + name\n', "check.sh": 'grep -q "Hello" greet.py\n'}
MEND = prompt([{"shell": "sed -i s/Hallo/Hello/ greet.py"}], "Mend it.")
WORKFLOW = f"""\
name: mend
repositories: [hub:acme/shop]
model: claude-sonnet-4-5
goal: |
  {MEND}
checks: [sh check.sh]
effects: {{then: [{{pull_request: {{title: Mend the greeting}}}}]}}
budget: {{usd: 1, turns: 5}}
"""
"""all of it but what starts it"""


async def set_up(house: House, github: FakeGitHub) -> Repository:
    """The shop, and Handrail's forge for it, named hub."""
    shop = await github.create("acme/shop", FILES)
    forge = ("--kind", "github", "--url", github.url, "--token-stdin")
    await asyncio.to_thread(house.run, "forges", "set", "hub", *forge, stdin=github.token.encode())
    return shop


def source(house: House, name: str, kind: str, *options: str) -> str:
    """Let a sender send; the address it sends to."""
    house.run("sources", "set", name, "--kind", kind, *options, "--secret-stdin", stdin=SECRET.encode())
    return f"{house.address()['url']}/hooks/{name}"


def enable(house: House, text: str, name: str) -> None:
    """Keep and enable a workflow."""
    house.call("POST", "/workflows", {"text": text})
    house.call("POST", f"/workflows/{name}/enable", {"unproven": True})


def run_of(house: House, state: str = "ended") -> Obj:
    """The newest run, once it is in this state."""

    def there() -> Obj | None:
        runs = house.get("/runs")["runs"]
        return house.get(f"/runs/{runs[0]['id']}") if runs and runs[0]["state"] == state else None

    return dict(until(there, 90, f"a run is {state}"))


def waiting(house: House) -> Obj:
    """The first effect that waits for a person."""

    def there() -> Sequence[Obj]:
        return [item for item in house.get("/effects")["effects"] if item["state"] == "waiting"]

    return dict(until(there, 90, "an effect waits")[0])


async def merge(github: FakeGitHub, number: int) -> None:
    """A person merges on the forge."""
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {github.token}"}) as client:
        url = f"{github.url}/api/v3/repos/acme/shop/pulls/{number}/merge"
        answer = await client.put(url, json={"merge_method": "merge"})
        assert answer.status_code == 200, answer.text
