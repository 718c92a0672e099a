"""The verbs about acts on the outside world: effects, with show, approve, reject and arrived."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from handrail.cli import calls, options
from handrail.cli.clean import clean, one_line
from handrail.cli.client import LONG, Obj
from handrail.cli.layout import Line, Span, columns, line, printed, table

effects = typer.Typer(rich_markup_mode=None, add_completion=False)
Effect = Annotated[str, typer.Argument(metavar="EFFECT", help="Id of the effect, or how it begins.")]
_COLOURS = {"carried": "green", "failed": "red", "rejected": "red", "waiting": "yellow", "proposed": "yellow"}
_LONG = {"body", "text"}


@effects.callback(invoke_without_command=True)
def listed(
    context: typer.Context,
    session: Annotated[str | None, typer.Option("--session", metavar="SESSION", help="All of this session.")] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="All of this run.")] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """List the acts on the outside world that wait for your yes; show, approve or reject one."""
    if context.invoked_subcommand is not None:
        return 0
    told = calls.get(data, "/effects", session=session, run=run)
    if as_json:
        options.put_json(told)
        return 0
    rows = [_row(item) for item in told.get("effects") or []]
    if not rows:
        options.put("no effects" if session or run else "no effect waits for you")
        return 0
    limit = columns() if sys.stdout.isatty() else 0
    printed(table(("effect", "state", "kind", "where", "by", "says"), rows, limit=limit))
    return 0


def _row(item: Obj) -> tuple[str, ...]:
    names = ("id", "state", "kind", "target", "by")
    return (*(one_line(str(item.get(name) or ""), 100) for name in names), one_line(summary(item), 80))


def summary(item: Obj) -> str:
    """What an effect says, at its shortest."""
    body = item.get("body") or {}
    labels = [*(f"+{name}" for name in body.get("add") or []), *(f"-{name}" for name in body.get("remove") or [])]
    names = ("title", "body", "text", "branch", "description", "method")
    return str(next((body[name] for name in names if body.get(name)), ", ".join(labels)))


@effects.command("show", epilog="Example: handrail effects show f-3a9")
def show(effect: Effect, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Show what an effect would do, why it waits, and its receipt."""
    told = calls.get(data, f"/effects/{quote(effect, safe='')}")
    if as_json:
        options.put_json(told)
    else:
        printed(whole(told))
    return 0


@effects.command("approve", epilog="Example: handrail effects approve f-3a9")
def approve(effect: Effect, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Let an effect be carried out. Exit status 1 when it failed."""
    return decided(effect, {"decision": "approve"}, data, as_json=as_json)


@effects.command("reject", epilog='Example: handrail effects reject f-3a9 --because "wrong branch"')
def reject(
    effect: Effect,
    because: Annotated[str | None, typer.Option("--because", metavar="TEXT", help="Why, for the record.")] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Refuse an effect."""
    return decided(effect, {"decision": "reject", "because": because}, data, as_json=as_json)


@effects.command("arrived", epilog="Example: handrail effects arrived f-3a9")
def arrived(effect: Effect, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Say that an effect was carried out of which Handrail could not know (cause `unknown`): it is not repeated."""
    return decided(effect, {"decision": "arrived"}, data, as_json=as_json)


def decided(effect: str, body: Obj, data: Path | None, *, as_json: bool) -> int:
    """Decide an effect, and say what became of it; the exit status is 1 when it failed."""
    told = calls.post(data, f"/effects/{quote(effect, safe='')}", body, timeout=LONG)
    if as_json:
        options.put_json(told)
    else:
        printed([became(told)])
    return 1 if told.get("state") == "failed" else 0


def became(told: Obj) -> Line:
    """What became of an effect that was decided, in one line."""
    state, receipt = str(told.get("state")), told.get("receipt") or {}
    why = told.get("reason") if state == "failed" or told.get("due") else None  # else it says why it waited until now
    more = str(receipt.get("url") or why or "")
    ids = receipt.get("ids") or receipt
    if state == "carried" and told.get("kind") == "pull_request" and "branch" in ids:
        more = f"kept as the branch {ids.get('branch')} of {told.get('target')}"
    if state == "approved" and told.get("due"):
        more += f"; it is tried again by itself at {str(told['due'])[:16].replace('T', ' ')} UTC"
    if state == "failed" and told.get("cause") == "unknown":
        more += f"; if it arrived, `handrail effects arrived {told.get('id')}` says so"
    if state == "failed" and not told.get("task"):
        more += f"; once that is mended, `handrail effects approve {told.get('id')}` tries again"
    told_of = f": {one_line(more, 700)}" if more else ""
    return line(f"{told.get('id')} is ", Span(state, _COLOURS.get(state, "")), told_of)


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def whole(told: Obj) -> list[Line]:
    """An effect with all that it says."""
    state = str(told.get("state"))
    rows = [
        line(Span(f"{told.get('kind')} ", "bold"), f"{one_line(str(told.get('target')), 300)}  by {told.get('by')}"),
        line("state: ", Span(state, _COLOURS.get(state, "")), f"  {one_line(str(told.get('reason') or ''), 500)}"),
    ]
    names = ("forge", "session", "run", "decided_by", "because", "cause")
    rows += [line(f"{name}: {one_line(str(told[name]), 500)}") for name in names if told.get(name)]
    body = told.get("body") or {}
    plain = [name for name in body if name not in {*_LONG, "comments"}]
    rows += [line(f"{name}: {one_line(_said(body[name]), 500)}") for name in plain]
    for name, value in (told.get("receipt") or {}).items():
        rows.append(line(f"receipt {name}: {one_line(str(value), 500)}"))
    for name in sorted(_LONG):
        said = str(body.get(name) or "")
        rows += [line(""), *(line(one) for one in clean(said).splitlines())] if said else []
    for one in body.get("comments") or []:
        rows += [line(""), line(Span(f"{one_line(str(one.get('path')), 300)}:{one.get('line')}", "bold"))]
        rows += [line(f"  {part}") for part in clean(str(one.get("body") or "")).splitlines()]
    return rows
