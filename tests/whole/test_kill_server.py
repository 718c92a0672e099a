"""kill -9 of the server at random moments: it comes back, the work goes on, and nothing that was shown is lost."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.whole.house import Face, House, Obj, Steps, until

STEPS = 50
CHECKS = ("--check", "sleep 0.2; grep -qx finished made.txt", "--check", "test -e killed || sleep 9; test -s made.txt")
"""they do not end by themselves before the last kill, however late a machine under load comes to it"""
LAST = "It is finished."

Moment = tuple[str, float]
"""what the face must see first, and how many seconds later the server is killed"""


def moments(chance: random.Random) -> list[Moment]:
    """Ten moments over the whole course: start-up, nothing yet, model call, tool, checks and snapshots."""
    early = [("server", chance.uniform(0.0, 0.35)) for _ in range(2)]
    idle = [("ready", chance.uniform(0.0, 0.8))]
    work = [(chance.choice(("tool.started", "agent.text")), chance.uniform(0.0, 0.3)) for _ in range(5)]
    mixed = [*early, *idle, *work]
    chance.shuffle(mixed)
    return [*mixed, (LAST, chance.uniform(0.0, 0.12)), ("check.started", chance.uniform(0.0, 0.4))]


def steps() -> Steps:
    """Fifty steps that leave a mark each, in several ways; text comes in pieces, so that a model call takes a while."""
    kinds = ("shell", "sleep", "edit", "write", "text")
    for number in range(STEPS):
        mark = f"step-{number}"
        match kinds[number % len(kinds)]:
            case "shell":
                yield {"shell": f"echo {mark} >> made.txt"}
            case "sleep":
                yield {"shell": f"sleep 0.1; echo {mark} >> made.txt; sleep 0.1"}
            case "edit":
                yield {"shell": f"printf '{mark}\\n' | tee -a made.txt; test -s made.txt"}
            case "write":
                yield {
                    "tools": [
                        {"write": {"path": f"{mark}.txt", "content": mark}},
                        {"shell": f"sleep 0.05; cat {mark}.txt >> made.txt; echo >> made.txt"},
                    ]
                }
            case _:
                yield {"text": f"I am at {mark}.", "chunks": 4, "delay": 0.03, "shell": f"echo {mark} >> made.txt"}
    for number in range(6):  # more than once: the first may be cut off
        yield {"shell": f"grep -qx finished made.txt || echo finished >> made.txt; true {number}"}
    yield {"text": LAST}


def check_face(face: Face, log: list[Obj]) -> None:
    """What it was shown is in the log as it was shown, each once and in order, and nothing was left out."""
    shown = [(event["seq"], event) for event in face.seen]
    assert [seq for seq, _ in shown] == list(range(1, len(shown) + 1))
    kept = {event["seq"]: event for event in log}
    assert [seq for seq, event in shown if kept.get(seq) != event] == []
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))


def check_tools(log: list[Obj]) -> set[str]:
    """Every call was shown once and ended once; returns those that were cut off."""
    started = Counter(event["data"]["call"] for event in log if event["kind"] == "tool.started")
    ended = {event["data"]["call"]: event["data"]["status"] for event in log if event["kind"] == "tool.ended"}
    assert [call for call, count in started.items() if count != 1] == []
    assert set(started) == set(ended)
    assert sum(event["kind"] == "tool.ended" for event in log) == len(ended)
    return {call for call, status in ended.items() if status == "interrupted"}


def check_effects(workspace: Path, log: list[Obj], cut_off: set[str]) -> None:
    """Each step's mark stands at most twice in the file, and one that stands twice belongs to a call cut off."""
    marks = Counter((workspace / "made.txt").read_text().split())
    inputs = {
        event["data"]["call"]: str(event["data"].get("input")) for event in log if event["kind"] == "tool.started"
    }
    for mark, count in marks.items():
        if count > 1:
            calls = [call for call, given in inputs.items() if mark in given.split() or f"{mark}.txt" in given]
            assert count == 2, mark
            assert cut_off & set(calls), mark
    lost = STEPS - sum(f"step-{number}" in marks for number in range(STEPS))
    assert lost <= len(cut_off) + 10  # a step that was cut off before its effect is not repeated by the script
    assert marks["finished"] >= 1


def await_moment(house: House, face: Face, moment: str, skip: int) -> int:
    """Wait until the time has come; returns the process to kill."""
    if moment == "server":
        return int(until(house.server, why="a server process"))
    pid = house.ready()
    begun = len(face.seen)

    def seen() -> bool:
        fresh = face.seen[begun:]
        if moment == LAST:
            return any(event["kind"] == "agent.text" and LAST in event["data"]["text"] for event in fresh)
        return len([event for event in fresh if event["kind"] == moment]) >= skip

    if moment != "ready":
        until(seen, why=f"{moment} was shown")
    return pid


def other(house: House, gone: int) -> None:
    """Wait for the next server process."""
    until(lambda: house.server() not in (None, gone), why="the keeper started another server")


@pytest.mark.timeout(170)
@pytest.mark.parametrize("seed", [1, 2])
def test_ten_kills_of_a_session_of_fifty_steps(house: House, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # moments, not secrets
    session = house.hand_off(steps(), *CHECKS)
    with Face(house, session) as face:
        for moment, delay in moments(chance):
            pid = await_moment(house, face, moment, chance.randint(1, 4) if moment == "tool.started" else 1)
            time.sleep(delay)
            assert not face.of("outcome.reached"), moment
            house.kill(pid)
            other(house, pid)
        next(house.data.glob(f"sessions/{session}/**/made.txt")).with_name("killed").touch()
        until(lambda: face.of("outcome.reached"), why="the outcome")
        until(lambda: face.seen[-1]["kind"] == "control.changed")
    log = house.events(session)
    told = house.show(session)
    assert (face.of("outcome.reached")[0]["data"]["outcome"], told["outcome"]) == ("done", "done")
    check_face(face, log)
    check_effects(Path(told["workspace"]), log, check_tools(log))
    assert [event["kind"] for event in log].count("outcome.reached") == 1
    assert {event["data"]["how"] for event in log if event["kind"] == "agent.started"} <= {"new", "loaded"}
    last = max(event["seq"] for event in log if event["kind"] == "tool.ended")
    after = [event for event in log if event["seq"] > last and event["kind"] == "check.ended"]
    assert [event["data"]["passed"] for event in after][-2:] == [True, True]
    house.run("down")
    house.empty()
