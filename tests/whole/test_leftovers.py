"""No process is left over: after a session's end, after `down`, and after kill -9, whatever a tool has started."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.fake_provider import prompt
from tests.whole.house import MODEL, House, processes_of, until

pytestmark = pytest.mark.timeout(150)  # many processes: a busy machine may take its time

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


Left = dict[str, str]
"""sessions, and the mark of the process that the tool of each left behind"""


def begin(house: House, hiders: Sequence[str]) -> Left:
    """Start a session for each hider, all at once, whose tool leaves a process behind."""
    left: Left = {}
    for number, hider in enumerate(hiders):
        mark = f"9{number:02}77.5"
        steps: list[dict[str, object]] = [{"shell": hider.replace("{}", mark)}, {"shell": "sleep 30"}]
        body = {"repository": str(house.repository), "model": MODEL[1], "permissions": "allow", "prompt": prompt(steps)}
        left[str(house.call("POST", "/sessions", body)["id"])] = mark
    for session, mark in left.items():
        house.wait(session, "tool.started", count=2)
        until(lambda mark=mark: seen(house, mark), why=f"{mark} was left")  # type: ignore[misc]
    return left


def seen(house: House, *marks: str) -> list[str]:
    """Processes with one of these words among theirs."""
    return [words for words in processes_of(house.data).values() if any(mark in words for mark in marks)]


def walled_off(house: House, left: Left) -> None:
    """Wait until neither walls nor what ran inside are left."""
    until(lambda: not seen(house, *left.values(), "bwrap"), 10, "all is gone")


def end(house: House, left: Left) -> None:
    """One after the other, while the others go on."""
    for at, (session, mark) in enumerate(left.items(), 1):
        house.run("end", session)
        until(lambda mark=mark: not seen(house, mark), 10, f"{mark} is gone")  # type: ignore[misc]
        assert all(seen(house, other) for other in [*left.values()][at:])


def down(house: House, left: Left) -> None:
    assert house.run("down").stderr == "", left
    house.empty()


def kill_all(house: House, left: Left) -> None:
    house.kill(house.keeper(), house.server())
    house.empty()
    house.run("up")
    for session in left:
        house.at_rest(session)


@pytest.mark.parametrize("way", [end, down, kill_all])
def test_nothing_is_left_of_five_sessions_that_hide_a_process_each(
    house: House, way: Callable[[House, Left], None]
) -> None:
    """Incident 7 (buzz#4708: grandchildren in groups of their own): five kinds of hiding, each once by each way."""
    house.run("up")
    left = begin(house, HIDERS)
    way(house, left)
    walled_off(house, left)
    house.run("down")
    house.empty()


def test_a_killed_server_takes_its_agents_along_though_it_comes_back(house: House) -> None:
    house.run("up")
    left = begin(house, HIDERS[1:2])
    pid = house.server()
    house.kill(pid)
    walled_off(house, left)
    house.ready(but=pid)
