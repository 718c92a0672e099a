"""No process is left over: after a session's end, after `down`, and after kill -9, whatever a tool has started."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fake_provider import prompt
from tests.whole.house import MODEL, House, processes_of, until

pytestmark = pytest.mark.timeout(150)  # many processes: a busy machine may take its time

RUNS = 10
"""of each way to end"""
DAEMON = (
    "import os, sys; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); "
    'os.closerange(0, 100); os.execvp("sleep", ["sleep", sys.argv[1]])'
)
HIDERS = (
    "setsid nohup sleep {} >/dev/null 2>&1 &",
    "(setsid sh -c 'setsid sleep {} & exit' >/dev/null 2>&1 &); sleep 0.1",
    f"python3 -c '{DAEMON}' {{}}",
    "nohup bash -c 'trap \"\" HUP TERM INT; sleep {}; sleep {}' >/dev/null 2>&1 & disown",
    "sleep {} &",
)
"""commands that leave a process behind, the more stubborn the further they go"""


def begin(house: House, run: int) -> tuple[str, str]:
    """Start a session whose tool leaves a process behind; its id, and the mark of what it left."""
    mark = f"9{run:02}77.5"
    hider = HIDERS[run % len(HIDERS)].replace("{}", mark)
    steps: list[dict[str, object]] = [{"shell": hider}, {"shell": "sleep 30"}]
    body = {"repository": str(house.repository), "model": MODEL[1], "permissions": "allow", "prompt": prompt(steps)}
    session = str(house.call("POST", "/sessions", body)["id"])
    house.wait(session, "tool.started", count=2)
    until(lambda: any(mark in words for words in processes_of(house.data).values()), why=f"{hider} left a process")
    return session, mark


def walled_off(house: House, mark: str) -> None:
    """Wait until neither walls nor what ran inside are left."""
    until(lambda: not [words for words in processes_of(house.data).values() if mark in words or "bwrap" in words], 10)


def end(house: House, session: str) -> None:
    house.run("end", session)


def down(house: House, session: str) -> None:
    done = house.run("down")
    assert done.stderr == "", session
    house.empty()
    house.run("up")


def kill_all(house: House, session: str) -> None:
    house.kill(house.keeper(), house.server())
    house.empty()
    house.at_rest(session)


@pytest.mark.parametrize("way", [end, down, kill_all])
def test_nothing_is_left_ten_times_in_a_row(house: House, way: Callable[[House, str], None]) -> None:
    """Incident 7 (buzz#4708: grandchildren in groups of their own), thirty times, by five kinds of hiding."""
    house.run("up")
    for run in range(RUNS):
        session, mark = begin(house, run)
        way(house, session)
        walled_off(house, mark)
    house.run("down")
    house.empty()


def test_a_killed_server_takes_its_agents_along_though_it_comes_back(house: House) -> None:
    house.run("up")
    _, mark = begin(house, 1)
    pid = house.server()
    house.kill(pid)
    walled_off(house, mark)
    house.ready(but=pid)
