"""The verbs about people: members, members add, members link, members remove."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from handrail.cli import calls, options
from handrail.cli.client import Obj
from handrail.cli.layout import columns, printed, table

members = typer.Typer(rich_markup_mode=None, add_completion=False)
Name = Annotated[str, typer.Argument(metavar="NAME", help="How the log calls them, such as alice.")]


@members.callback(invoke_without_command=True)
def listed(context: typer.Context, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List who may come in."""
    if context.invoked_subcommand is None:
        _print(calls.get(data, "/members"), as_json=as_json)
    return 0


@members.command("list", epilog="Example: handrail members list --json")
def again(as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List who may come in."""
    _print(calls.get(data, "/members"), as_json=as_json)
    return 0


@members.command("add", epilog="Example: handrail members add alice --role member")
def add(
    name: Name,
    role: Annotated[str, typer.Option("--role", help="member: what is their own; owner: everything.")] = "member",
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Make somebody a member, and print the link that lets in one browser of theirs, once, within 7 days."""
    return _told(calls.post(data, "/members", {"name": name, "role": role}), as_json=as_json)


@members.command("link", epilog="Example: handrail members link alice")
def link(name: Name, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Print a new link for a member: for another browser, or in place of one that was lost."""
    return _told(calls.post(data, f"/members/{name}/link", {}), as_json=as_json)


@members.command("remove", epilog="Example: handrail members remove alice")
def remove(name: Name, data: options.Data = None) -> int:
    """Remove a member: their browsers are signed out at once; what they made stays."""
    calls.delete(data, f"/members/{name}")
    options.put(f"{name} is a member no longer; their sessions stay: `handrail sessions`")
    return 0


def _print(told: Obj, *, as_json: bool) -> None:
    if as_json:
        options.put_json(told)
        return
    rows = [
        (
            str(item["name"]),
            str(item["role"]),
            str(item["added"] or "this machine's person")[:21],
            str(item["seen"] or "-")[:16],
            f"until {str(item['invited'])[:10]}" if item.get("invited") else "-",
        )
        for item in told.get("members") or []
    ]
    printed(table(("name", "role", "added", "seen", "open link"), rows, limit=columns() if sys.stdout.isatty() else 0))


def _told(told: Obj, *, as_json: bool) -> int:
    if as_json:
        options.put_json(told)
    else:
        options.put(str(told["link"]))
    return 0
