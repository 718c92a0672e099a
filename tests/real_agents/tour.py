"""What one real agent can do, tried in one go: the same tour for all, judged by files and processes, not by words."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handrail.agents.spec import Load
from handrail.errors import AgentError
from handrail.types import StopReason
from tests.real_agents.stage import Run, Stage, on_stage

MODEL = "fake-model"
PATIENCE = 60.0
SECRET = "the secret word is xylograph"


@dataclass
class Report:
    """What was seen. Times are seconds on the machine of the run."""

    agent: str
    title: str
    version: str
    mode: str | None = None
    advertises_load: bool = False
    advertises_resume: bool = False
    seconds_to_session: float = 0.0
    edit_asked: bool = False
    edit_done: bool = False
    edit_shown: bool = False
    """the approval request, or an update, carried the change as a diff or in its input"""
    denied_edit_kept_out: bool = False
    denied_edit_told: bool = False
    """the denied call did not end as completed"""
    command_asked: bool = False
    command_done: bool = False
    command_output: bool = False
    cancelled: bool = False
    seconds_to_cancel: float = 0.0
    cancel_ended_command: bool = False
    usable_after_cancel: bool = False
    left_after_kill: int = -1
    """processes that still ran after kill -9 of the box in mid-command"""
    told_interrupted: bool = False
    loaded: bool = False
    remembered: bool = False
    """after the load, the model was sent what had been said before"""
    refuses_unknown: bool | None = None
    error_seen: bool = False
    error_kind: str | None = None
    skipped_lines: int = 0

    def table(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


async def tour(name: str) -> Report:
    """Drive the agent `name` inside the walls, start to end."""
    async with on_stage(name, model=MODEL) as stage:
        version = stage.installed.version or ""
        report = Report(agent=name, title=stage.spec.title, version=version)
        run = await _start(stage, report)
        await _edits(run, report)
        await _command(run, report)
        await _cancel(run, report)
        await _unknown(run, report)
        await _kill(run, report)
        await _again(stage, run.session, report)
        return report


def shell(stage: Stage, command: str) -> dict[str, Any]:
    """A step that runs `command` in the words of the agent; Codex has to ask for it to be run at all."""
    if stage.spec.name == "codex":
        args = {"cmd": command, "sandbox_permissions": "require_escalated", "justification": "a trial"}
        return {"tool": "exec_command", "args": args}
    return {"shell": command}


async def _start(stage: Stage, report: Report) -> Run:
    began = time.monotonic()
    run = (await stage.start()).allow()
    async with asyncio.timeout(PATIENCE):
        advertised = await run.link.initialize()
        run.session = await run.link.new_session(stage.workspace)
    report.seconds_to_session = round(time.monotonic() - began, 1)
    report.advertises_load, report.advertises_resume = advertised.load, advertised.resume
    report.mode = run.link.mode
    return run


async def _edits(run: Run, report: Report) -> None:
    stage = run.stage
    path = stage.workspace / "approved.txt"
    step = {"write": {"path": str(path), "content": "approved\n"}}
    async with asyncio.timeout(PATIENCE):
        result = await run.play(step, {"text": "wrote it"}, text=SECRET)
    report.edit_asked = len(run.asked) == 1
    report.edit_done = stage.file("approved.txt") == "approved\n" and result.error is None
    shown = [request.call for request in run.asked] + run.tools()
    report.edit_shown = any(call.diffs or "approved" in str(call.input) for call in shown)

    run.deny()
    before = len(run.updates)
    step = {"write": {"path": str(stage.workspace / "denied.txt"), "content": "denied\n"}}
    async with asyncio.timeout(PATIENCE):
        await run.play(step, {"text": "wrote it"})
    report.denied_edit_kept_out = stage.file("denied.txt") is None and len(run.asked) == 2
    ended = [call.status for call in run.tools() if call in run.updates[before:]]
    report.denied_edit_told = "completed" not in ended
    run.allow()


async def _command(run: Run, report: Report) -> None:
    asked = len(run.asked)
    before = len(run.updates)
    async with asyncio.timeout(PATIENCE):
        await run.play(shell(run.stage, "echo ran > command.txt; sleep 1; echo the-output"), {"text": "ran it"})
    report.command_asked = len(run.asked) > asked
    report.command_done = run.stage.file("command.txt") == "ran\n"
    told = [call.output or "" for call in run.tools() if call in run.updates[before:]]
    report.command_output = any("the-output" in output for output in told)


async def _cancel(run: Run, report: Report) -> None:
    mark = _mark(run.stage, "cancel")
    task = asyncio.create_task(run.play(shell(run.stage, f"touch started-1; sleep {mark}"), {"text": "slept"}))
    await _until(run.stage.workspace / "started-1", task)
    began = time.monotonic()
    await run.link.cancel()
    async with asyncio.timeout(PATIENCE):
        result = await task
    report.seconds_to_cancel = round(time.monotonic() - began, 1)
    report.cancelled = result.stop_reason is StopReason.CANCELLED
    async with asyncio.timeout(PATIENCE):
        after = await run.play({"text": "still here"})
    report.usable_after_cancel = after.error is None and "still here" in run.text()
    await asyncio.sleep(0.5)
    report.cancel_ended_command = not _running(mark)


async def _unknown(run: Run, report: Report) -> None:
    how = run.stage.spec.resume.how
    if how is Load.NONE:
        return
    strange = "00000000-0000-4000-8000-000000000000"
    params: dict[str, object] = {"sessionId": strange, "cwd": str(run.stage.workspace), "mcpServers": []}
    try:
        async with asyncio.timeout(PATIENCE):
            await run.link.request(f"session/{how.value}", params)
    except AgentError:
        report.refuses_unknown = True
    else:
        report.refuses_unknown = False


async def _kill(run: Run, report: Report) -> None:
    mark = _mark(run.stage, "kill")
    task = asyncio.create_task(run.play(shell(run.stage, f"touch started-2; sleep {mark}"), {"text": "slept"}))
    await _until(run.stage.workspace / "started-2", task)
    await run.process.kill()
    async with asyncio.timeout(PATIENCE):
        result = await task
    report.told_interrupted = result.stop_reason is StopReason.INTERRUPTED and result.error is not None
    report.left_after_kill = len(_running(mark)) + len(_running(str(run.stage.workspace.parent)))
    report.skipped_lines = run.link.skipped
    await run.link.close()


async def _again(stage: Stage, session: str, report: Report) -> None:
    run = (await stage.start()).allow()
    async with asyncio.timeout(PATIENCE):
        await run.link.initialize()
        report.loaded = await run.link.load_session(session, stage.workspace)
        if not report.loaded:
            await run.link.new_session(stage.workspace)
    calls = len(stage.fake.model_calls)
    async with asyncio.timeout(PATIENCE):
        result = await run.play({"text": "back again"})
    assert result.error is None, result
    report.remembered = any(SECRET.encode() in call.raw for call in stage.fake.model_calls[calls:])
    async with asyncio.timeout(PATIENCE):
        result = await run.play({"fault": "400"})
    report.error_seen = result.stop_reason is StopReason.ERROR and bool(result.error)
    report.error_kind = result.error_kind
    await run.process.stop()


def _mark(stage: Stage, what: str) -> str:
    """A number of seconds that no other process sleeps."""
    return f"3{abs(hash((str(stage.workspace), what))) % 10**9:09d}"


async def _until(path: Path, task: asyncio.Task[Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not path.exists():
            assert not task.done(), task.result()
            await asyncio.sleep(0.05)


def _running(mark: str) -> list[str]:
    """Command lines (and working directories) of living processes that hold `mark`."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            where = str((folder / "cwd").readlink())
        except OSError:
            continue
        if mark in line or mark in where:
            found.append(f"{line} in {where}")
    return found
