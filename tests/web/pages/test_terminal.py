"""The terminal's WebSocket on a real server: who may open it, what it shows, and a shell that survives its line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.fake_provider import prompt
from tests.sessions.conftest import repository
from tests.web.journeys.conftest import Api
from tests.whole.house import House, Model

__all__ = ["repository"]

Obj = dict[str, Any]


@pytest.fixture
def house(tmp_path: Path, repository: Path) -> Iterator[House]:
    with Model() as model:
        house = House(tmp_path / "data", repository, model)
        house.run("up")
        house.ready()
        yield house
        house.close()


def dial(house: House, session: str, query: str = "", **headers: str) -> ClientConnection:
    told = house.address()
    given = {"Cookie": f"handrail={cookie(house)}", "Origin": told["url"]} | headers
    url = f"{told['url'].replace('http', 'ws')}/sessions/{session}/terminal/socket?{query}"
    return connect(url, additional_headers={name: value for name, value in given.items() if value}, proxy=None)


def cookie(house: House) -> str:
    """A browser's, let in by its link."""
    told = house.address()
    answer = httpx2.get(f"{told['url']}/open", params={"token": told["token"]}, trust_env=False)
    return str(answer.cookies["handrail"])


def told(line: ClientConnection) -> Obj:
    """The next thing that is no output."""
    while isinstance(said := line.recv(20), bytes):
        pass
    found: Obj = json.loads(said)
    return found


def until(line: ClientConnection, what: str) -> bytes:
    said = b""
    while what.encode() not in said:
        more = line.recv(20)
        assert isinstance(more, bytes), more
        said += more
    return said


def test_the_line_of_a_terminal(house: House) -> None:
    api = Api(house)
    session = api.begin([{"shell": "printf '\\033[32mgreen\\033[0m'"}], "Colours")
    api.rest(session)
    strangers: list[dict[str, str]] = [
        {"Cookie": ""}, {"Origin": ""}, {"Origin": "http://evil.example"}, {"Cookie": "handrail=x"},
    ]  # fmt: skip
    for headers in strangers:
        with pytest.raises(InvalidStatus) as refused:
            dial(house, session, **headers)
        assert refused.value.response.status_code == 403, headers
    with dial(house, "s-none") as line:
        assert "s-none" in told(line)["refused"]
    with dial(house, session) as line:  # the agent's shell is watched
        assert told(line) == {"mode": "watch", "control": "you", "state": "idle"}
        until(line, "green\r\n")
        line.send('{"typed": "touch no"}')
        api.call("POST", f"/sessions/{session}/handoff", text=prompt([{"shell": "sleep 60"}], "Go."), checks=["true"])
        assert told(line) == {"control": "agent"}
        with dial(house, session, "shell=new") as other:
            assert "take it over" in told(other)["refused"]
        api.call("POST", f"/sessions/{session}/take")
        assert told(line) == {"control": "you"}
    api.rest(session)
    with dial(house, session, "shell=new&columns=70&rows=20") as line:
        hello = told(line)
        assert (hello["mode"], hello["at"]) == ("shell", 0)
        line.send('{"size": [90, 30]}')
        line.send(json.dumps({"typed": "stty size; ls no; echo st''ays\n"}))
        said = until(line, "stays")
        assert b"30 90" in said
        assert b"No such file" in said
    with dial(house, session, f"shell={hello['shell']}&at={len(said)}") as line:  # its line was lost
        assert told(line)["at"] == len(said)
        line.send(json.dumps({"typed": "echo ag''ain\n"}))
        until(line, "again")
        line.send("[" * 100_000)
        assert "JSON object" in told(line)["refused"]
        with pytest.raises(ConnectionClosed):
            line.recv(20)
    with dial(house, session, f"shell={hello['shell']}&at=0") as line:
        line.send(json.dumps({"typed": "exit\n"}))
        while "ended" not in (last := told(line)):
            pass
        assert last == {"ended": "The shell has ended."}
    with dial(house, session, f"shell={hello['shell']}") as line:
        assert told(line)["refused"] == "The shell has ended."
