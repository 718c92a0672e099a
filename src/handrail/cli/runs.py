"""The verbs about runs: listed, shown, cancelled, run again, gone on with."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from handrail.cli import calls, options, waiting
from handrail.cli.clean import one_line
from handrail.cli.client import Obj
from handrail.cli.layout import Line, Span, columns, cost, duration, line, printed, table
from handrail.cli.options import allowed
from handrail.errors import InvalidInput

runs = typer.Typer(rich_markup_mode=None, add_completion=False)
Run = Annotated[str, typer.Argument(metavar="RUN", help="Number or id of a run, a beginning of it, or `last`.")]
Failed = Annotated[bool, typer.Option("--failed", help="Only what did not succeed.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="FACET=WORD",
        help="Only runs that have it: state, outcome, workflow, repository, trigger, agent, model, by or day.",
    ),
]
_FACETS = ("state", "outcome", "workflow", "repository", "trigger", "agent", "model", "by", "day")
_STATES = ("queued", "running", "stopped", "ended")
_STEPS = ("prepare", "work", "check", "propose", "gate", "deliver")
_GOOD = ("done", "nothing_to_do")
_SHOWN = 5


@runs.callback(invoke_without_command=True)
def listed(
    *,
    context: typer.Context,
    workflow: Annotated[str | None, typer.Option("--workflow", metavar="NAME", help="Only runs of this one.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="Only runs in this state.")] = None,
    where: Where = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """List runs, newest first."""
    if context.invoked_subcommand is not None:
        return 0
    asked = {"workflow": workflow, "state": allowed(state, "--state", *_STATES)}
    given = _held(where) | {key: value for key, value in asked.items() if value is not None}
    told = calls.get(data, "/runs", **given)
    if as_json:
        options.put_json(told)
        return 0
    rows = [
        (
            str(item["number"]),
            str(item["workflow"]),
            str(item["outcome"] or item["state"]).replace("_", " "),
            _counted(item["tasks"]),
            str(item["trigger"]),
            str(item["created"])[:16].replace("T", " "),
        )
        for item in told.get("runs") or []
    ]
    if rows:
        head = ("run", "workflow", "state", "tasks", "started by", "began")
        printed(table(head, rows, limit=columns() if sys.stdout.isatty() else 0))
    else:
        options.put("no runs yet: start one with `handrail workflows start NAME`")
    return 0


@runs.command("show", epilog="Example: handrail runs show last")
def show(
    run: Run = "last",
    full: Annotated[bool, typer.Option("--full", help="Every task, not only those that need a look.")] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Show a run: its tasks by how they ended, what they cost, and what was done outside, with the receipts."""
    told = calls.get(data, f"/runs/{quote(run)}")
    if as_json:
        options.put_json(told)
    else:
        printed(_whole(told, full=full))
    return 0


@runs.command("wait", epilog="Example: handrail runs wait last")
def wait(run: Run = "last", as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Follow a run until it ends; the exit status says what came out, as that of `handrail do`."""
    return follow(data, run, as_json=as_json)


@runs.command("cancel", epilog="Example: handrail runs cancel last")
def cancel(run: Run, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """End a run: its agents end within seconds; what was made is kept, what was delivered stays delivered."""
    return _did(data, f"/runs/{quote(run)}/cancel", {}, "is cancelled", as_json=as_json)


@runs.command("rerun", epilog="Example: handrail runs rerun last --failed")
def rerun(run: Run, failed: Failed = False, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Begin a new run of the same plan."""
    return _did(data, f"/runs/{quote(run)}/rerun", {"failed": failed}, "has begun", as_json=as_json)


@runs.command("retry", epilog="Example: handrail runs retry --where outcome=failed --where workflow=nightly")
def retry(where: Where = None, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Go on with what failed of all runs that fit, the newest first, 50 at the most; rehearsals are left alone."""
    told = calls.post(data, "/runs/retry", _held(where))
    if as_json:
        options.put_json(told)
        return 0
    for run in told["resumed"]:
        options.put(f"{run} goes on")
    for one in told["refused"]:
        options.put(f"{one['run']} does not: {one_line(str(one['why']), 200)}")
    if told["left"]:
        options.put(f"{told['left']} more wait to be tried")
    return 0 if told["resumed"] else 1


def _held(where: list[str] | None) -> dict[str, str]:
    """Facets and the words that they are held to."""
    found = {}
    for given in where or []:
        name, _, word = given.partition("=")
        if name not in _FACETS or not word:
            raise InvalidInput("--where", given, f"say FACET=WORD with one of {', '.join(_FACETS)}")
        found[name] = word
    return found


@runs.command("resume", epilog="Example: handrail runs resume last --failed --from deliver")
def resume(
    *,
    run: Run,
    failed: Annotated[
        bool, typer.Option("--failed", help="Also what did not succeed, and what a silent server has.")
    ] = False,
    step: Annotated[
        str | None,
        typer.Option("--from", metavar="STEP", help="Go on from this step (default: where each task ended)."),
    ] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Go on with a run that stopped itself, in the same sessions."""
    body = {"failed": failed, "step": allowed(step, "--from", *_STEPS)}
    return _did(data, f"/runs/{quote(run)}/resume", body, "goes on", as_json=as_json)


def follow(data: Path | None, run: str, *, as_json: bool) -> int:
    """Follow a run to its end, then show it."""
    told = options.run(waiting.until_ended(options.client(data), run, quiet=as_json))
    if as_json:
        options.put_json(told)
    else:
        printed(_whole(told, full=False))
    return waiting.status(told)


def _did(data: Path | None, path: str, body: Obj, what: str, *, as_json: bool) -> int:
    told = calls.post(data, path, body)
    if as_json:
        options.put_json(told)
    else:
        options.put(f"run {told['number']} of {told['workflow']} {what}; see it: handrail runs show {told['number']}")
    return 0


def _whole(told: Obj, *, full: bool) -> list[Line]:
    outcome = str(told["outcome"] or told["state"]).replace("_", " ")
    head = Span(f"run {told['number']} of {told['workflow']} (version {told['version']})", "bold")
    rows = [line(head, Span(f"  {outcome}", "" if told["outcome"] in _GOOD else "yellow"))]
    if told.get("reason"):
        rows.append(line(Span(f"  {one_line(str(told['reason']), 200)}")))
    started = f"started by {told['trigger']} ({told['by']}), trust {told['trust']}"
    spent = cost(told["cost_nano"], int(told.get("unpriced") or 0))
    rows.append(line(Span(f"  {started}, {'cost' if told['ended'] else 'cost so far'} {spent}", "dim")))
    tasks = {str(task["id"]): task for task in told.get("all") or []}
    for group in told.get("groups") or []:
        of = [tasks[task] for task in group["tasks"]]
        good = group["outcome"] in _GOOD
        label = one_line(str(group["label"]), 160)
        rows += [line(Span("")), line(Span(f"{len(of)} alike: {label}", "green" if good else "bold"))]
        shown = of if full or not good else of[:_SHOWN]
        for task in shown:
            rows += _task(task, told["number"], good=good)
        if len(shown) < len(of):
            rows.append(line(Span(f"  and {len(of) - len(shown)} more (--full shows them)", "dim")))
    return rows


def _task(task: Obj, run: object, *, good: bool) -> list[Line]:
    name = str(task["repository"]).rstrip("/").rpartition("/")[2]
    count = len(task["files"])
    said = [f"{count} file{'' if count == 1 else 's'}"] if count else []
    rows = [line(Span(f"  {task['id']}", "bold"), Span(f"  {one_line(name, 60)}  {', '.join(said)}"))]
    for effect in task["effects"]:
        receipt = effect.get("receipt") or {}
        where = receipt.get("url") or receipt.get("branch") or effect.get("reason") or ""
        kind = str(effect["kind"]).replace("_", " ")
        rows.append(line(Span(f"    {kind} {effect['state']}: {one_line(str(where), 120)}", "dim")))
    if away := task.get("away"):
        told = f"waits for its server {away['host']}, not heard of for {duration(away['quiet'])}"
        rows.append(line(Span(f"    {told}; begin it again elsewhere: handrail runs resume {run} --failed", "yellow")))
    elif task["state"] == "taken":
        rows.append(line(Span(f"    give it back: handrail handoff {task['session']}", "dim")))
    elif not good and task.get("session"):
        rows.append(line(Span(f"    take it in hand: handrail take {task['id']}", "dim")))
    return rows


def _counted(tasks: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {word.replace('_', ' ')}" for word, number in tasks.items())
