"""The verbs about agents: agents, agents check, agents install, agent."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from handrail.cli import calls, options
from handrail.cli.client import LONG, Obj
from handrail.cli.layout import Line, Span, columns, duration, fit, line, printed, table

agents = typer.Typer(rich_markup_mode=None, add_completion=False)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Agent of the catalogue.")]


@agents.callback(invoke_without_command=True)
def listed(context: typer.Context, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List the agents of the catalogue, with what was found on this machine."""
    if context.invoked_subcommand is not None:
        return 0
    told = calls.get(data, "/agents")
    if as_json:
        options.put_json(told)
        return 0
    rows = [
        (
            str(item.get("name")),
            "yes" if item.get("installed") else "no",
            str(item.get("version") or ""),
            "yes" if item.get("login") else "",
            fit(str(item.get("licence") or ""), 28),
            ": ".join(str(item[key]) for key in ("title", "note") if item.get(key)),
        )
        for item in told.get("agents") or []
    ]
    printed(
        table(
            ("agent", "installed", "version", "login", "licence", "about"),
            rows,
            limit=columns() if sys.stdout.isatty() else 0,
        )
    )
    return 0


@agents.command("check", epilog="Example: handrail agents check codex --deep")
def check(
    name: Name,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also bring its session back in a second process; calls no model.")
    ] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Start an agent, shake hands, and print its capabilities as tried."""
    told = calls.post(data, f"/agents/{name}/check", {"deep": deep}, timeout=LONG)
    if as_json:
        options.put_json(told)
    else:
        printed(_checked(told))
    return 0 if told.get("ok") else 1


def _checked(told: Obj) -> list[Line]:
    good = bool(told.get("ok"))
    verdict = Span("works" if good else "does not work", "green" if good else "red")
    rows = [
        (str(item.get("name")), _word(item.get("advertised")), _word(item.get("tried")), str(item.get("detail") or ""))
        for item in told.get("capabilities") or []
    ]
    head = line(
        Span(f"{told.get('name')} {told.get('version') or ''} ", "bold"), verdict, f" ({duration(told.get('seconds'))})"
    )
    return [head, *table(("capability", "advertised", "tried", "detail"), rows)]


def _word(value: object) -> str:
    return "-" if value is None else "yes" if value else "no"


@agents.command("install", epilog="Example: handrail agents install claude")
def install(name: Name, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Fetch an agent's pinned package into Handrail's own folder."""
    options.whisper(f"installing {name}; this may take minutes")
    told = calls.post(data, f"/agents/{name}/install", {}, timeout=LONG)
    if as_json:
        options.put_json(told)
    else:
        options.put(
            f"{told.get('name')} {told.get('version')} is in {told.get('path')} ({duration(told.get('seconds'))})"
        )
    return 0


def agent() -> int:
    """Run Handrail's own agent over ACP on stdin and stdout, for editors such as Zed."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "handrail.agents.own"])  # noqa: S606 - no shell is wanted
