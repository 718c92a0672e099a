"""The verbs about a session at one of its turns: look at its files, begin another session there."""

from __future__ import annotations

import sys
from typing import Annotated
from urllib.parse import quote

import typer

from handrail.cli import acts, options
from handrail.cli.clean import clean, one_line
from handrail.cli.client import Client, Obj
from handrail.cli.layout import Line, Span, line, printed

At = Annotated[
    int | None, typer.Option("--at", min=0, metavar="TURN", help="As it was after that turn; 0 is the start.")
]


def files(
    session: options.Session = "last",
    path: Annotated[str, typer.Argument(metavar="[PATH]", help="Folder or file (default: the top).")] = "",
    at: At = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """List a folder of a session, or print a file, as its last snapshot holds it; what git ignores is left out."""
    told = options.run(_looked(options.client(data), session, path=path, turn=at))
    if as_json:
        options.put_json(told)
    elif told["kind"] == "folder":
        printed(_listed(told))
    elif told.get("text") is None:
        sys.stderr.write(f"handrail: {one_line(path)} is no text, {told.get('size') or 0} bytes\n")
        return 1
    else:
        text = str(told["text"])
        sys.stdout.write(clean(text) if sys.stdout.isatty() else text)
        if told.get("truncated"):
            sys.stderr.write("handrail: the file is cut, because it is longer than the server shows\n")
            return 1
    return 0


def branch(
    session: options.Session = "last",
    at: At = None,
    title: Annotated[str | None, typer.Option("--title", help="Title of the new session.")] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Begin a new session from where another was after a turn; its agent is told what happened up to there."""
    told = options.run(_branched(options.client(data), session, {"turn": at, "title": title}))
    if as_json:
        options.put_json(told)
    else:
        name = acts.short(told)
        printed([line(f"session {name} begins there; prompt it: handrail attach {name}")])
    return 0


async def _looked(client: Client, session: str, **asked: str | float | None) -> Obj:
    async with client:
        return await client.get(f"/sessions/{quote(session)}/files", **asked)


async def _branched(client: Client, session: str, body: Obj) -> Obj:
    async with client:
        return await client.post(f"/sessions/{quote(session)}/branch", body)


def _listed(told: Obj) -> list[Line]:
    out = []
    for entry in told.get("entries") or []:
        name = one_line(str(entry["path"]), 400) + ("/" if entry["kind"] == "folder" else "")
        flag = Span(f"  {entry['flag']}", "yellow") if entry.get("flag") else Span("", "dim")
        size = "" if entry.get("size") is None else str(entry["size"])
        kind = "" if entry["kind"] in ("file", "folder") else f"  {entry['kind']}"
        out.append(line(f"{size:>10}  ", Span(name, "bold" if entry["kind"] == "folder" else "plain"), kind, flag))
    if told.get("more"):
        out.append(line("… there are more"))
    return out
