"""The verbs about workflows: listed, shown, checked, kept, switched on and off; and the gallery."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import quote

import typer

from handrail.cli import calls, options
from handrail.cli.clean import clean, one_line
from handrail.cli.client import Obj
from handrail.cli.layout import Line, Span, columns, line, printed, table
from handrail.cli.runs import follow
from handrail.errors import HandrailError, InvalidInput

LINT = "handrail.commands.lint"
FOLDER = Path(".handrail") / "workflows"
LARGEST = 1 << 19

workflows = typer.Typer(rich_markup_mode=None, add_completion=False)
gallery = typer.Typer(rich_markup_mode=None, add_completion=False)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the workflow.")]


@workflows.callback(invoke_without_command=True)
def listed(context: typer.Context, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List workflows: what starts them, whether they are enabled, how far they are trusted, what came out last."""
    if context.invoked_subcommand is not None:
        return 0
    told = calls.get(data, "/workflows")
    if as_json:
        options.put_json(told)
        return 0
    rows = [_row(item) for item in told.get("workflows") or []]
    if rows:
        head = ("workflow", "enabled", "trust", "next", "last", "starts")
        printed(table(head, rows, limit=columns() if sys.stdout.isatty() else 0))
    else:
        options.put("no workflows yet: write one and `handrail workflows add FILE`, or see `handrail gallery`")
    return 0


def _row(item: Obj) -> tuple[str, ...]:
    last = item.get("last") or {}
    waits = item["newest"] != item["number"]
    return (
        str(item["name"]),
        ("yes" if item["enabled"] else "no") + (f" (version {item['newest']} waits)" if waits else ""),
        str(item["trust"]),
        _moment(item.get("next")),
        str(last.get("outcome") or last.get("state") or ""),
        str(item.get("problem") or item["starts"]),
    )


@workflows.command("show", epilog="Example: handrail workflows show nightly")
def show(name: Name, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Show a workflow: its file, what starts it next, what became of its last ticks."""
    told = calls.get(data, f"/workflows/{quote(name)}")
    if as_json:
        options.put_json(told)
    else:
        printed(_shown(told))
    return 0


def _shown(told: Obj) -> list[Line]:
    state = Span("enabled", "green") if told["enabled"] else Span("not enabled", "dim")
    where = f" from {told['origin']}" if told.get("origin") else ""
    rehearsed = f"rehearsed {_moment(told['rehearsed'])}" if told.get("rehearsed") else "not rehearsed"
    out = [
        line(Span(str(told["name"]), "bold"), "  ", state),
        line(
            f"version {told['number']} ({told['version']}), {rehearsed}, trust {told['trust']}, {told['source']}{where}"
        ),
        line(f"started {told['starts']}"),
        line(f"trust {told['trust']}, accepted results in a row: {told['accepted']}; {told['rises']}"),
    ]
    if told.get("fell"):
        out.append(line(Span(f"trust fell: {one_line(str(told['fell']), 1000)}", "yellow")))
    if told["newest"] != told["number"]:
        out.append(line(Span(f"version {told['newest']} waits until it is enabled", "yellow")))
    if told.get("problem"):
        out.append(line(Span(one_line(str(told["problem"]), 1000), "red")))
    out += [line(f"next {_moment(due)}") for due in told.get("upcoming") or []]
    out += [line(Span(f"note: {note}", "yellow")) for note in told.get("notes") or []]
    out += _ticks(told.get("ticks") or [])
    return [*out, line(), *(line(text) for text in clean(str(told["text"])).splitlines())]


def _ticks(ticks: list[Obj]) -> list[Line]:
    rows = [
        (
            _moment(tick["due"]),
            str(tick["state"]) + (f" ({tick['count']} since {_moment(tick['since'])})" if tick["count"] > 1 else ""),
            str(tick.get("run") or ""),
            str(tick.get("reason") or ""),
        )
        for tick in ticks
    ]
    return [line(), *table(("tick", "became", "run", "why"), rows)] if rows else []


@workflows.command("next", epilog="Example: handrail workflows next nightly --count 10")
def upcoming(
    name: Name,
    count: Annotated[int, typer.Option("--count", min=1, max=100, metavar="N", help="How many.")] = 5,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Print when a workflow's schedules are due next, whether it is enabled or not."""
    told = calls.get(data, f"/workflows/{quote(name)}", next=count)
    due = told.get("upcoming") or []
    if as_json:
        options.put_json({"name": name, "enabled": told["enabled"], "upcoming": due})
    else:
        options.put("\n".join(_moment(one) for one in due) or f"{name} has no schedule")
        if due and not told["enabled"]:
            options.whisper(f"{name} is not enabled: it starts at none of these")
    return 0


@workflows.command("versions", epilog="Example: handrail workflows versions nightly")
def versions(name: Name, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List the versions of a workflow's file, the newest first."""
    told = calls.get(data, f"/workflows/{quote(name)}/versions")
    if as_json:
        options.put_json(told)
        return 0
    rows = [
        (
            str(item["number"]),
            str(item["version"]),
            _moment(item["created"]),
            str(item["by"]),
            _moment(item["rehearsed"]) or "no",
        )
        for item in told.get("versions") or []
    ]
    printed(table(("number", "version", "kept", "by", "rehearsed"), rows))
    return 0


@workflows.command("add", epilog="Example: handrail workflows add nightly.yaml")
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Workflow file.")],
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Keep a workflow file, switched off, or a new version of one."""
    body = {"text": _text(file), "origin": str(file.absolute())}
    return _kept(calls.post(data, "/workflows", body), as_json=as_json)


@workflows.command("edit", epilog="Example: handrail workflows edit nightly")
def edit(name: Name, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Change a workflow's file in your editor ($VISUAL, $EDITOR); what is saved becomes a new version."""
    before = str(calls.get(data, f"/workflows/{quote(name)}")["text"])
    with tempfile.TemporaryDirectory(prefix="handrail-") as folder:
        file = Path(folder) / f"{name}.yaml"
        file.write_text(before, "utf-8")
        program = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        try:
            done = subprocess.run([*shlex.split(program), str(file)], check=False)
        except (OSError, ValueError) as error:
            raise InvalidInput("EDITOR", program, "name an editor that is installed") from error
        after = _text(file)
        if done.returncode != 0 or after == before:
            options.put(f"{name} is as it was")
            return 0
        body = {"text": after, "origin": file.name}
        try:
            told = calls.post(data, "/workflows", body)
        except HandrailError:
            kept = Path(tempfile.gettempdir()) / f"handrail-{name}-{os.getpid()}.yaml"
            kept.write_text(after, "utf-8")
            options.whisper(f"what you wrote is kept in {kept}")
            raise
    return _kept(told, as_json=as_json)


@workflows.command("sync", epilog="Example: handrail workflows sync")
def sync(repo: options.Repo = None, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Keep all workflow files of a repository (.handrail/workflows). None is enabled by it."""
    top = Path(options.repository(repo))
    files = sorted(file for ending in ("*.yaml", "*.yml") for file in (top / FOLDER).glob(ending))
    if not files:
        raise InvalidInput("--repo", str(top), f"put workflow files into {FOLDER}")
    body = {"origin": str(top), "files": [{"name": str(file.relative_to(top)), "text": _text(file)} for file in files]}
    told = calls.post(data, "/workflows/sync", body)
    if as_json:
        options.put_json(told)
    else:
        rows = [
            (str(item["file"] or "-"), str(item["workflow"] or ""), str(item["result"]), str(item["problem"] or ""))
            for item in told.get("files") or []
        ]
        printed(table(("file", "workflow", "result", "why"), rows))
    return 2 if any(item["result"] == "refused" for item in told.get("files") or []) else 0


@workflows.command("enable", epilog="Example: handrail workflows enable nightly --unproven")
def enable(
    *,
    name: Name,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Which version (default: the newest).")
    ] = None,
    unproven: Annotated[bool, typer.Option("--unproven", help="Also when it was not rehearsed.")] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Let a workflow start by itself, from now on; what was due before does not fire."""
    body = {"version": version, "unproven": unproven}
    told = calls.post(data, f"/workflows/{quote(name)}/enable", body)
    if as_json:
        options.put_json(told)
    else:
        following = f", next {_moment(told['next'])}" if told.get("next") else ""
        options.put(f"{name} is enabled: version {told['number']}, trust {told['trust']}{following}")
    return 0


@workflows.command("start", epilog="Example: handrail workflows start upgrade --input version=2.0")
def start(
    *,
    name: Name,
    given: Annotated[
        list[str] | None, typer.Option("--input", metavar="NAME=VALUE", help="An input; may be given several times.")
    ] = None,
    repository: Annotated[
        list[str] | None,
        typer.Option("--repository", metavar="REPO", help="Work on this one instead; may be given several times."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run until it ends; the exit status is its.")] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Start a workflow now, enabled or not; its schedule is not touched."""
    inputs = {}
    for item in given or ():
        key, found, value = item.partition("=")
        if not found:
            raise InvalidInput("--input", item, "give NAME=VALUE")
        inputs[key] = value
    repositories = [str(Path(item).absolute()) if Path(item).is_dir() else item for item in repository or ()]
    body = {"inputs": inputs, "repositories": repositories}
    told = calls.post(data, f"/workflows/{quote(name)}/start", body)
    if as_json and not wait:
        options.put_json(told)
    elif not as_json:
        options.put(f"run {told['run']} of {name} has begun, tasks: {told['tasks']}")
    return follow(data, str(told["run"]), as_json=as_json) if wait else 0


@workflows.command("trust", epilog="Example: handrail workflows trust nightly sampled")
def trust(
    name: Name,
    level: Annotated[str, typer.Argument(metavar="LEVEL", help="shadow, supervised, sampled or autonomous.")],
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Say how far a workflow may act unwatched: up by one level, once it has earned that, or down."""
    known = options.allowed(level, "LEVEL", "shadow", "supervised", "sampled", "autonomous")
    told = calls.post(data, f"/workflows/{quote(name)}/trust", {"level": known})
    if as_json:
        options.put_json(told)
    else:
        options.put(f"{name} is trusted: {told['trust']}; {told['rises']}")
    return 0


@workflows.command("disable", epilog="Example: handrail workflows disable nightly")
def disable(name: Name, data: options.Data = None) -> int:
    """Let a workflow start by itself no more; runs that have begun go on."""
    calls.post(data, f"/workflows/{quote(name)}/disable")
    options.put(f"{name} is disabled")
    return 0


@workflows.command("remove", epilog="Example: handrail workflows remove nightly")
def remove(name: Name, data: options.Data = None) -> int:
    """Forget a workflow that is not enabled; its runs and versions stay."""
    calls.delete(data, f"/workflows/{quote(name)}")
    options.put(f"{name} is removed")
    return 0


@workflows.command("lint", epilog="Example: handrail workflows lint .handrail/workflows/nightly.yaml")
def lint(
    file: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]…", help="Workflow files, or folders (default: .handrail/workflows)."),
    ] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> None:
    """Say what is wrong with workflow files: line, field, value and what to write instead. Needs no server."""
    if data is not None:
        os.environ["HANDRAIL_DATA"] = str(data)
    _become(*(["--json"] if as_json else []), "--", *map(str, file or ()))


@workflows.command("schema", epilog="Example: handrail workflows schema > workflow.schema.json")
def schema() -> None:
    """Print the JSON Schema of workflow files, for editors."""
    _become("--schema")


@gallery.callback(invoke_without_command=True)
def shelf(context: typer.Context, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List ready workflows."""
    if context.invoked_subcommand is not None:
        return 0
    told = calls.get(data, "/gallery")
    if as_json:
        options.put_json(told)
        return 0
    rows = [(str(item["name"]), str(item["description"] or "")) for item in told.get("workflows") or []]
    printed(table(("workflow", "about"), rows, limit=columns() if sys.stdout.isatty() else 0))
    return 0


@gallery.command("add", epilog="Example: handrail gallery add review-pull-requests")
def take(name: Name, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Keep a ready workflow, switched off; `handrail workflows edit` makes it yours."""
    return _kept(calls.post(data, f"/gallery/{quote(name)}"), as_json=as_json)


def _kept(told: Obj, *, as_json: bool) -> int:
    if as_json:
        options.put_json(told)
        return 0
    name = told["name"]
    if told["enabled"] and told["newest"] != told["number"]:
        options.put(f"{name}: version {told['newest']} is kept; version {told['number']} goes on until you enable it")
    else:
        state = "enabled" if told["enabled"] else f"switched off: `handrail workflows enable {name}`"
        options.put(f"{name}: version {told['newest']} is kept, {state}")
    return 0


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            raw = opened.read(LARGEST)
        return raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("FILE", str(file), "give a text file that can be read") from error


def _moment(value: object) -> str:
    """A time in the zone of this machine."""
    return f"{datetime.fromisoformat(str(value)).astimezone():%a %Y-%m-%d %H:%M:%S %Z}" if value else ""


def _become(*words: str) -> NoReturn:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", LINT, *words])  # noqa: S606 - no shell is wanted
