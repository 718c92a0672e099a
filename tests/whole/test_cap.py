"""A cap on money, a server that is killed again and again, and a provider that counts what reaches it."""

from __future__ import annotations

import time

import pytest

from tests.sessions.conftest import git
from tests.whole.house import House, until

USAGE = {"input": 1_000, "output": 1_000}
CALL = 1_000 * 3_000 + 1_000 * 15_000
CAP = 1_000_000_000


@pytest.mark.timeout(170)
def test_a_cap_outlives_kill_9_and_nothing_leaves_after_it(house: House) -> None:
    house.run("budgets", "set", "member:you", "--money", "1")
    steps: list[dict[str, object]] = [
        {"repeat": 300, "step": {"shell": "sleep 0.2; echo {i} >> made.txt", "usage": USAGE}}
    ]
    sessions = [house.hand_off(steps, "--check", "false", "--turns", "50") for _ in range(2)]
    heard = house.model.fake
    for number in (8, 16, 24):
        until(lambda number=number: len(heard.model_calls) >= number, why=f"{number} calls")  # type: ignore[misc]
        pid = house.ready()
        house.kill(pid)
        house.ready(but=pid)
    assert len(heard.model_calls) * CALL < CAP, "it was killed in the middle"
    reached = [house.wait(session, "outcome.reached", seconds=90)["data"] for session in sessions]
    assert {one["cause"] for one in reached} == {"budget_spent"}
    assert {one["outcome"] for one in reached} == {"needs_person"}
    left = len(heard.model_calls)
    assert left * CALL <= CAP, "what reached the provider, whatever the ledger knows of it"
    told = house.json("spend")["total_nano"]
    assert 24 * CALL < told <= left * CALL
    (budget,) = house.json("budgets")["budgets"]
    assert budget["used_nano"] == told

    pid = house.ready()
    house.kill(pid)
    house.ready(but=pid)
    (budget,) = house.json("budgets")["budgets"]
    assert budget["used_nano"] == told < CAP, "the pot is what the ledger says"
    assert budget["spent"], "and spent, since that was said, though a small call would fit into what is left"
    again = house.hand_off(steps, "--check", "false")
    assert house.wait(again, "outcome.reached")["data"]["cause"] == "budget_spent"
    time.sleep(0.5)
    assert len(heard.model_calls) == left, "no call leaves once it is spent"
    for number, session in enumerate(sessions):
        assert "made.txt" in house.run("diff", session).stdout, "what was made is kept"
        house.run("apply", session, "--branch", f"kept-{number}")
        assert git(house.repository, "show", f"kept-{number}:made.txt").split()
    house.run("down")
