"""The verbs about model providers: providers, providers set, providers remove."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from handrail.cli import calls, options
from handrail.cli.layout import columns, printed, table

providers = typer.Typer(rich_markup_mode=None, add_completion=False)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the provider, of your choice.")]


@providers.callback(invoke_without_command=True)
def listed(context: typer.Context, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List the model providers; keys are never shown."""
    if context.invoked_subcommand is not None:
        return 0
    told = calls.get(data, "/providers")
    if as_json:
        options.put_json(told)
        return 0
    rows = [
        tuple(str(item.get(key) or "") for key in ("name", "wire", "model", "key", "source", "base_url"))
        for item in told.get("providers") or []
    ]
    if rows:
        limit = columns() if sys.stdout.isatty() else 0
        printed(table(("provider", "wire", "model", "key", "source", "address"), rows, limit=limit))
    else:
        options.put("no providers yet: see `handrail providers set --help`")
    return 0


@providers.command("set", epilog="Example: handrail providers set work --wire anthropic --key-env ANTHROPIC_API_KEY")
def put(
    *,
    name: Name,
    wire: Annotated[str, typer.Option("--wire", help="Wire format the provider speaks: anthropic, openai or gemini.")],
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="Address, when it is not the wire's own.")
    ] = None,
    key_stdin: Annotated[bool, typer.Option("--key-stdin", help="Read the key from stdin.")] = False,
    key_env: Annotated[
        str | None, typer.Option("--key-env", metavar="VAR", help="Read the key from this variable.")
    ] = None,
    model: options.Model = None,
    data: options.Data = None,
) -> int:
    """Store a model provider; its key is read from stdin, a variable or a hidden prompt, never from an argument."""
    key = options.secret("key", key_env, stdin=key_stdin)
    body = {"wire": wire, "base_url": base_url, "key": key, "model": model}
    calls.put(data, f"/providers/{name}", body)
    options.put(f"provider {name} is set")
    return 0


@providers.command("remove", epilog="Example: handrail providers remove work")
def remove(name: Name, data: options.Data = None) -> int:
    """Forget a stored model provider and its key."""
    calls.delete(data, f"/providers/{name}")
    options.put(f"provider {name} is removed")
    return 0
