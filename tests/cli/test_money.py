"""The verbs about money, each as a user types it, around one session that costs something."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Cli
from tests.fake_provider import prompt

USAGE = {"input": 100_000, "cached": 50_000, "output": 20_000}


@pytest.mark.timeout(170)  # two dozen commands, each a process
def test_every_verb_about_money(work: Cli) -> None:
    assert work.run("budgets").stdout.startswith("no budgets yet")

    text = prompt([{"text": "x", "usage": USAGE}])
    work.run("chat", "--sandbox", "none", stdin=f"{text}\n")
    spent = work.run("spend", "--by", "model", "--by", "scope", "--by", "day").stdout
    assert "unpriced" in spent, "a model without a price is never free"
    assert "fake-1" in spent
    assert "member:you" in spent

    assert work.run("prices", "set", "fake-*", "--input", "3", "--output", "15", "--cached", "0.30").stdout == (
        "fake-* is priced\n"
    )
    row = work.run("prices").stdout.splitlines()[1].split()
    assert row == ["fake-*", "3", "15", "0.30"]
    work.run("chat", "--session", "last", stdin=f"{text}\n")
    told = work.json("spend")
    assert (told["calls"], told["unpriced"]) == (2, 1)
    assert told["total_nano"] == 50_000 * 3_000 + 50_000 * 300 + 20_000 * 15_000

    set_ = ("budgets", "set", "member:you", "--period", "day")
    shown = work.run(*set_, "--money", "0.50", "--tokens", "400000", "--time", "2h").stdout
    assert "$0.47 of $0.50" in shown, "what was spent before counts"
    assert "240,000 of 400,000" in shown
    assert "of 2 h" in shown
    work.run("budgets", "set", "team:core", "--money", "5")
    assert [line.split()[0] for line in work.run("budgets").stdout.splitlines()[1:]] == ["member:you", "team:core"]
    refused = work.run("chat", "--session", "last", stdin=f"{text}\n", code=1).stdout
    assert "the budget of member:you" in refused
    assert work.run("budgets", "remove", "member:you", "--period", "day").stdout == (
        "the budget of member:you is removed\n"
    )
    assert "no budget of member:you" in work.run("budgets", "remove", "member:you", code=None).stderr
    work.run("chat", "--session", "last", stdin=f"{text}\n")
    assert work.json("spend")["calls"] == 3
    assert work.run("prices", "remove", "fake-*").stdout == "the price of fake-* is removed\n"
    assert work.run("prices").stdout.startswith("no prices of your own")
