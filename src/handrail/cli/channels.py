"""The verbs about channels that tell people: notify, notify test."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from handrail.cli import calls, options
from handrail.cli.clean import one_line
from handrail.cli.client import LONG, Obj
from handrail.cli.layout import Line, Span, columns, duration, line, printed, table

notify = typer.Typer(rich_markup_mode=None, add_completion=False)


@notify.callback(invoke_without_command=True)
def listed(context: typer.Context, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List the channels of notify.toml, and the last messages."""
    if context.invoked_subcommand is not None:
        return 0
    told = calls.get(data, "/notify")
    if as_json:
        options.put_json(told)
        return 0
    channels = [
        (str(item.get("name")), str(item.get("kind")), ", ".join(item.get("events") or []))
        for item in told.get("channels") or []
    ]
    if not channels:
        options.put(f"no channels yet: describe them in {told.get('file')}")
    printed(table(("channel", "kind", "told of"), channels) if channels else [])
    limit = columns() if sys.stdout.isatty() else 0
    messages = [_delivery(item) for item in told.get("deliveries") or []]
    printed(table(("time", "channel", "state", "tries", "message"), messages, limit=limit) if messages else [])
    return 0


def _delivery(item: Obj) -> tuple[str, ...]:
    said = one_line(str(item.get("title") or ""), 80)
    if item.get("error"):
        said += f" ({one_line(str(item['error']), 200)})"
    time = str(item.get("created") or "")[:16].replace("T", " ")
    return time, str(item.get("channel")), str(item.get("state")), str(item.get("tries")), said


@notify.command("test", epilog="Example: handrail notify test slack")
def try_out(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="Name of a channel in notify.toml.")],
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Send a message over one channel now, and say whether it was taken."""
    told = calls.post(data, f"/notify/{channel}/test", timeout=LONG)
    if as_json:
        options.put_json(told)
    else:
        printed(_tried(told))
    return 0 if told.get("ok") else 1


def _tried(told: Obj) -> list[Line]:
    took = f" ({duration(told.get('seconds'))})"
    if told.get("ok"):
        return [line(f"{told.get('channel')} ", Span("took it", "green"), took)]
    why = one_line(str(told.get("detail") or ""), 500)
    return [line(f"{told.get('channel')} ", Span("did not take it", "red"), f": {why}{took}")]
