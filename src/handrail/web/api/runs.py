"""Runs over HTTP."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from handrail.commands import facets, runs
from handrail.commands.runs import MOST_LINES, MOST_RUNS, Counts, Listed, Task
from handrail.store.effects import EffectRow
from handrail.store.runs import RunRow
from handrail.types import Json
from handrail.web.table import Call, Entry, Query
from handrail.web.views import moment

if TYPE_CHECKING:
    from handrail.web.bodies import FailedBody, ResumeBody, RetryBody


async def listed(call: Call) -> Json:
    """List them."""
    limit = call.number("limit", 100, least=1, most=MOST_RUNS)
    asked = asked_of(call)
    if asked.keys() <= {"workflow", "state"}:
        found = await runs.listed(
            call.desk, call.actor, workflow=asked.get("workflow"), state=asked.get("state"), limit=limit
        )
        return {"runs": [listing(item) for item in found]}
    return {"runs": [listing(item) for item in (await facets.find(call.desk, call.actor, asked, limit)).listed]}


def asked_of(call: Call) -> dict[str, str]:
    """The facets that a query holds to a word."""
    return {name: word for name in facets.NAMES if (word := call.text(name))}


async def retry(call: Call, body: RetryBody) -> Json:
    """Several again."""
    asked = {name: word for name, word in body.model_dump().items() if word is not None}
    done = await facets.retry(call.desk, call.actor, asked)
    refused = [{"run": run, "why": why} for run, why in done.refused]
    return {"resumed": list(done.resumed), "refused": refused, "left": done.left}


async def show(call: Call) -> Json:
    """One of them."""
    shown = await runs.show(call.desk, call.actor, call.path("id"))
    counts = Counter((item.row.state, item.row.outcome) for item in shown.tasks)
    return _run(shown.row, counts, shown.unpriced) | {
        "inputs": shown.row.inputs,
        "steps": [stage.name for stage in shown.plan.stages],
        "groups": [
            {"label": group.label, "outcome": group.outcome, "tasks": [item.id for item in group.tasks]}
            for group in shown.groups
        ],
        "all": [_task(item) for item in shown.tasks],
    }


async def events(call: Call) -> Json:
    """What happened."""
    limit = call.number("limit", 500, least=1, most=MOST_LINES)
    found = await runs.events(call.desk, call.actor, call.path("id"), after=call.number("after", 0), limit=limit)
    return {
        "events": [
            {"seq": one.seq, "time": moment(one.time), "task": one.task, "kind": one.kind, "data": one.data}
            for one in found
        ]
    }


async def cancel(call: Call) -> Json:
    """End one."""
    return listing(await runs.cancel(call.desk, call.actor, call.path("id")))


async def rerun(call: Call, body: FailedBody) -> Json:
    """Again."""
    return listing(await runs.rerun(call.desk, call.actor, call.path("id"), failed=body.failed))


async def resume(call: Call, body: ResumeBody) -> Json:
    """Go on."""
    done = await runs.resume(call.desk, call.actor, call.path("id"), failed=body.failed, step=body.step)
    return listing(done)


async def task(call: Call) -> Json:
    """One task."""
    return _task(await runs.task(call.desk, call.actor, call.path("id")))


async def take(call: Call) -> Json:
    """Take a task in hand."""
    return {"session": await runs.take(call.desk, call.actor, call.path("id"))}


async def give_back(call: Call) -> Json:
    """Hand a task back."""
    return {"session": await runs.give_back(call.desk, call.actor, call.path("id"))}


def listing(item: Listed) -> Json:
    """A run in a list."""
    return _run(item.row, item.counts, item.unpriced)


def _run(row: RunRow, counts: Counts, unpriced: int) -> Json:
    summed: Counter[str] = Counter()
    for (state, outcome), number in counts.items():
        summed[outcome or state] += number
    return {
        "id": row.id,
        "number": row.number,
        "workflow": row.workflow,
        "version": row.version,
        "trigger": row.trigger,
        "by": row.by,
        "trust": row.trust,
        "state": row.state,
        "outcome": row.outcome,
        "reason": row.reason,
        "tasks": dict(summed),
        "cost_nano": row.cost_nano,
        "unpriced": unpriced,
        "created": moment(row.created),
        "started": _moment(row.started),
        "ended": _moment(row.ended),
    }


def _task(item: Task) -> Json:
    row, made = item.row, item.made
    return {
        "id": row.id,
        "run": row.run,
        "position": row.position,
        "repository": row.repository,
        "state": row.state,
        "step": row.step,
        "stage": item.stage,
        "session": row.session,
        "outcome": row.outcome,
        "cause": row.cause,
        "reason": row.reason,
        "away": None if item.away is None else {"host": item.away.host, "quiet": round(item.away.quiet)},
        "attempt": row.attempt,
        "due": _moment(row.due),
        "cost_nano": row.cost_nano,
        "unpriced": item.unpriced,
        "commit": made.commit,
        "files": list(made.files),
        "checks": [
            {"command": check.command, "passed": check.passed, "code": check.code, "output": check.output}
            for check in made.checks
        ],
        "unverified": made.unverified,
        "effects": [_effect(effect) for effect in item.effects],
        "started": _moment(row.started),
        "ended": _moment(row.ended),
    }


def _effect(row: EffectRow) -> Json:
    names = ("id", "kind", "target", "state", "reason", "cause", "decided_by", "because", "receipt")
    return {name: getattr(row, name) for name in names}


def _moment(time: datetime | None) -> str | None:
    return None if time is None else moment(time)


_TAG = "runs"
TABLE = (
    Entry(
        "GET", "/runs", _TAG, "List runs, newest first.", listed, "RunList",
        query=(
            Query("workflow", "string", "only runs of this workflow"),
            Query("state", "string", "only runs in this state: queued, running, stopped or ended"),
            Query("outcome", "string", "only runs with this outcome"),
            Query("repository", "string", "only runs with a task in this repository"),
            Query("trigger", "string", "only runs started by this: schedule, event, manual or rehearsal"),
            Query("agent", "string", "only runs whose first stage is worked on by this agent"),
            Query("model", "string", "only runs whose first stage names this model"),
            Query("by", "string", "only runs of this member"),
            Query("day", "string", "only runs begun on this date, in UTC"),
            Query("limit", "integer", f"how many at the most, up to {MOST_RUNS}"),
        ),
    ),
    Entry(
        "GET", "/runs/{id}", _TAG, "Show one run with its tasks; the id may be its number, a beginning, or `last`.",
        show, "RunWhole", problems=(404,),
    ),
    Entry(
        "GET", "/runs/{id}/events", _TAG, "Read what happened in a run.", events, "RunLines",
        query=(
            Query("after", "integer", "number of the last line that the caller has"),
            Query("limit", "integer", f"how many at the most, up to {MOST_LINES}"),
        ),
        problems=(404,),
    ),
    Entry(
        "POST", "/runs/{id}/cancel", _TAG, "End a run; its agents end within seconds, what was made is kept.",
        cancel, "RunShown", problems=(404, 409),
    ),
    Entry(
        "POST", "/runs/{id}/rerun", _TAG, "Begin a new run of the same plan, or of what failed of it.",
        rerun, "RunShown", body="FailedBody", body_optional=True, status=201, problems=(404, 409, 507),
    ),
    Entry(
        "POST", "/runs/{id}/resume", _TAG, "Go on with a run that stopped itself, or with what failed of it.",
        resume, "RunShown", body="ResumeBody", body_optional=True, problems=(404, 409),
    ),
    Entry(
        "POST", "/runs/retry", _TAG, "Go on with what failed of the runs that fit, newest first; 50 at the most.",
        retry, "RunsRetried", body="RetryBody", body_optional=True, problems=(404, 409),
    ),
    Entry("GET", "/tasks/{id}", _TAG, "Show one task.", task, "TaskShown", problems=(404,)),
    Entry(
        "POST", "/tasks/{id}/take", _TAG, "Take a task in hand: its session is yours, its run does not end meanwhile.",
        take, "TaskTaken", problems=(404, 409),
    ),
    Entry(
        "POST", "/tasks/{id}/handoff", _TAG, "Hand a taken task back, by its id or its session's; its run goes on.",
        give_back, "TaskTaken", problems=(404, 409),
    ),
)  # fmt: skip
