"""The verbs that act on one session, or list them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from handrail.cli import acts, calls, options
from handrail.cli.clean import one_line
from handrail.cli.client import Client, Obj
from handrail.cli.layout import Line, Span, colourful, columns, line, paint, printed
from handrail.cli.render import ASCII, UNICODE, Stream, Transcript, walls
from handrail.errors import InvalidInput
from handrail.types import SessionState

_TASK = "t-"
"""how ids of tasks begin"""

PAGE = 500  # events asked for at once


def sessions(
    state: Annotated[str | None, typer.Option("--state", help="Only idle, running, waiting or ended ones.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many, newest first.")] = 30,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """List sessions, newest first."""
    options.allowed(state, "--state", *SessionState)
    told = calls.get(data, "/sessions", state=state, limit=limit)
    if as_json:
        options.put_json(told)
    elif found := told.get("sessions"):
        printed(acts.session_rows(found, columns() if sys.stdout.isatty() else 0))
    else:
        options.put("no sessions yet: start one with `handrail chat` in a repository")
    return 0


def show(session: options.Session = "last", as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Show what a session is and where it stands."""
    told = calls.get(data, f"/sessions/{session}")
    if as_json:
        options.put_json(told)
    else:
        printed(_shown(told))
    return 0


def _shown(told: Obj) -> list[Line]:
    goal = told.get("goal") or {}
    outcome = f"{told['outcome']}: {told.get('outcome_reason') or ''}" if told.get("outcome") else ""
    tokens = told.get("tokens") or {}
    rows = [
        ("session", told.get("id")),
        ("title", told.get("title")),
        ("state", f"{told.get('state')}, held by {told.get('control')}, turn {told.get('turn')}"),
        ("queued", told.get("queued")),
        ("outcome", outcome.rstrip(": ")),
        ("goal", goal.get("text")),
        (
            "checks",
            "; ".join(
                str(check.get("command") if isinstance(check, dict) else check) for check in goal.get("checks") or []
            ),
        ),
        ("agent", " ".join(str(told[key]) for key in ("agent", "model", "provider") if told.get(key))),
        ("repository", told.get("repository")),
        ("workspace", told.get("workspace")),
        ("branch", f"{told.get('branch')} from {str(told.get('base'))[:12]}"),
        ("permissions", told.get("permissions")),
        ("network", ", ".join(told.get("network") or ["none"])),
        ("secrets", ", ".join(told.get("secrets") or ["none"])),
        ("cost", acts.money(told)),
        ("tokens", ", ".join(f"{tokens.get(key) or 0} {key}" for key in ("input", "cached", "output"))),
        ("updated", told.get("updated")),
    ]
    out = [line(Span(f"{name:<12}", "dim"), one_line(str(value), 400)) for name, value in rows if value]
    waiting = [
        f"{item.get('id')} {item.get('title')}" for item in told.get("approvals") or [] if item.get("state") == "open"
    ]
    out += [line(Span("waits for    ", "yellow"), one_line(text, 200)) for text in waiting]
    return [*out, *walls(told)]


def log(
    *,
    session: options.Session = "last",
    after: Annotated[int, typer.Option("--after", min=0, metavar="N", help="Only events numbered above N.")] = 0,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only this kind; may be given several times.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens now, until Ctrl-C.")] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Print the log of a session; with --json, one event a line."""
    return options.run(_log(options.client(data), session, after, set(kind or []), follow=follow, as_json=as_json))


async def _log(client: Client, session: str, after: int, kinds: set[str], *, follow: bool, as_json: bool) -> int:
    writer = _Writer(kinds, as_json=as_json)
    async with client:
        told = await client.get(f"/sessions/{session}")
        name = str(told["id"])
        while events := (await client.get(f"/sessions/{name}/events", after=after, limit=PAGE)).get("events"):
            for event in events:
                writer.write(event)
            after = int(events[-1]["seq"])
        if follow:
            async for event in client.events(name, after):
                writer.write(event)
                sys.stdout.flush()
    return 0


class _Writer:
    """Writes events to stdout, as lines for a person or as JSON, one event a line."""

    def __init__(self, kinds: set[str], *, as_json: bool) -> None:
        self._kinds = kinds
        self._json = as_json
        self._colour = colourful(sys.stdout)
        wide = (sys.stdout.encoding or "").lower().startswith("utf")
        self._transcript = Transcript(glyphs=UNICODE if wide else ASCII, thoughts=True, columns=columns())

    def write(self, event: Obj) -> None:
        if self._kinds and str(event.get("kind")) not in self._kinds:
            return
        if self._json:
            options.put_json_line(event)
            return
        for piece in self._transcript.feed(event):
            if isinstance(piece, Stream):
                sys.stdout.write(paint((Span(piece.text, piece.style),), colour=self._colour))
            else:
                options.put(paint(piece, colour=self._colour))


def prompt(
    session: options.Sure,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The prompt; `-` reads it from stdin.")],
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Send a prompt to a session; while its agent works the prompt is queued."""
    text = options.from_stdin() if text == "-" else text
    options.fits(text, "TEXT", options.where(data))
    told = calls.post(data, f"/sessions/{session}/prompts", {"text": text})
    waits = "queued: it is sent when the turn under way ends" if told.get("queued") else "sent"
    return _said(told, waits, as_json=as_json)


def cancel(session: options.Session = "last", as_json: options.AsJson = False, data: options.Data = None) -> int:
    """Cancel the turn under way."""
    return _said(calls.post(data, f"/sessions/{session}/cancel"), "cancelling the turn", as_json=as_json)


def take(
    session: Annotated[
        str, typer.Argument(metavar="[SESSION|TASK]", help="Session (default: the last), or task of a run.")
    ] = "last",
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Take a session, or a task of a run, into your own hands; nothing it made is lost, no run ends by it."""
    if session.startswith(_TASK):
        taken = calls.post(data, f"/tasks/{session}/take")
        session = str(taken["session"])
    told = calls.post(data, f"/sessions/{session}/take")
    return _said(told, f"session {acts.short(told)} is yours", as_json=as_json)


def end(session: options.Sure, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """End a session for good; its change can still be read and applied."""
    told = calls.post(data, f"/sessions/{session}/end")
    return _said(told, f"session {acts.short(told)} has ended", as_json=as_json)


def handoff(
    *,
    session: options.Sure,
    goal: Annotated[
        str | None,
        typer.Option("--goal", metavar="TEXT", help="What to reach (default: the goal of the task that you took)."),
    ] = None,
    check: options.Checks = None,
    budget: options.Budget = None,
    turns: options.Turns = None,
    time: options.Limit = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Hand a session to its agent, which works on until the checks pass or a limit is met."""
    if " " in session:
        raise InvalidInput("SESSION", session, "name a session; a new one towards a goal begins with `handrail do`")
    if goal is None:
        if check or budget or turns or time:
            raise InvalidInput("--goal", "", "say the goal too, or none of its checks and limits")
        back = calls.post(data, f"/tasks/{session}/handoff")
        return _said(back, f"its run goes on; follow it: handrail attach {back['session']}", as_json=as_json)
    wanted = options.goal(goal, check, budget=budget, turns=turns, time=time)
    told = calls.post(data, f"/sessions/{session}/handoff", wanted)
    name = acts.short(told)
    return _said(told, f"session {name} is handed off; follow it: handrail attach {name}", as_json=as_json)


def diff(
    session: options.Session = "last",
    turn: Annotated[int | None, typer.Option("--turn", min=1, metavar="N", help="Only what turn N changed.")] = None,
    stat: Annotated[bool, typer.Option("--stat", help="Only the files and how much of them changed.")] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Print the change of a session; not on a terminal, it is a patch that `git apply` takes."""
    told = options.run(_diff(data, session, turn))
    if as_json:
        options.put_json(told)
    elif stat:
        printed(acts.stat_lines(told))
    elif sys.stdout.isatty():
        printed(acts.patch_lines(told))
    else:
        sys.stdout.write(str(told.get("patch") or ""))
        if told.get("truncated"):
            sys.stderr.write("handrail: the patch is cut, because it is longer than the server sends\n")
            return 1
    return 0


async def _diff(data: Path | None, session: str, turn: int | None) -> Obj:
    async with options.client(data) as client:
        return await acts.diff(client, session, turn=turn)


def undo(
    session: options.Session = "last",
    to: Annotated[
        int | None,
        typer.Option("--to", min=0, metavar="TURN", help="Back to the state after that turn; 0 is the start."),
    ] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Put a session's workspace back back to the state before its last turn, or after TURN."""
    return options.run(_undo(data, session, to, as_json=as_json))


async def _undo(data: Path | None, session: str, to: int | None, *, as_json: bool) -> int:
    async with options.client(data) as client:
        told, rows = await acts.undo(client, session, to)
    return _finished(told, rows, as_json=as_json)


def apply(
    session: options.Session = "last",
    branch: Annotated[str | None, typer.Option("--branch", metavar="NAME", help="Name of the branch to make.")] = None,
    uncommitted: Annotated[
        bool, typer.Option("--uncommitted", help="Uncommitted changes instead of a branch.")
    ] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Bring a session's change to your checkout, as a branch or as uncommitted changes."""
    if branch is not None and uncommitted:
        raise typer.BadParameter("give --branch or --uncommitted, not both")
    return options.run(_apply(data, session, branch, uncommitted=uncommitted, as_json=as_json))


async def _apply(data: Path | None, session: str, branch: str | None, *, uncommitted: bool, as_json: bool) -> int:
    async with options.client(data) as client:
        told, rows = await acts.apply(client, session, branch=branch, uncommitted=uncommitted)
    return _finished(told, rows, as_json=as_json)


def _finished(told: Obj, rows: list[Line], *, as_json: bool) -> int:
    if as_json:
        options.put_json(told)
    else:
        printed(rows)
    return 0


def _said(told: Obj, sentence: str, *, as_json: bool) -> int:
    return _finished(told, [line(sentence)], as_json=as_json)
