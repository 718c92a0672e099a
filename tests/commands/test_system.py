from __future__ import annotations

import pytest

from handrail.clock import Clock
from handrail.commands import system
from handrail.commands.actor import OWNER, Actor
from handrail.commands.desk import Desk
from handrail.errors import Forbidden
from handrail.types import SessionState
from tests.commands.desks import Stops, begin


async def test_status_counts_what_there_is(desk: Desk) -> None:
    await begin(desk, "s-1")
    await begin(desk, "s-2", state=SessionState.WAITING)
    status = await system.status(desk, OWNER)
    assert sum(status.sessions.values()) == 2
    assert status.sessions[SessionState.WAITING] == 1
    assert status.providers == ("anthropic",)
    assert status.memory_mb > 10
    assert status.uptime >= 0


async def test_the_doctor_looks_at_everything_and_knows_a_mend(desk: Desk) -> None:
    findings = {item.name: item for item in await system.doctor(desk, OWNER)}
    assert {"server", "python", "git", "sandbox", "disk", "providers", "agents"} <= set(findings)
    assert findings["git"].ok
    assert all(item.mend for item in findings.values() if not item.ok)


async def test_shutdown_asks_the_server_to_end(desk: Desk, stops: Stops) -> None:
    with pytest.raises(Forbidden):
        system.shutdown(desk, Actor("charlie", frozenset()))
    assert stops.count == 0
    system.shutdown(desk, OWNER)
    assert stops.count == 1


async def test_one_clock_that_believes_no_sudden_jump_tells_the_time_of_every_deadline(desk: Desk) -> None:
    clock = desk.post.clock
    assert isinstance(clock, Clock)
    assert desk.gateway.pots.clock is clock
    assert desk.sessions._rooms.clock is clock
    assert desk.runs._rooms.clock is clock
