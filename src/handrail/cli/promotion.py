"""The verbs from a session to a workflow that has proved itself: promote, rehearse."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from handrail.cli import options
from handrail.cli.clean import clean, one_line
from handrail.cli.client import Client, Obj
from handrail.cli.layout import Line, Span, columns, line, printed, table
from handrail.errors import Conflict, HandrailError, InvalidInput

FOLDER = Path(".handrail") / "workflows"
EACH = 1.0
"""seconds between looks at a rehearsal"""
_NANO = 1_000_000_000


def promote(
    *,
    session: options.Session = "last",
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the workflow (default: from the title).")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write it into .handrail/workflows of the checkout instead of keeping it.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the file alone; nothing is kept or written.")] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Draft a workflow from what a session did, with a policy no wider than that; it is switched off."""
    if write and show:
        raise InvalidInput("--show", "with --write", "give one of the two")
    body = {"name": name, "keep": not (write or show)}
    told = options.run(_drafting(options.client(data), session, body))
    file = _write(told) if write else None
    if as_json:
        options.put_json(told | ({} if file is None else {"file": str(file)}))
    elif show:
        options.put(clean(str(told["text"])).rstrip("\n"))
    else:
        printed(_drafted(told, file))
    return 0


def _write(told: Obj) -> Path:
    file = Path(str(told["repository"])) / FOLDER / f"{told['name']}.yaml"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as out:
            out.write(str(told["text"]))
    except FileExistsError as error:
        raise Conflict(f"{file} is there already: choose another name with --name") from error
    except OSError as error:
        raise HandrailError(f"{file} could not be written: {error.strerror}") from error
    return file


def _drafted(told: Obj, file: Path | None) -> list[Line]:
    """The draft as a person judges it: what it may do, where that was seen, and what would ask."""
    rules, asks, inputs = told.get("rules") or [], told.get("asks") or [], told.get("inputs") or []
    name = str(told["name"])
    out = [
        line(Span(name, "bold"), f"  from {told['acts']} act{'' if told['acts'] == 1 else 's'} of the session"),
        line(),
    ]
    out += [
        line(Span(f"+ {rule['section']}: allow {one_line(str(rule['rule']), 300)}", "green"),
             Span(f"  matches {rule['seen']} of {told['acts']}", "dim"))
        for rule in rules
    ]  # fmt: skip
    if asks:
        out += [line(), line("these would wait for a person:")]
    out += [line(Span(f"? {one_line(str(ask['what']), 300)}", "yellow"), f"  {ask['times']} times") for ask in asks]
    out += [line(f"input {one['name']}: {one_line(str(one['value']), 200)}") for one in inputs]
    out += [line(f"check: {one_line(str(one), 300)}") for one in told.get("checks") or []]
    out += [line(f"check? {one_line(str(one), 300)}") for one in told.get("suggested") or []]
    following = f"handrail rehearse {name} --commits last:5"
    where = (
        f"written to {file}; `handrail workflows sync` keeps it"
        if file
        else f"kept as version {told['kept']}, switched off"
    )
    return [*out, line(), line(where), line(f"look at it with `handrail workflows edit {name}`, then `{following}`")]


def rehearse(
    *,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of the workflow.")],
    commits: Annotated[
        str | None, typer.Option("--commits", metavar="last:N|A,B", help="Past commits; a task begins before each.")
    ] = None,
    events: Annotated[
        str | None, typer.Option("--events", metavar="last:N|A,B", help="Stored events (see `handrail events`).")
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--inputs", metavar="NAME=VALUE", help="An input; may be given several times.")
    ] = None,
    repository: Annotated[
        str | None, typer.Option("--repository", metavar="REPO", help="Rehearse in this one (default: its first).")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Which version (default: the newest).")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the scorecard of the last rehearsal.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has ended.")] = True,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Try a workflow on past commits or events, in the walls; effects are recorded, none is carried out."""
    if not show and (commits is None) == (events is None):
        raise InvalidInput(
            "--commits", commits, "give either --commits or --events, such as --commits last:5; or --show"
        )
    path = f"/workflows/{quote(workflow)}"
    asked: dict[str, str] = {} if version is None else {"version": version}
    client = options.client(data)
    if show:
        told = options.run(_shown(client, path, asked))
    else:
        place = str(Path(repository).absolute()) if repository and Path(repository).is_dir() else repository
        body = {"commits": commits, "events": events, "inputs": _inputs(inputs), "repository": place, **asked}
        told = options.run(_rehearsed(client, path, body, asked, wait=wait))
    if as_json:
        options.put_json(told)
    else:
        printed(_scored(told))
    return 1 if told["state"] == "failed" else 0


def _inputs(given: list[str] | None) -> dict[str, str]:
    found = {}
    for item in given or ():
        key, there, value = item.partition("=")
        if not there:
            raise InvalidInput("--inputs", item, "give NAME=VALUE")
        found[key] = value
    return found


async def _shown(client: Client, path: str, asked: dict[str, str]) -> Obj:
    async with client:
        told: Obj = await client.get(f"{path}/rehearsal", **asked)
        return told


async def _rehearsed(client: Client, path: str, body: Obj, asked: dict[str, str], *, wait: bool) -> Obj:
    async with client:
        told: Obj = await client.post(f"{path}/rehearse", body)
        options.whisper(f"rehearsing on {told['cases']} cases; to leave it alone, press Ctrl-C: it goes on")
        while wait and told["state"] == "running":
            await asyncio.sleep(EACH)
            told = await client.get(f"{path}/rehearsal", **asked)
        return told


def _scored(told: Obj) -> list[Line]:
    results = told.get("results") or []
    rows = [
        (
            str(one["name"])[:12],
            str(one["outcome"] or "…").replace("_", " "),
            f"{one['passed']}/{one['checks']}" if one["checks"] else "none",
            f"{one['files']} (+{one['added']} -{one['removed']})",
            f"{one['common']} of {one['past']}" if told["how"] == "commits" else "",
            f"{one['asks']} ask, {one['denials']} denied" if one["asks"] or one["denials"] else "none",
            _usd(one["cost_nano"]),
            f"{one['seconds']:.0f} s",
            str(one["subject"] if one["outcome"] in ("done", "nothing_to_do", None) else one["reason"] or one["cause"]),
        )
        for one in results
    ]
    state = str(told["state"])
    colour = {"passed": "green", "failed": "red"}.get(state, "yellow")
    out = [
        line(Span(str(told["workflow"]), "bold"), f"  version {told['number']}  ", Span(state, colour),
             f"  {told['good']} of {told['cases']} cases ended well"),
        line(),
        *table(("case", "outcome", "checks", "files", "in common", "drift", "cost", "time", "about"), rows,
               limit=columns() if sys.stdout.isatty() else 0),
    ]  # fmt: skip
    beyond = dict.fromkeys(str(what) for one in results for what in one["beyond"])
    out += [line(Span(f"beyond its policy: {one_line(what, 300)}", "yellow")) for what in beyond]
    return [*out, *_forecast(told.get("forecast"))]


def _forecast(told: Obj | None) -> list[Line]:
    if told is None:
        return []
    out = [
        line(),
        line(f"a run costs {_usd(told['mean_nano'])} on average, nine of ten stay under {_usd(told['p90_nano'])}"),
    ]
    if told["runs_a_month"] is not None:
        month = f"{_usd(told['month_mean_nano'])}, with each run as dear as that {_usd(told['month_p90_nano'])}"
        out.append(line(f"its schedule starts {told['runs_a_month']} runs in 30 days: {month}"))
    return out


def _usd(nano: int) -> str:
    return f"${nano / _NANO:.2f}" if nano >= _NANO // 100 or nano == 0 else f"${nano / _NANO:.4f}"


async def _drafting(client: Client, session: str, body: Obj) -> Obj:
    async with client:
        told: Obj = await client.post(f"/sessions/{quote(session)}/promote", body)
        return told
