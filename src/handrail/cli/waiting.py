"""Following a run until it ends, as `do` follows a session: a line a task, and the exit status of what came out."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from handrail.cli import options
from handrail.cli.clean import one_line
from handrail.cli.client import Client, Obj
from handrail.cli.live import EXIT_OF_OUTCOME, FAILED_OUTCOME

STOPPED = 3
"""exit status of a run that waits for a person's word to go on"""
_MOST = 500
_PAUSE = 0.5


async def until_ended(client: Client, run: str, *, quiet: bool) -> Obj:
    """Follow a run until it has ended or stopped itself; returns it as it is then.

    Args:
        client: the server, entered here.
        run: its id, or what stands for it.
        quiet: print no lines.
    """
    async with client:
        path = f"/runs/{quote(run)}"
        last = 0
        while True:
            told = await client.get(path)  # before its lines: what it says has been written is then there to be read
            path = f"/runs/{quote(str(told['id']))}"
            while lines := (await client.get(f"{path}/events", after=last, limit=_MOST)).get("events") or []:
                last = int(lines[-1]["seq"])
                for event in lines:
                    if not quiet and (text := _line(event)):
                        options.put(text)
            if told["state"] in ("ended", "stopped"):
                return told
            await asyncio.sleep(_PAUSE)


def status(told: Obj) -> int:
    """The exit status for what a run has come to, as that of `do`."""
    if told["state"] == "stopped":
        return STOPPED
    return EXIT_OF_OUTCOME.get(str(told["outcome"]), FAILED_OUTCOME)


def _line(event: Obj) -> str | None:
    """What a person is told of an event while it happens."""
    data, task = event["data"], event.get("task")
    match event["kind"]:
        case "task.ended":
            return f"{task} {str(data['outcome']).replace('_', ' ')}: {one_line(str(data['reason']), 200)}"
        case "task.retried":
            return f"{task} waits {data['seconds']} s: {one_line(str(data['reason']), 200)}"
        case "effect.waiting":
            kind = str(data["kind"]).replace("_", " ")
            return f"{task} {kind} waits for you: handrail effects approve {data['effect']}"
        case "run.stopped":
            return f"stopped: {one_line(str(data['reason']), 200)}"
    return None
