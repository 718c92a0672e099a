from __future__ import annotations

from pathlib import Path
from typing import Any

from handrail.agents.check import STRANGE, CheckReport, Running, check
from handrail.agents.spec import Ask, AskHow, Load, Resume
from tests.agents.conftest import Bench, Bencher, a_spec

MODES = {"currentModeId": "default"}
GOOD: dict[str, Any] = {"session/new": {"result": {"sessionId": "s1", "modes": MODES}}}


async def tried(bench: Bencher, answers: dict[str, Any], *, deep: bool = False, **changes: Any) -> CheckReport:
    running: list[Bench] = []

    async def start() -> Running:
        made = await bench(answers=answers)
        running.append(made)
        assert made.process.stdin is not None
        assert made.process.stdout is not None
        return made.process  # type: ignore[return-value]  # its streams are there

    async def end(_: Running) -> None:
        running[-1].process.kill()
        await running[-1].process.wait()

    report = await check(a_spec(**changes), start, end, Path("/work"), deep=deep)
    assert all(made.process.returncode is not None for made in running)
    assert len(running) <= 1 + deep
    return report


def named(report: CheckReport, name: str) -> tuple[bool | None, bool | None]:
    (found,) = [item for item in report.capabilities if item.name == name]
    return found.advertised, found.tried


async def test_a_good_agent(bench: Bencher) -> None:
    report = await tried(bench, GOOD, ask=Ask(AskHow.MODE, "default"))
    assert report.ok
    assert named(report, "asks before it acts") == (None, True)
    assert named(report, "images") == (False, None)


async def test_a_mode_that_nothing_proves_is_said_so(bench: Bencher) -> None:
    report = await tried(bench, GOOD)
    assert named(report, "asks before it acts") == (None, None)


async def test_load_is_tried_in_a_second_process(bench: Bencher) -> None:
    told = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "x"}}
    yes = GOOD | {"session/load": {"result": {}, "updates": [told]}}
    report = await tried(bench, yes, deep=True, resume=Resume(Load.LOAD))
    assert named(report, "bring a session back") == (True, True)
    assert named(report, "refuses unknown sessions") == (None, False)
    no = GOOD | {"session/load": {"error": {"code": -32002, "message": f"no {STRANGE}"}}}
    report = await tried(bench, no, deep=True, resume=Resume(Load.LOAD))
    assert named(report, "bring a session back") == (True, False)
    assert named(report, "refuses unknown sessions") == (None, True)
    report = await tried(bench, no, deep=True)
    assert named(report, "bring a session back") == (True, None)


async def test_an_agent_that_fails_is_reported_with_its_reason(bench: Bencher) -> None:
    report = await tried(bench, {"initialize": {"result": {"protocolVersion": 9}}})
    assert not report.ok
    assert named(report, "handshake") == (None, False)
    assert "not version 1" in report.capabilities[-1].detail
    info = {"protocolVersion": 1, "agentInfo": {"name": "p", "version": "2"}}
    refused = {"initialize": {"result": info}, "session/new": {"error": {"code": -32000, "message": "log in"}}}
    report = await tried(bench, refused)
    assert (report.ok, report.version) == (False, "2")
    assert named(report, "session") == (None, False)
