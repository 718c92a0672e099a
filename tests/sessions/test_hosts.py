"""What a session may reach: its policy answers for each connection, and a person where it says ask."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from handrail.kinds import Kind
from handrail.sessions.rules import CEILING
from handrail.store import approvals
from handrail.types import Permissions, SessionId, StopReason
from tests.egress.conftest import lab as lab  # noqa: PLC0414  # a fixture of that room
from tests.egress.lab import Lab
from tests.sessions.conftest import House, Open

pytestmark = [
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
    pytest.mark.timeout(120),
]


def get(url: str, seconds: int = 60) -> dict[str, object]:
    return {"shell": f"curl -sS -m {seconds} {url} 2>&1; echo"}


async def said(house: House, session: SessionId) -> list[str]:
    return [str(event.data.get("output")).strip() for event in await house.events(session, Kind.TOOL_ENDED)]


async def test_layers_decide_what_a_session_reaches(open_house: Open, lab: Lab, tmp_path: Path) -> None:
    port = (await lab.upstream()).port
    places = [f"http://{name}:{port}/" for name in ("api.example.com", "other.example.com", "denied.example.org")]
    async with open_house(egress=lab.egress) as house:
        ceiling = tmp_path / "data" / CEILING
        ceiling.write_text(f"network: {{allow: ['*.example.com:{port}'], deny: ['other.example.com:*']}}\n")
        session = await house.new(network=(f"*.example.com:{port}",), permissions=Permissions.ALLOW)
        await house.say(session, [*map(get, places), {"text": "ok"}])
        await house.until(session, Kind.TURN_ENDED)
        api, other, denied = await said(house, session)
        assert api == "hello"
        assert "its rule `other.example.com:*` names" in other
        assert "not among the hosts that the team policy allows" in denied
        # read anew for each connection, so that a change holds at once
        ceiling.write_text("network: {deny: ['*']}\n")
        await house.say(session, [get(places[0]), {"text": "ok"}])
        await house.until(session, Kind.TURN_ENDED, count=2)
        assert "its rule `*` names" in (await said(house, session))[-1]


async def test_a_person_is_asked_for_a_host_while_the_connection_waits(open_house: Open, lab: Lab) -> None:
    port = (await lab.upstream()).port
    url = f"http://api.example.com:{port}/"
    async with open_house(egress=lab.egress) as house:
        session = await house.new(
            policy=f"network: {{ask: ['api.example.com:{port}', 'other.example.com:{port}']}}",
            permissions=Permissions.ALLOW,
        )
        other = f"http://other.example.com:{port}/"
        await house.say(session, [get(url), get(url), get(other), get(f"http://x.example.org:{port}/"), {"text": "ok"}])
        asked = await house.until(session, Kind.APPROVAL_ASKED)
        assert asked.data["title"] == f"reach api.example.com:{port} from inside the walls, in this session"
        (row,) = await approvals.open_of(house.store, session)
        await house.sessions.answer(row.id, "allow", option=None, because=None, by="alice")
        await house.until(session, Kind.APPROVAL_ASKED, count=2)
        (row,) = await approvals.open_of(house.store, session)
        await house.sessions.answer(row.id, "deny", option=None, because="not today", by="alice")
        await house.until(session, Kind.TURN_ENDED)
        first, again, refused, unnamed = await said(house, session)
        assert first == again == "hello"
        assert refused == f"Handrail: other.example.com:{port} was refused by a person, who says: not today."
        assert "no policy allows" in unnamed


async def test_an_answer_that_comes_after_the_turn_goes_on_from_there(open_house: Open, lab: Lab) -> None:
    port = (await lab.upstream()).port
    place = f"api.example.com:{port}"
    async with open_house(egress=lab.egress) as house:
        session = await house.new(policy="network: {rest: ask}", permissions=Permissions.ALLOW)
        await house.say(session, [get(f"http://{place}/", seconds=1), {"text": "it does not answer"}])
        ended = await house.until(session, Kind.TURN_ENDED)
        assert ended.data["stop_reason"] == StopReason.PARKED
    async with open_house(egress=lab.egress) as house:  # a restart later
        (row,) = await approvals.open_of(house.store, session)
        await house.sessions.answer(row.id, "allow", option=None, because=None, by="alice")
        started = await house.until(session, Kind.TURN_STARTED, count=2)
        assert f"reach {place}" in str(started.data["text"])
        await house.until(session, Kind.TURN_ENDED, count=2)
        await house.say(session, [get(f"http://{place}/"), {"text": "ok"}])
        await house.until(session, Kind.TURN_ENDED, count=3)
        assert (await said(house, session))[-1] == "hello"
        assert await approvals.open_of(house.store, session) == []
