"""Two whole servers on one PostgreSQL: what one of them was at, the other finishes, and nothing is done twice."""

from __future__ import annotations

import os
import signal
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import httpx2
import psycopg
import pytest

from tests import postgres
from tests.fake_provider import prompt
from tests.whole.conftest import Build, git
from tests.whole.house import House, Obj, alive, until

BRANCH = "handrail/hello"
# on the first server it is at work until that is killed or stopped, however slow the machine; on the other it goes on
SLOW = [{"shell": "sed -i s/Hallo/Hello/ greet.py"}, {"shell": "case $PWD in */one/*) sleep 90;; esac"}]


def workflow(repository: Path, name: str, *, trust: str) -> str:
    goal = prompt(SLOW if trust == "autonomous" else SLOW[:1], "Say Hello.")
    told = "".join(f"  {line}\n" for line in goal.splitlines())
    return (
        f"name: {name}\non: {{manual: {{}}}}\ngoal: |\n{told}model: claude-sonnet-4-5\ntrust: {trust}\n"
        f"checks: sh check.sh\nrepositories: [{repository}]\n"
        f"effects: {{then: [{{pull_request: {{title: Hello, branch: {BRANCH}-{name}}}}}]}}\n"
    )


@pytest.fixture
def pair(build: Build, tmp_path: Path) -> tuple[House, House]:
    """Two houses that share nothing but the database and the key that seals what is in it."""
    url = postgres.database()
    env = {"HANDRAIL_MASTER_KEY": b64encode(bytes(32)).decode(), "HANDRAIL_SERVER_DEAD": "3"}
    houses = []
    for name in ("one", "two"):
        house = build(data=tmp_path / name, env=env)
        house.run("up", "--database", url)
        houses.append(house)
    one, two = houses
    for name, trust in (("shown", "supervised"), ("killed", "autonomous"), ("stopped", "autonomous")):
        file = tmp_path / f"{name}.yaml"
        file.write_text(workflow(one.repository, name, trust=trust))
        one.run("workflows", "add", str(file))
    with psycopg.connect(url, autocommit=True) as connection:  # earned by runs which are not what is looked at here
        connection.execute("UPDATE workflows SET trust = 'autonomous' WHERE name <> 'shown'")
    return one, two


def last(house: House, state: Callable[[Obj], bool], seconds: float = 90) -> Obj:
    def there() -> Obj | None:
        told = house.json("runs", "show", "last")
        return told if state(told) else None

    return dict(until(there, seconds, "the run"))


def at_work(house: House) -> Obj:
    """The run, once the agent of its one task has changed the file."""
    told = last(house, lambda run: run["all"][0]["session"] is not None)
    house.wait(told["all"][0]["session"], "tool.ended")
    return told


@pytest.mark.timeout(280)
def test_what_a_dead_server_was_at_goes_on_at_another_and_is_done_once(pair: tuple[House, House]) -> None:
    one, two = pair
    assert [row["quiet"] < 60 for row in one.json("status")["servers"]] == [True, True]
    one.run("members", "add", "bob")
    one.run("workflows", "start", "shown")
    waits = last(one, lambda run: any(effect["state"] == "waiting" for effect in run["all"][0]["effects"]))
    (effect,) = waits["all"][0]["effects"]
    told = two.refused("prompt", waits["all"][0]["session"], "more")
    assert "is on another server" in told
    two.run("effects", "approve", effect["id"])  # said there, done where the workspace is
    assert last(two, lambda run: run["state"] == "ended")["outcome"] == "done"

    one.run("workflows", "start", "shown")
    left = last(one, lambda run: any(effect["state"] == "waiting" for effect in run["all"][0]["effects"]))
    one.run("workflows", "start", "killed")
    begun = at_work(one)
    one.kill(one.keeper(), one.server())
    ended = last(two, lambda run: run["state"] == "ended")
    once(ended, begun, one.repository, "killed")
    assert "run.moved" in lines(two, "last")
    gone_on_elsewhere(two, left)
    one.run("up")  # it finds that its work is done
    assert one.show(begun["all"][0]["session"])["outcome"] == "lost"

    two.run("members", "remove", "bob")  # it knows whom the other one let in
    one.run("workflows", "start", "stopped")
    begun = at_work(one)
    keeper, server = one.keeper(), one.server()
    assert keeper is not None
    assert server is not None
    os.kill(server, signal.SIGSTOP)
    ended = last(two, lambda run: run["state"] == "ended")
    once(ended, begun, one.repository, "stopped")
    os.kill(server, signal.SIGCONT)  # it goes on as if nothing had been, and finds that it may not
    old = begun["all"][0]["session"]
    one.at_rest(old)  # its agent was ended
    assert alive(server)
    once(two.json("runs", "show", "last"), begun, one.repository, "stopped")
    until(lambda: "bob" not in one.run("members", "list").stdout, why="the other server knows who was removed")
    for house in pair:
        house.run("down")
        house.empty()


def gone_on_elsewhere(house: House, left: Obj) -> None:
    """What waits for a person on a dead server says so, and is begun again where that person says; done once."""
    number, before = str(left["number"]), left["all"][0]
    assert house.json("runs", "show", number)["all"][0]["away"]["quiet"] >= 3
    assert "waits for its server" in house.run("runs", "show", number).stdout
    page = httpx2.get(
        f"{house.address()['url']}/runs/{left['id']}",
        headers={"Authorization": f"Bearer {house.address()['token']}"}, trust_env=False, verify=False,
    )  # fmt: skip
    assert "It waits for its server" in page.text
    house.run("runs", "resume", number, "--failed")

    def waiting() -> Obj | None:
        (task,) = house.json("runs", "show", number)["all"]
        found = [effect for effect in task["effects"] if effect["state"] == "waiting"]
        return dict(found[0]) if found and task["session"] not in (None, before["session"]) else None

    house.run("effects", "approve", until(waiting, 60, "it came as far again")["id"])
    until(lambda: house.json("runs", "show", number)["state"] == "ended", 60, "it ended")
    (task,) = house.json("runs", "show", number)["all"]
    assert (task["outcome"], task["away"]) == ("done", None)
    assert [effect["state"] for effect in task["effects"]].count("carried") == 1


def lines(house: House, run: str) -> list[str]:
    """What happened in a run."""
    headers = {"Authorization": f"Bearer {house.address()['token']}"}
    answer = httpx2.get(
        f"{house.address()['url']}/api/v1/runs/{run}/events", headers=headers, trust_env=False, verify=False
    )
    return [line["kind"] for line in answer.json()["events"]]


def once(run: Obj, begun: Obj, repository: Path, name: str) -> None:
    """The run is the one that was begun; its task was done again in another session, and delivered once."""
    (task,), (before,) = run["all"], begun["all"]
    assert (run["id"], run["outcome"], task["id"]) == (begun["id"], "done", before["id"])
    assert task["session"] != before["session"]
    (carried,) = [effect for effect in task["effects"] if effect["state"] == "carried"]
    branches = git(repository, "for-each-ref", "--format=%(refname:short)", f"refs/heads/{BRANCH}-{name}").split()
    assert branches == [f"{BRANCH}-{name}"]
    assert git(repository, "rev-parse", branches[0]).strip() == carried["receipt"]["commit"]
