"""A run from the command line alone: started, waited for, decided in the one inbox, read by its task."""

from __future__ import annotations

import pytest

from tests.fake_provider import prompt
from tests.whole.conftest import git
from tests.whole.house import House, Obj, until

MEND = prompt([{"shell": "sed -i s/Hallo/Hello/ greet.py"}, {"text": "It greets."}], "Make it say Hello.")


def proposed(house: House) -> Obj:
    """The effect that waits in the inbox."""
    (effect,) = until(lambda: house.json("inbox")["effects"], 90, "an effect waits")
    return dict(effect)


@pytest.mark.timeout(300)
def test_a_run_is_started_waited_for_decided_and_read_by_its_task(house: House) -> None:
    file = house.data.parent / "say-hello.yaml"
    file.write_text(
        f"name: say-hello\non: {{manual: {{}}}}\nrepositories: [{house.repository}]\nmodel: claude-sonnet-4-5\n"
        f"goal: |\n  {MEND}\nchecks: [sh check.sh]\neffects: {{then: [push]}}\n"
    )
    house.run("workflows", "add", str(file))
    with house.start("workflows", "start", "say-hello", "--wait") as starter:
        effect = proposed(house)
        task = str(effect["task"])
        with house.start("runs", "wait", "last") as waiter:
            shown = house.run("inbox").stdout
            assert f"{effect['id']}  run {effect['run']}, proposed" in shown
            assert "push in" in shown
            assert "every effect of a supervised workflow waits for a person" in shown
            assert "an effect has none: leave it out" in house.refused("approve", effect["id"], "--always")
            assert "is approved" in house.run("approve", effect["id"][:8]).stdout
            outs = [one.communicate(timeout=90)[0].decode() for one in (starter, waiter)]
    assert (starter.returncode, waiter.returncode) == (0, 0)
    assert all(f"{task} done: checks passed after the last edit; carried out: push" in out for out in outs)
    assert house.run("inbox").stdout == "nothing waits for you\n"
    assert "Hello" in house.run("diff", task).stdout
    assert "outcome.reached" in {event["kind"] for event in house.events(task)}
    assert "It greets." in house.run("log", task).stdout
    house.run("end", str(effect["session"]))
    assert "It greets." in house.run("attach", task).stdout  # of what has ended it shows all, and ends
    assert "handrail/say-hello" in git(house.repository, "branch", "--list")
    house.run("workflows", "start", "say-hello")
    denied = house.run("deny", proposed(house)["id"], "--because", "not today").stdout
    assert "is rejected" in denied
    assert "you rejected the push: not today" in house.run("runs", "wait", "last", code=4).stdout
    assert house.run("inbox").stdout == "nothing waits for you\n"  # who said no knows of the end
    assert "say-hello" in house.run("runs", "--where", "outcome=failed", "--where", "trigger=manual").stdout
    assert "say FACET=WORD" in house.refused("runs", "--where", "outcome")
    assert "failed: off the inbox" in house.run("seen", "2").stdout
    assert "goes on" in house.run("runs", "retry", "--where", "outcome=failed").stdout
