"""The verbs that look after the server: up, down, status, doctor."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from handrail.cli import finding, options
from handrail.cli.clean import one_line
from handrail.cli.client import Client, Obj
from handrail.cli.layout import Line, Span, duration, line, printed
from handrail.config import keep_setting
from handrail.errors import Conflict, HandrailError, Unavailable


def up(
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay here instead of in the background.")] = False,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="TCP port on loopback; 0 takes a free one.")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", help="Keep state in PostgreSQL, from now on: postgresql://…"),
    ] = None,
    data: options.Data = None,
) -> int:
    """Start the server."""
    directory = options.where(data)
    if database is not None:
        finding.prepare(directory)
        keep_setting(directory, "database", database)
    if port is not None:
        os.environ["HANDRAIL_PORT"] = str(port)
    if foreground:
        finding.prepare(directory)
        if finding.held(directory / "server.lock") or finding.held(directory / "keeper.lock"):
            raise Conflict(f"a server already runs on {directory}: stop it with `handrail down`")
        sys.stdout.flush()
        os.execv(sys.executable, finding.keeper_command(directory))  # noqa: S606 - no shell is wanted
    return options.run(_up(directory, told=port is not None or database is not None))


async def _up(directory: Path, *, told: bool) -> int:
    began = time.monotonic()
    running = await finding.connect(directory)
    if running is not None:
        await running.aclose()
    if running is not None and told:
        raise Conflict("a server already runs on this data directory: `handrail down` first, then start it so")
    async with Client(directory, say=options.whisper) as client:
        now = await client.get("/status")
    said = "was running" if running else f"is up after {duration(time.monotonic() - began)}"
    options.put(f"the server {said}: {now.get('url')} (process {now.get('pid')}, data in {directory})")
    return 0


def show_page(
    link: Annotated[bool, typer.Option("--print", help="Print the link instead; it lets whoever has it in.")] = False,
    data: options.Data = None,
) -> int:
    """Open the pages in a browser."""
    return options.run(_show_page(options.where(data), link=link))


async def _show_page(directory: Path, *, link: bool) -> int:
    async with Client(directory, say=options.whisper) as client:
        await client.get("/status")
    address = finding.read_address(directory)
    if address is None:
        raise Unavailable("the server ended just now: run this again")
    url = f"{address.url}/open?token={address.token}"
    seen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if link or not seen or typer.launch(url) != 0:
        options.put(url)
    return 0


def down(data: options.Data = None) -> int:
    """Stop the server; sessions stay and go on at the next start."""
    directory = options.where(data)
    stopped = options.run(finding.stop(directory))
    if not stopped:
        options.put(f"no server runs on {directory}")
        return 0
    options.put("the server is down")
    for process in finding.left_behind(directory):
        sys.stderr.write(f"handrail: still using {directory}: {process}\n")
    return 0


def status(as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Show whether the server runs and what it does."""
    return options.run(_status(options.where(data), as_json=as_json))


async def _status(directory: Path, *, as_json: bool) -> int:
    try:
        async with Client(directory, say=options.whisper, start=False) as client:
            told = await client.get("/status")
    except Unavailable:
        if as_json:
            options.put_json({"running": False, "data": str(directory)})
        else:
            options.put(f"no server runs on {directory} (any verb that needs one starts it)")
        return 0
    if as_json:
        options.put_json({"running": True, **told})
    else:
        printed(_status_lines(told))
    return 0


def _status_lines(told: Obj) -> list[Line]:
    walls, sessions = told.get("sandbox") or {}, told.get("sessions") or {}
    lacks = ", ".join(map(str, walls.get("lacks") or []))
    rows = [
        ("server", f"handrail {told.get('version')}, process {told.get('pid')}, up {duration(told.get('uptime'))}"),
        ("address", str(told.get("url"))),
        ("data", str(told.get("data"))),
        ("memory", f"{told.get('memory_mb')} MB"),
        ("sessions", ", ".join(f"{sessions.get(key) or 0} {key}" for key in ("total", "running", "waiting"))),
        ("walls", f"{walls.get('kind')}, holding {', '.join(map(str, walls.get('holds') or [])) or 'nothing'}"),
        (
            "providers",
            ", ".join(map(str, told.get("providers") or []))
            or "none, so a script plays: see `handrail providers set --help`",
        ),
    ]
    others = [f"{one['host']} (heard of {duration(one['quiet'])} ago)" for one in told.get("servers") or []]
    rows += [("servers", ", ".join(others))] if others else []
    out = [line(Span(f"{name:<10}", "dim"), one_line(text, 300)) for name, text in rows]
    if lacks or walls.get("kind") == "none":
        detail = one_line(str(walls.get("detail") or ""))
        text = f"lacking {lacks or 'everything'}" + (f": {detail}" if detail else "")
        at = next(number for number, (name, _) in enumerate(rows) if name == "walls") + 1
        out.insert(at, line(Span(f"{'':<10} {text}", "yellow")))
    return out


def doctor(as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Check what is installed and what holds, and say what to do about the rest."""
    return options.run(_doctor(options.where(data), as_json=as_json))


async def _doctor(directory: Path, *, as_json: bool) -> int:
    try:
        async with Client(directory, say=options.whisper) as client:
            checks: list[Obj] = (await client.get("/doctor")).get("checks") or []
    except HandrailError as error:
        # the doctor's first patient is the server: what keeps it from starting is an answer and no failure to answer
        checks = [{"name": "server", "ok": False, "detail": error.message, "mend": f"read {directory}/logs/server.log"}]
    if as_json:
        options.put_json({"checks": checks})
    else:
        printed(row for check in checks for row in _check_lines(check))
    return int(not all(check.get("ok") for check in checks))


def _check_lines(check: Obj) -> list[Line]:
    good = bool(check.get("ok"))
    mark = Span("ok   ", "green") if good else Span("MISSING  ", "red")
    rows = [
        line(mark, Span(one_line(str(check.get("name"))), "bold"), f"  {one_line(str(check.get('detail') or ''), 300)}")
    ]
    if not good and check.get("mend"):
        rows.append(line(Span(f"         {one_line(str(check['mend']), 300)}", "yellow")))
    return rows
