from __future__ import annotations

import asyncio

import pytest

from handrail.errors import Conflict, InvalidInput, NotFound
from handrail.kinds import Kind
from handrail.sessions import shells
from handrail.sessions.shells import Shell
from handrail.types import Goal, Limits, Permissions, SessionId
from tests.fake_provider import prompt
from tests.sessions.conftest import House, Open


async def until(shell: Shell, what: str, after: int = 0) -> int:
    """Read until it has said this; where that was."""
    said = b""
    async with asyncio.timeout(20):
        while what.encode() not in said:
            more, after = await shell.said(after)
            assert more, said
            said += more
    return after


async def gone(house: House, session: SessionId, shell: Shell) -> None:
    """Look for it until that is refused."""
    async with asyncio.timeout(20):
        while True:
            house.sessions.shells.find(session, shell.id)
            await asyncio.sleep(0.01)


async def test_a_person_types_in_the_walls_of_the_session(open_house: Open) -> None:
    async with open_house() as house:
        session = await house.new(permissions=Permissions.ALLOW)
        shell = await house.sessions.shells.open(session, 80, 24, "you")
        at = await until(shell, "$ ")
        await shell.type("pwd; cat greet.py; echo from the person > said; ls /root /home; id -u\n")
        at = await until(shell, 'return "Hallo "', at)
        assert (await house.row(session)).workspace.encode() in (await shell.said(0))[0]
        await shell.resize(100, 40)
        await shell.type("stty size; (exec 3<>/dev/tcp/1.1.1.1/80) 2>&1 | tail -c 30\n")
        at = await until(shell, "40 100", at)
        at = await until(shell, "unreachable", at)
        assert house.sessions.shells.find(session, shell.id) is shell
        await shell.type("exit\n")
        while (await shell.said(shell.total))[0]:
            pass
        assert shell.ended
        await house.say(session, [{"shell": "cat said"}, {"text": "Seen."}])
        assert "from the person" in str((await house.until(session, Kind.TOOL_ENDED)).data)
        with pytest.raises(NotFound):
            house.sessions.shells.find(session, shell.id)


async def test_it_ends_when_the_agent_is_in_control_and_is_refused_then(open_house: Open) -> None:
    async with open_house() as house:
        session = await house.new()
        shell = await house.sessions.shells.open(session, 80, 24, "you")
        await until(shell, "$ ")
        await house.sessions.handoff(session, Goal(prompt([{"shell": "sleep 60"}], "Go."), (), Limits()), "you")
        with pytest.raises(Conflict, match="take it over"):
            await shell.type("ls\n")
        async with asyncio.timeout(20):
            while not shell.ended:
                await shell.said(shell.total)
        with pytest.raises(NotFound, match="in control again"):
            await gone(house, session, shell)
        with pytest.raises(Conflict, match="take it over"):
            await house.sessions.shells.open(session, 80, 24, "you")
        await house.until(session, Kind.TOOL_STARTED)
        await house.sessions.take(session, "you")
        await house.rest(session)
        await house.sessions.end(session, "you")
        with pytest.raises(Conflict, match="ended"):
            await house.sessions.shells.open(session, 80, 24, "you")


async def test_it_waits_for_a_while_and_keeps_what_it_said(open_house: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "KEPT", 1000)
    async with open_house() as house:
        session = await house.new()
        shell = await house.sessions.shells.open(session, 80, 24, "you")
        await shell.type("seq 1 2000; echo e''nd\n")
        await until(shell, "end")
        kept, at = await shell.said(0)
        assert len(kept) <= 1000
        assert at == shell.total > 5000
        with pytest.raises(InvalidInput, match="columns"):
            await shell.resize(0, 24)
        for _ in range(shells.MOST - 1):
            await house.sessions.shells.open(session, 80, 24, "you")
        with pytest.raises(Conflict, match="close one first"):
            await house.sessions.shells.open(session, 80, 24, "you")
        monkeypatch.setattr(shells, "GRACE", 0.5)  # nobody looks at any of them
        async with asyncio.timeout(20):
            while not shell.ended:
                await shell.said(shell.total)
