"""The verbs about git hosts: forges, forges set, forges check, forges remove."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from handrail.cli import calls, options
from handrail.cli.clean import one_line
from handrail.cli.client import LONG, Obj
from handrail.cli.layout import Line, Span, columns, line, printed, table
from handrail.errors import InvalidInput

forges = typer.Typer(rich_markup_mode=None, add_completion=False)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the forge, of your choice.")]


@forges.callback(invoke_without_command=True)
def listed(context: typer.Context, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List the forges; credentials are never shown."""
    if context.invoked_subcommand is not None:
        return 0
    told = calls.get(data, "/forges")
    if as_json:
        options.put_json(told)
        return 0
    rows = [_row(item) for item in told.get("forges") or []]
    if rows:
        limit = columns() if sys.stdout.isatty() else 0
        printed(table(("forge", "kind", "account", "credential", "address"), rows, limit=limit))
    else:
        options.put("no forges yet: see `handrail forges set --help`")
    return 0


def _row(item: Obj) -> tuple[str, ...]:
    said = [str(item.get(key) or "") for key in ("name", "kind", "account", "credential")]
    return (*said, str(item.get("url") or ""))


@forges.command("set", epilog="Example: gh auth token | handrail forges set github --kind github --token-stdin")
def put(
    *,
    name: Name,
    kind: Annotated[str, typer.Option("--kind", help="github, gitlab, gitea (Forgejo too) or git.")],
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="Where its pages are, or a directory of bare repositories."),
    ] = None,
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="Read the token from stdin.")] = False,
    app_id: Annotated[str | None, typer.Option("--app-id", metavar="ID", help="Act as this GitHub App.")] = None,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", metavar="FILE", help="The App's private key, PEM.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="Whom a server of plain git asks for.")] = None,
    data: options.Data = None,
) -> int:
    """Store a forge; its token is read from stdin or a hidden prompt, never from an argument."""
    if (app_id is None) != (key_file is None):
        raise InvalidInput("--app-id and --key-file", app_id or str(key_file), "give both for a GitHub App, or neither")
    if key_file is not None and token_stdin:
        raise InvalidInput("--token-stdin", "true", "leave it out: a GitHub App has its key file")
    secret = _secret(kind, key_file, stdin=token_stdin)
    body = {"kind": kind, "url": url, "secret": secret, "app_id": app_id, "user": user}
    calls.put(data, f"/forges/{name}", body)
    options.put(f"forge {name} is set: try it with `handrail forges check {name}`")
    return 0


def _secret(kind: str, key_file: Path | None, *, stdin: bool) -> str:
    if key_file is not None:
        try:
            return key_file.read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput("--key-file", str(key_file), "give the .pem file that GitHub made") from error
    if stdin:
        given = options.from_stdin().strip()
        if not given:
            raise InvalidInput("token", "", "give it as a line on stdin")
        return given
    if kind == "git":
        return ""
    if not sys.stdin.isatty():
        raise InvalidInput("--token-stdin", "false", "give it, and the token on stdin")
    return getpass.getpass("token (not shown): ").strip()


@forges.command("check", epilog="Example: handrail forges check github --repository acme/shop")
def check(
    name: Name,
    repository: Annotated[
        str | None, typer.Option("--repository", metavar="OWNER/NAME", help="See whether this may be written to.")
    ] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Try the credential of a forge: whose it is, what it may do. Exit status 1 when it may not write."""
    told = calls.post(data, f"/forges/{name}/check", {"repository": repository}, timeout=LONG)
    if as_json:
        options.put_json(told)
    else:
        printed(_tried(told, repository))
    return 1 if told.get("writable") is False else 0


def _tried(told: Obj, repository: str | None) -> list[Line]:
    rows = [line(Span("works", "green"), f", as {one_line(str(told.get('login')), 100)}")]
    if told.get("scopes") is not None:
        rows.append(line(f"may: {one_line(', '.join(told.get('scopes') or []) or 'nothing', 500)}"))
    if told.get("writable") is not None:
        may = Span("may be written to", "green") if told.get("writable") else Span("may not be written to", "red")
        rows.append(line(f"{repository} ", may))
    return rows + [line(one_line(str(note), 300)) for note in told.get("notes") or []]


@forges.command("remove", epilog="Example: handrail forges remove github")
def remove(name: Name, data: options.Data = None) -> int:
    """Forget a forge and its credential."""
    calls.delete(data, f"/forges/{name}")
    options.put(f"forge {name} is removed")
    return 0
