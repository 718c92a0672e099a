"""Acts on a session that verbs and slash verbs share; each calls the API and gives back the lines to show."""

from __future__ import annotations

import re
import shlex

from handrail.cli.clean import one_line
from handrail.cli.client import LONG, Client, Obj
from handrail.cli.layout import NOT_METERED, Line, Span, cost, line, patch_line, table
from handrail.cli.options import goal
from handrail.errors import InvalidInput


def short(session: Obj) -> str:
    """A session's id as a person types it."""
    return str(session.get("id", ""))[:12]


async def diff(client: Client, session: str, *, turn: int | None = None) -> Obj:
    """The change of a session, or of one of its turns."""
    return await client.get(f"/sessions/{session}/diff", from_turn=turn, to_turn=turn)


def stat_lines(change: Obj) -> list[Line]:
    """Files with what was added and removed."""
    files = list(change.get("files") or [])
    if not files:
        return [line(Span("no change", "dim"))]
    rows = []
    for file in files:
        size = "binary" if file.get("binary") else f"+{file.get('added') or 0} -{file.get('removed') or 0}"
        flag = f"  ({one_line(str(file['flag']))})" if file.get("flag") else ""
        row = line(f"  {one_line(str(file.get('status') or ''), 10):<10} {one_line(str(file.get('path')), 200)}  ")
        rows.append(row + line(Span(size, "dim"), Span(flag, "yellow")))
    added, removed = (sum(int(file.get(key) or 0) for file in files) for key in ("added", "removed"))
    count = f"{len(files)} file{'' if len(files) == 1 else 's'}"
    return [*rows, line(Span(f"  {count}, +{added} -{removed}", "bold"))]


def patch_lines(change: Obj) -> list[Line]:
    """The patch in colour."""
    patch = str(change.get("patch") or "")
    rows = [patch_line(text) for text in patch.splitlines()] or stat_lines(change)
    cut = [line(Span("… the patch is longer than the server sends", "yellow"))] if change.get("truncated") else []
    return [*rows, *cut]


async def undo(client: Client, session: str, turn: int | None) -> tuple[Obj, list[Line]]:
    """Go back to the state after a turn, 0 being the start (None: before the last one)."""
    told = await client.post(f"/sessions/{session}/undo", {"to_turn": turn}, timeout=LONG)
    state = f"as it was after turn {told.get('turn')}" if told.get("turn") else "as it was at the start"
    said = f"the workspace is {state} ({str(told.get('commit'))[:12]})"
    return told, [line(Span(said, "green"))]


async def apply(client: Client, session: str, *, branch: str | None, uncommitted: bool) -> tuple[Obj, list[Line]]:
    """Bring the change to the user's checkout, as a branch or as uncommitted changes."""
    mode = "uncommitted" if uncommitted else "branch"
    told = await client.post(f"/sessions/{session}/apply", {"mode": mode, "branch": branch}, timeout=LONG)
    files = told.get("files")
    count = files if isinstance(files, int) else len(files or [])
    where = f"as branch {told.get('branch')}" if mode == "branch" else "as uncommitted changes of your checkout"
    rows = [line(Span(f"applied {where}, {count} file{'' if count == 1 else 's'}", "green"))]
    if mode == "branch":
        rows.append(
            line(
                Span(f"  see it: git diff HEAD...{told.get('branch')}; take it: git merge {told.get('branch')}", "dim")
            )
        )
    return told, rows


def money(session: Obj) -> str:
    """What a session cost, or that nobody knows."""
    if session.get("login"):
        return NOT_METERED
    return cost(session.get("cost_nano"), int(session.get("unpriced") or 0))


def bill(session: Obj) -> str:
    """What a session cost, and over how many turns."""
    turns = int(session.get("turn") or 0)
    return f"{money(session)} over {turns} {'turn' if turns == 1 else 'turns'}"


async def spent(client: Client, session: str) -> list[Line]:
    """What a session cost so far."""
    told = await client.get(f"/sessions/{session}")
    tokens = told.get("tokens") or {}
    used = ", ".join(f"{tokens.get(key) or 0} {key}" for key in ("input", "cached", "output"))
    return [line(f"{bill(told)}; tokens: {used}")]


def typed_goal(text: str) -> Obj:
    """`GOAL [--check CMD]… [--budget USD] [--turns N] [--time 30m]` as one types it after `/handoff`.

    Raises:
        InvalidInput: a quote is open, an option is unknown or lacks its value.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InvalidInput("/handoff", text, "close the quotes") from error
    told: list[str] = []
    checks: list[str] = []
    options: dict[str, str] = {}
    at = iter(words)
    for word in at:
        if not re.fullmatch(r"--(check|budget|turns|time)", word):
            told.append(word)
            continue
        value = next(at, None)
        if value is None:
            raise InvalidInput("/handoff", word, "give its value after it")
        if word == "--check":
            checks.append(value)
        else:
            options[word[2:]] = value
    turns = options.get("turns")
    if turns is not None and not (turns.isdigit() and int(turns) > 0):
        raise InvalidInput("--turns", turns, "give a number above 0")
    return goal(
        " ".join(told),
        checks,
        budget=options.get("budget"),
        turns=int(turns) if turns else None,
        time=options.get("time"),
    )


def session_rows(sessions: list[Obj], limit: int) -> list[Line]:
    """The table of `handrail sessions`."""
    rows = [
        (
            short(item),
            str(item.get("outcome") or item.get("state")),
            str(item.get("control")),
            str(item.get("agent"))
            + (" NO SANDBOX" if item.get("sandbox") == "none" else "")
            + (" HOLDS A SECRET" if item.get("login") else ""),
            str(item.get("turn") or 0),
            money(item),
            str(item.get("updated") or "")[:16].replace("T", " "),
            str(item.get("title") or item.get("repository") or ""),
        )
        for item in sessions
    ]
    return table(("session", "state", "control", "agent", "turns", "cost", "updated", "title"), rows, limit=limit)
