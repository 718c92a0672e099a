"""The verbs about what tasks need and no agent may hold: secrets, secrets set, secrets remove."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from handrail.cli import calls, options
from handrail.cli.client import Obj
from handrail.cli.layout import columns, printed, table

secrets = typer.Typer(rich_markup_mode=None, add_completion=False)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The variable that stands inside, such as SEARCH_KEY.")]


@secrets.callback(invoke_without_command=True)
def listed(context: typer.Context, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List the secrets of tasks; values are never shown."""
    if context.invoked_subcommand is not None:
        return 0
    told = calls.get(data, "/secrets")
    if as_json:
        options.put_json(told)
        return 0
    rows = [
        (str(item["name"]), str(item["host"]), str(item["header"]), ", ".join(item.get("permits") or ["everything"]))
        for item in told.get("secrets") or []
    ]
    if rows:
        limit = columns() if sys.stdout.isatty() else 0
        printed(table(("secret", "sent to", "in the header", "for"), rows, limit=limit))
    else:
        options.put("no secrets yet: see `handrail secrets set --help`")
    return 0


@secrets.command(
    "set",
    epilog="Example: handrail secrets set SEARCH_KEY --host api.example.com --header 'X-Api-Key: {}' --value-stdin",
)
def put(
    *,
    name: Name,
    host: Annotated[str, typer.Option("--host", metavar="HOST[:PORT]", help="The one host that gets it, over TLS.")],
    header: Annotated[
        str, typer.Option("--header", metavar="HEADER", help="Header that carries it: 'Authorization: Bearer {}'.")
    ],
    permits: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="'METHOD /PATH'", help="What may be asked with it; everything by default."),
    ] = None,
    value_stdin: Annotated[bool, typer.Option("--value-stdin", help="Read the value from stdin.")] = False,
    value_env: Annotated[
        str | None, typer.Option("--value-env", metavar="VAR", help="Read the value from this variable.")
    ] = None,
    data: options.Data = None,
) -> int:
    """Store a secret for tasks; its value is read from stdin, a variable or a hidden prompt, never from an argument."""
    value = options.secret("value", value_env, stdin=value_stdin)
    body: Obj = {"host": host, "header": header, "value": value, "permits": permits or []}
    calls.put(data, f"/secrets/{name}", body)
    options.put(f"secret {name} is set: give it to a session with --secret {name}")
    return 0


@secrets.command("remove", epilog="Example: handrail secrets remove SEARCH_KEY")
def remove(name: Name, data: options.Data = None) -> int:
    """Forget a secret: no session's requests carry it any more."""
    calls.delete(data, f"/secrets/{name}")
    options.put(f"secret {name} is removed")
    return 0
