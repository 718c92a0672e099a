from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import httpx2
import pytest

from handrail.errors import AgentError, Conflict, InvalidInput, MissingPart, NotFound
from handrail.kinds import Kind
from handrail.sessions import agent, workplace
from handrail.sessions.agent import RunningAgent
from handrail.store import approvals
from handrail.types import (
    Check,
    Control,
    Goal,
    Limits,
    NanoUSD,
    Outcome,
    Permissions,
    RunInside,
    SandboxKind,
    SessionId,
    SessionState,
    StopReason,
)
from handrail.workspaces import ApplyMode, Snapshot, Workspace, still
from handrail.workspaces.snapshots import snapshot
from tests.fake_provider import prompt
from tests.fake_provider.forms import FORMATS
from tests.gateway.conftest import listening
from tests.sessions.conftest import House, Open, git

CHECK = Check("sh check.sh")
MEND: dict[str, object] = {"shell": "sed -i s/Hallo/Hello/ greet.py"}


def below(pid: int) -> list[int]:
    """A process and all that it started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(one for task in tasks for child in task.read_text().split() for one in below(int(child)))]


async def test_a_prompt_is_one_turn_and_control_comes_back(house: House) -> None:
    session = await house.new()
    await house.say(session, [{"read": "greet.py"}, {"text": "It greets in German.", "chunks": 3}])
    end = await house.until(session, Kind.TURN_ENDED)
    row = await house.rest(session)
    assert end.data["stop_reason"] == StopReason.END_TURN
    assert end.data["tools"] == 1
    assert "".join(str(e.data["text"]) for e in await house.events(session, Kind.AGENT_TEXT)) == "It greets in German."
    assert (row.control, row.state, row.turn) == (Control.YOU, SessionState.IDLE, 1)
    assert row.cost_nano > 0
    assert end.data["cost_nano"] == row.cost_nano
    assert len(await house.events(session, Kind.MODEL_CALLED)) == 2
    raw = house.config.data / "sessions" / session / "acp.jsonl"
    messages = [json.loads(line) for line in raw.read_text("utf-8").splitlines()]
    assert stat.S_IMODE(raw.stat().st_mode) == 0o600
    assert all(one.keys() in ({"in", "message"}, {"out", "message"}) for one in messages)
    assert "session/prompt" in [one["message"].get("method") for one in messages if "out" in one]
    assert "session/update" in [one["message"].get("method") for one in messages if "in" in one]


async def test_the_agent_holds_no_key(house: House) -> None:
    session = await house.new(permissions=Permissions.ALLOW)
    await house.say(session, [{"shell": "cat /proc/*/environ | tr '\\0' '\\n'; cat -r ~ 2>/dev/null; env"}])
    await house.until(session, Kind.TURN_ENDED)
    (ended,) = await house.events(session, Kind.TOOL_ENDED)
    assert "HANDRAIL_TOKEN=" in str(ended.data["output"])
    assert "house-key-5b21c9" not in str(ended.data["output"])
    assert {call.headers["x-api-key"] for call in house.fake.calls} == {"house-key-5b21c9"}


async def test_a_goal_is_pursued_until_the_check_passes(house: House) -> None:
    steps = [
        {"shell": "sed -i s/Hallo/Hullo/ greet.py"},
        {"text": "Mended."},
        {"shell": "sed -i s/Hullo/Hello/ greet.py"},
        {"text": "Now it is."},
    ]
    goal = Goal(prompt(steps, "Make it say Hello."), (CHECK,), Limits(turns=5, budget=NanoUSD(10**9)))
    session = await house.hand_off(goal)
    reached = await house.outcome(session)
    row = await house.rest(session)
    assert (reached.data["outcome"], reached.data["turns"]) == (Outcome.DONE, 2)
    assert [e.data["passed"] for e in await house.events(session, Kind.CHECK_ENDED)] == [False, True]
    assert (row.outcome, row.control) == (Outcome.DONE, Control.YOU)
    change = await house.sessions.diff(session, None, None)
    assert [file.path for file in change.files] == ["greet.py"]
    assert '+    return "Hello " + name' in change.patch
    assert "Hallo" in (house.repository / "greet.py").read_text()
    applied = await house.sessions.apply(session, ApplyMode.BRANCH, "hello", "test")
    assert applied.files == 1
    assert "Hello" in git(house.repository, "show", "hello:greet.py")


async def test_a_permission_waits_for_a_person_and_is_answered_once(house: House) -> None:
    session = await house.new()
    await house.say(session, [MEND, {"text": "ok"}])
    asked = await house.until(session, Kind.APPROVAL_ASKED)
    assert (await house.row(session)).state is SessionState.WAITING
    (row,) = await approvals.open_of(house.store, session)
    assert row.id == asked.data["approval"]
    await house.sessions.answer(row.id, "allow", option=None, because=None, by="alice")
    with pytest.raises(Conflict):
        await house.sessions.answer(row.id, "deny", option=None, because=None, by="bob")
    await house.until(session, Kind.TURN_ENDED)
    assert (await house.row(session)).state is SessionState.IDLE  # no event tells of a rest that would come later
    assert (await house.sessions.diff(session, None, None)).files


async def test_a_denied_permission_changes_nothing_and_is_no_success(house: House) -> None:
    """Incident 5 (copilot-cli#4537, hermes#83205): what is refused does not happen, and its run did not succeed."""
    goal = Goal(prompt([MEND, {"text": "I could not."}]), (Check("true"),))
    session = await house.hand_off(goal, permissions=Permissions.ASK)
    asked = await house.until(session, Kind.APPROVAL_ASKED)
    approval = (await approvals.open_of(house.store, session))[0].id
    assert approval == asked.data["approval"]
    await house.sessions.answer(approval, "deny", option=None, because="not that file", by="alice")
    reached = await house.outcome(session)
    assert (reached.data["outcome"], reached.data["cause"]) == (Outcome.NEEDS_PERSON, "denied")
    assert not (await house.sessions.diff(session, None, None)).files
    (ended,) = await house.events(session, Kind.TOOL_ENDED)
    assert ended.data["status"] == "denied"
    await house.say(session, [{"text": "understood"}])
    await house.until(session, Kind.TURN_ENDED, count=2)
    assert "not that file" in house.fake.calls[-1].raw.decode()


async def test_deny_is_a_policy_too(house: House) -> None:
    session = await house.new(permissions=Permissions.DENY)
    await house.say(session, [{"read": "greet.py"}, MEND, {"text": "no"}])
    await house.until(session, Kind.TURN_ENDED)
    statuses = [e.data["status"] for e in await house.events(session, Kind.TOOL_ENDED)]
    assert statuses == ["completed", "denied"]
    assert not await house.events(session, Kind.APPROVAL_ASKED)


async def test_prompts_that_come_at_once_start_one_agent(house: House) -> None:
    """One writer an agent session: two agents of one session would each write its memory."""
    session = await house.new()
    await asyncio.gather(*(house.say(session, [{"text": f"answer {number}"}]) for number in range(4)))
    await house.until(session, Kind.TURN_ENDED, count=4)
    await house.rest(session)
    assert len(await house.events(session, Kind.AGENT_STARTED)) == 1
    words = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in below(os.getpid())]
    assert [said[2:4] for said in words].count([b"-m", b"handrail.agents.own"]) == 1


async def test_prompts_queue_in_order_and_can_be_withdrawn(house: House) -> None:
    session = await house.new(permissions=Permissions.ALLOW)
    await house.say(session, [{"shell": "sleep 0.7"}, {"text": "one"}])
    await house.until(session, Kind.TOOL_STARTED)
    await house.say(session, [{"text": "two"}])
    third, queued = await house.sessions.prompt(session, prompt([{"text": "three"}]), "test")
    await house.say(session, [{"text": "four"}])
    assert queued
    await house.sessions.withdraw(session, third, "test")
    with pytest.raises(Conflict):
        await house.sessions.withdraw(session, third, "test")
    await house.until(session, Kind.TURN_ENDED, count=3)
    await house.rest(session)
    texts = [e.data["text"] for e in await house.events(session, Kind.AGENT_TEXT)]
    assert texts == ["one", "two", "four"]


async def test_cancel_ends_the_turn_and_keeps_the_session(house: House) -> None:
    session = await house.new(permissions=Permissions.ALLOW)
    await house.say(session, [{"shell": "sleep 60"}, {"text": "never"}])
    await house.until(session, Kind.TOOL_STARTED)
    await house.sessions.cancel(session, "test")
    end = await house.until(session, Kind.TURN_ENDED, seconds=8)
    assert end.data["stop_reason"] == StopReason.CANCELLED
    await house.rest(session)
    await house.say(session, [{"text": "still here"}])
    await house.until(session, Kind.TURN_ENDED, count=2)
    assert (await house.events(session, Kind.AGENT_STARTED))[-1].turn == 1
    await house.rest(session)
    with pytest.raises(Conflict):
        await house.sessions.cancel(session, "test")


async def test_cancel_while_a_question_is_open_voids_it(house: House) -> None:
    session = await house.new()
    await house.say(session, [MEND, {"text": "ok"}])
    await house.until(session, Kind.APPROVAL_ASKED)
    await house.sessions.cancel(session, "test")
    end = await house.until(session, Kind.TURN_ENDED, seconds=15)
    assert end.data["stop_reason"] == StopReason.CANCELLED
    assert not await approvals.open_of(house.store, session)


async def test_take_and_hand_off_again(house: House) -> None:
    steps = [{"shell": "sleep 30"}, {"text": "never"}]
    session = await house.hand_off(Goal(prompt(steps), (CHECK,)))
    await house.until(session, Kind.TOOL_STARTED)
    await house.sessions.take(session, "alice")
    await house.until(session, Kind.TURN_ENDED, seconds=8)
    row = await house.rest(session)
    assert (row.control, row.outcome) == (Control.YOU, None)
    await house.sessions.handoff(session, Goal(prompt([MEND, {"text": "done"}]), (CHECK,)), "alice")
    reached = await house.outcome(session)
    assert reached.data["outcome"] == Outcome.DONE
    who = [e.data["control"] for e in await house.events(session, Kind.CONTROL_CHANGED)]
    assert who == ["agent", "you", "agent", "you"]


async def test_undo_goes_back_and_tells_the_agent(house: House) -> None:
    session = await house.new(permissions=Permissions.ALLOW)
    with pytest.raises(Conflict):
        await house.sessions.undo(session, None)
    await house.say(session, [{"shell": "echo one > one.txt"}, {"text": "1"}])
    await house.until(session, Kind.SNAPSHOT_TAKEN, count=1)
    await house.say(session, [{"shell": "git reset --hard -q; git clean -fdxq; rm -rf greet.py"}, {"text": "2"}])
    await house.until(session, Kind.SNAPSHOT_TAKEN, count=2)
    await house.rest(session)
    turn, _ = await house.sessions.undo(session, None)
    assert turn == 1
    workspace = Path((await house.row(session)).workspace)
    assert (workspace / "one.txt").read_text() == "one\n"
    assert (workspace / "greet.py").exists()
    assert [file.path for file in (await house.sessions.diff(session, None, None)).files] == ["one.txt"]
    await house.say(session, [{"text": "3"}])
    await house.until(session, Kind.TURN_ENDED, count=3)
    assert "undid" in house.fake.calls[-1].raw.decode()
    await house.rest(session)
    with pytest.raises(InvalidInput):
        await house.sessions.undo(session, 9)


async def test_git_is_asked_only_after_a_turn_that_changed_something(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def noted(workspace: Workspace, session: SessionId, run: RunInside, label: str) -> Snapshot:
        asked.append(label)
        return await snapshot(workspace, session, run, label)

    monkeypatch.setattr(still, "snapshot", noted)
    session = await house.new(permissions=Permissions.ALLOW, prompt=prompt([{"shell": "ls"}, {"text": "1"}]))
    await house.until(session, Kind.SNAPSHOT_TAKEN, count=1)
    await house.say(session, [{"shell": "echo one > one.txt; sleep 0.1"}, {"text": "2"}])
    await house.until(session, Kind.SNAPSHOT_TAKEN, count=2)
    await house.say(session, [{"shell": "cat one.txt"}, {"text": "3"}])
    await house.until(session, Kind.SNAPSHOT_TAKEN, count=3)
    commits = [event.data["commit"] for event in await house.events(session, Kind.SNAPSHOT_TAKEN)]
    base = (await house.row(session)).base
    assert (asked, commits) == (["turn-2"], [base, commits[1], commits[1]])
    assert commits[1] != base


@pytest.mark.parametrize(
    ("steps", "kind"),
    [([{"fault": "401"}], "auth"), ([{"fault": "400"}], "provider"), ([{"fault": "refuse"}], None)],
)
async def test_a_failed_turn_is_never_work_done(house: House, steps: list[dict[str, object]], kind: str | None) -> None:
    session = await house.hand_off(Goal(prompt(steps, f"{kind}"), (Check("true"),), Limits(turns=2)))
    reached = await house.outcome(session)
    assert reached.data["outcome"] in (Outcome.BLOCKED, Outcome.FAILED)
    ends = await house.events(session, Kind.TURN_ENDED)
    if kind is None:
        assert ends[-1].data["stop_reason"] == StopReason.REFUSAL
    else:
        assert ends[-1].data["error_kind"] == kind


async def test_the_budget_stops_the_work_and_keeps_what_was_made(house: House) -> None:
    steps = [{"repeat": 40, "step": {"shell": "echo {i} >> made.txt"}}]
    goal = Goal(prompt(steps), (Check("false"),), Limits(turns=20, budget=NanoUSD(30_000_000)))
    session = await house.hand_off(goal)
    reached = await house.outcome(session)
    assert (reached.data["outcome"], reached.data["cause"]) == (Outcome.NEEDS_PERSON, "budget_spent")
    assert [file.path for file in (await house.sessions.diff(session, None, None)).files] == ["made.txt"]
    calls = len(house.fake.calls)
    await asyncio.sleep(0.3)
    assert len(house.fake.calls) == calls
    assert (await house.row(session)).cost_nano <= 45_000_000


async def test_turns_run_out_by_name(house: House) -> None:
    goal = Goal(prompt([{"text": "1"}, {"text": "2"}]), (Check("false"),), Limits(turns=2))
    reached = await house.outcome(await house.hand_off(goal))
    assert (reached.data["outcome"], reached.data["cause"], reached.data["turns"]) == (
        Outcome.FAILED,
        "turns_spent",
        2,
    )


async def test_an_agent_that_does_nothing_gives_up_early(house: House) -> None:
    reached = await house.outcome(await house.hand_off(Goal(prompt([{"text": "done"}]), (Check("false"),))))
    assert (reached.data["cause"], reached.data["turns"]) == ("no_progress", 4)


async def test_an_agent_that_looks_around_is_at_work(house: House) -> None:
    steps = [{"read": "greet.py"}, {"text": "1"}] * 5
    goal = Goal(prompt(steps), (Check("false"),), Limits(turns=5))
    reached = await house.outcome(await house.hand_off(goal))
    assert (reached.data["cause"], reached.data["turns"]) == ("turns_spent", 5)


async def test_a_silent_agent_is_cancelled_then_blocked(open_house: Open) -> None:
    async with open_house(turn_idle=0.6, cancel_grace=2.0) as house:
        goal = Goal(prompt([{"fault": "no_answer"}]), (Check("false"),))
        reached = await house.outcome(await house.hand_off(goal))
        assert (reached.data["outcome"], reached.data["cause"]) == (Outcome.BLOCKED, "silent")
        session = reached.session
        fired = await house.events(session, Kind.WATCHDOG_FIRED)
        assert fired[0].data["act"] == "cancel"
        ends = [e.data["stop_reason"] for e in await house.events(session, Kind.TURN_ENDED)]
        assert ends == [StopReason.TIMEOUT] * 3


async def test_an_agent_that_is_deaf_to_the_cancel_is_killed_and_started_again(open_house: Open) -> None:
    async with open_house(turn_idle=1.5, cancel_grace=0.5) as house:
        session = await house.hand_off(Goal(prompt([{"shell": "sleep 30"}, MEND, {"text": "done"}]), (CHECK,)))
        await house.until(session, Kind.TOOL_STARTED)
        started = (await house.events(session, Kind.AGENT_STARTED))[0]
        for pid in below(int(str(started.data["pid"]))):
            os.kill(pid, signal.SIGSTOP)
        reached = await house.outcome(session)
        assert reached.data["outcome"] == Outcome.DONE
        assert [e.data["act"] for e in await house.events(session, Kind.WATCHDOG_FIRED)] == ["cancel", "kill"]
        assert [e.data["how"] for e in await house.events(session, Kind.AGENT_STARTED)] == ["new", "loaded"]


async def test_an_agent_that_is_killed_is_started_again_and_remembers(house: House) -> None:
    goal = Goal(prompt([{"shell": "sleep 30"}, MEND, {"text": "done"}]), (CHECK,))
    session = await house.hand_off(goal)
    await house.until(session, Kind.TOOL_STARTED)
    started = (await house.events(session, Kind.AGENT_STARTED))[0]
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(str(started.data["pid"])), signal.SIGKILL)
    reached = await house.outcome(session)
    assert reached.data["outcome"] == Outcome.DONE
    assert [e.data["how"] for e in await house.events(session, Kind.AGENT_STARTED)] == ["new", "loaded"]
    assert next(e.data["status"] for e in await house.events(session, Kind.TOOL_ENDED)) == "interrupted"


async def test_an_agent_that_starts_at_the_second_try_hears_of_its_goal(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults, begin = [AgentError("agent handrail was lost")], agent.start

    async def start(*given: Any) -> RunningAgent:
        if faults:
            raise faults.pop()
        return await begin(*given)

    monkeypatch.setattr(workplace, "start", start)
    session = await house.hand_off(Goal(prompt([MEND, {"text": "done"}]), (CHECK,)))
    assert (await house.outcome(session)).data["outcome"] == "done"
    ends = [event.data["stop_reason"] for event in await house.events(session, Kind.TURN_ENDED)]
    assert ends == ["error", "end_turn"]
    assert await house.events(session, Kind.MEMORY_LOST) == []


async def test_idle_agents_are_released_and_come_back(open_house: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handrail.sessions.supervisor._SWEEP", 0.1)
    async with open_house(agent_idle=0.2) as house:
        session = await house.new()
        await house.say(session, [{"text": "one"}], "Remember me.")
        await house.until(session, Kind.TURN_ENDED)
        await house.rest(session)
        async with asyncio.timeout(10):
            while house.sessions.actors.living:  # noqa: ASYNC110  # nothing tells of it: nobody needs to know
                await asyncio.sleep(0.05)
        await house.say(session, [{"text": "two"}])
        await house.until(session, Kind.TURN_ENDED, count=2)
        assert [e.data["how"] for e in await house.events(session, Kind.AGENT_STARTED)] == ["new", "loaded"]
        assert "Remember me." in house.fake.calls[-1].raw.decode()


async def test_ending_is_final_and_kills_the_token(house: House) -> None:
    session = await house.new()
    await house.say(session, [{"text": "one"}])
    await house.until(session, Kind.TURN_ENDED)
    token, form = house.gateway.accounts[session].token, FORMATS["anthropic"]
    sock = listening()
    await house.gateway.serve(sock)
    url = f"http://127.0.0.1:{sock.getsockname()[1]}{form.path}"
    async with httpx2.AsyncClient(trust_env=False) as client:
        before = await client.post(url, content=form.body("x"), headers=form.headers(token))
        heard = len(house.fake.calls)
        await house.sessions.end(session, "alice")
        after = await client.post(url, content=form.body("x"), headers=form.headers(token))
    assert (before.status_code, after.status_code) == (200, 401)
    assert len(house.fake.calls) == heard
    await house.sessions.end(session, "alice")
    assert (await house.row(session)).state is SessionState.ENDED
    with pytest.raises(Conflict):
        await house.sessions.prompt(session, "hello", "alice")
    assert len(await house.events(session, Kind.SESSION_ENDED)) == 1


async def test_what_cannot_be_leaves_nothing(house: House, tmp_path: Path) -> None:
    ghost = tmp_path / "data" / "agents" / "ghost.toml"
    ghost.parent.mkdir()
    ghost.write_text('title = "Ghost"\nlicence = "MIT"\nwire = "anthropic"\ncommand = ["no-such-program"]\n')
    for options, error in (
        ({"repository": tmp_path / "nowhere"}, InvalidInput),
        ({"agent": "clippy"}, NotFound),
        ({"agent": "ghost"}, MissingPart),
        ({"provider": "nobody"}, NotFound),
        ({"model": None}, InvalidInput),
        ({"ref": "no-such-branch"}, InvalidInput),
        ({"tools": (tmp_path / "none",)}, InvalidInput),
    ):
        with pytest.raises(error):
            await house.new(**options)
    sessions = tmp_path / "data" / "sessions"
    assert not sessions.exists() or not list(sessions.iterdir())


async def test_without_walls_only_when_said(house: House) -> None:
    session = await house.new(sandbox=SandboxKind.NONE, permissions=Permissions.ALLOW)
    await house.say(session, [{"shell": "id -u"}, {"text": "ok"}])
    await house.until(session, Kind.TURN_ENDED)
    created = (await house.events(session, Kind.SESSION_CREATED))[0]
    assert created.data["sandbox"] == "none"
    assert created.data["holds"] == []
