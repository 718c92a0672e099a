"""The verbs about events from outside: events with show, replay and test, sources with set, poll and remove."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from handrail.cli import calls, options
from handrail.cli.clean import one_line
from handrail.cli.client import Obj
from handrail.cli.layout import columns, printed, table
from handrail.errors import InvalidInput

events = typer.Typer(rich_markup_mode=None, add_completion=False)
sources = typer.Typer(rich_markup_mode=None, add_completion=False)
Event = Annotated[str, typer.Argument(metavar="EVENT", help="Id of an event, a unique beginning of one, or `last`.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the source.")]


@events.callback(invoke_without_command=True)
def listed(
    context: typer.Context,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this source.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", help="How many.")] = 20,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """List events from outside, the newest first, and what became of each."""
    if context.invoked_subcommand is not None:
        return 0
    told = calls.get(data, "/events", source=source, limit=limit)
    if as_json:
        options.put_json(told)
        return 0
    rows = [
        (
            str(item.get("received") or "")[:16].replace("T", " "),
            str(item.get("id")),
            str(item.get("source")),
            ".".join(str(item[key]) for key in ("event", "action") if item.get(key)),
            one_line(str(item.get("repository") or ""), 60),
            str(item.get("state")),
            one_line(str(item.get("reason") or ""), 300),
        )
        for item in told.get("events") or []
    ]
    if not rows:
        options.put("no events yet: `handrail sources set` says where they may come from")
        return 0
    limit_columns = columns() if sys.stdout.isatty() else 0
    heads = ("received", "id", "source", "event", "repository", "state", "what became of it")
    printed(table(heads, rows, limit=limit_columns))
    return 0


@events.command("show", epilog="Example: handrail events show last --json")
def show(event: Event, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Show one event with its payload."""
    told = calls.get(data, f"/events/{event}")
    if as_json:
        options.put_json(told)
        return 0
    for key in ("id", "source", "event", "action", "sender", "repository", "received", "delivery", "state", "reason"):
        if told.get(key):
            options.put(f"{key:<11} {one_line(str(told[key]), 500)}")
    options.put(json.dumps(told.get("payload"), indent=2))
    return 0


@events.command("replay", epilog="Example: handrail events replay last --workflow review --dry-run")
def replay(
    event: Event,
    workflow: Annotated[str, typer.Option(metavar="NAME", help="Workflow to put it to, enabled or not.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would come of it.")] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Put an event to a workflow again. Exit status 1 when it is not wanted."""
    body: Obj = {"workflow": workflow, "dry_run": dry_run}
    return _came(calls.post(data, f"/events/{event}/replay", body), as_json=as_json)


@events.command("test", epilog="Example: handrail events test issue.json --event issues --workflow triage")
def sample(
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Payload as JSON, such as GitHub shows it; - is stdin.")],
    workflow: Annotated[str, typer.Option(metavar="NAME", help="Workflow to ask, enabled or not.")],
    event: Annotated[
        str | None, typer.Option(metavar="EVENT", help="GitHub, Gitea: its name in the header, such as issues.")
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Who would send it (default: a GitHub).")] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Ask what a workflow would make of an event that never came. Exit status 1 when it is not wanted."""
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        payload = json.loads(raw)
    except OSError as error:
        raise InvalidInput("FILE", file, f"it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidInput("FILE", file, "give a file with one JSON object") from error
    body: Obj = {"workflow": workflow, "payload": payload, "event": event, "source": source}
    return _came(calls.post(data, "/events/sample", body), as_json=as_json)


def _came(told: Obj, *, as_json: bool) -> int:
    """Show what came, or would come, of putting an event to a workflow."""
    if as_json:
        options.put_json(told)
        return 0 if told.get("matched") else 1
    options.put(f"{'matches' if told.get('matched') else 'does not match'}: {one_line(str(told.get('why')), 300)}")
    for repository in told.get("repositories") or []:
        options.put(f"works on {repository}")
    if told.get("run"):
        options.put(f"started {told['run']}")
    else:
        for goal in told.get("goals") or []:
            options.put(f"\n{goal}")
    return 0 if told.get("matched") else 1


@sources.callback(invoke_without_command=True)
def sources_listed(context: typer.Context, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List the sources that may send events, with the path of each, and the repositories that are polled."""
    if context.invoked_subcommand is not None:
        return 0
    told = calls.get(data, "/sources")
    if as_json:
        options.put_json(told)
        return 0
    rows = [
        (str(item.get("name")), str(item.get("kind")), str(item.get("path")), str(item.get("account") or ""))
        for item in told.get("sources") or []
    ]
    polls = told.get("polls") or []
    if not rows and not polls:
        options.put("no sources yet: handrail sources set hub --kind github --secret-stdin, or handrail sources poll")
        return 0
    if rows:
        printed(table(("source", "kind", "address (POST)", "we are"), rows))
    if rows and polls:
        options.put("")
    if polls:
        _polled(polls)
    return 0


def _polled(polls: Sequence[Obj]) -> None:
    """What is polled, and how the last look went."""
    rows = [
        (
            str(item.get("source")),
            str(item.get("repository")),
            f"{float(item.get('every') or 0):.0f} s",
            _time(item.get("looked")) or "not yet",
            _time(item.get("due")),
            one_line(str(item.get("error") or ""), 300),
        )
        for item in polls
    ]
    limit = columns() if sys.stdout.isatty() else 0
    printed(table(("polled", "repository", "every", "last look", "next", "error"), rows, limit=limit))


def _time(moment: object) -> str:
    return str(moment or "")[:19].replace("T", " ")


@sources.command("set", epilog="Example: handrail sources set github --kind github --secret-stdin < secret")
def set_source(
    *,
    name: Name,
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="github, gitlab, gitea (Forgejo too), slack, standard, alertmanager, datadog, generic."
        ),
    ],
    secret_stdin: Annotated[bool, typer.Option("--secret-stdin", help="Read the secret from stdin.")] = False,
    secret_env: Annotated[
        str | None, typer.Option("--secret-env", metavar="VAR", help="Read the secret from this variable.")
    ] = None,
    header: Annotated[
        str | None, typer.Option(metavar="NAME", help="generic, datadog: header with the secret or signature.")
    ] = None,
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="generic: what stands before it, such as sha256=.")] = "",
    signed: Annotated[bool, typer.Option("--signed", help="generic: the header holds an HMAC-SHA256.")] = False,
    account: Annotated[
        str | None, typer.Option(metavar="LOGIN", help="Who Handrail is there: its own acts start nothing.")
    ] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Set up who may send events; the secret is what the sender signs with."""
    body: Obj = {
        "kind": kind,
        "secret": options.secret("secret", secret_env, stdin=secret_stdin),
        "header": header,
        "prefix": prefix,
        "signed": signed,
        "account": account,
    }
    told = calls.put(data, f"/sources/{name}", body)
    if as_json:
        options.put_json(told)
    else:
        options.put(f"{told.get('name')} sends to {told.get('path')}")
    return 0


@sources.command("poll", epilog="Example: handrail sources poll hub acme/shop acme/app --every 60s")
def poll(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the forge (see `handrail forges`).")],
    repositories: Annotated[
        list[str] | None, typer.Argument(metavar="[REPOSITORY]…", help="owner/name: these and no others of it.")
    ] = None,
    every: Annotated[str, typer.Option(metavar="TIME", help="How often, such as 60s or 5m.")] = "60s",
    stop: Annotated[bool, typer.Option("--stop", help="Poll nothing of it any more.")] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Ask a forge for news of repositories, where no webhook can reach this machine; they are events like any other."""
    if stop == bool(repositories):
        raise InvalidInput("repositories", ", ".join(repositories or ()), "name some as owner/name, or give --stop")
    body: Obj = {"repositories": repositories or [], "every": options.seconds(every, "--every")}
    told = calls.put(data, f"/sources/{name}/polls", body)
    if as_json:
        options.put_json(told)
    elif stop:
        options.put(f"nothing of {name} is polled any more")
    else:
        options.put(
            f"{name} is asked every {every} about {', '.join(repositories or ())}; what is there now is no news"
        )
    return 0


@sources.command("remove", epilog="Example: handrail sources remove github")
def remove_source(name: Name, data: options.Data = None) -> int:
    """Forget a source; its events stay."""
    calls.delete(data, f"/sources/{name}")
    options.put(f"{name} is forgotten")
    return 0
