"""Writes what the tours saw into `docs/reference/agents.json` and, made from that, `docs/reference/agents.md`.

`python -m tests.real_agents.table` renders the page; with names (or `all`) it takes the tours of those agents first.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from handrail.agents.catalogue import ORDER, get
from tests.real_agents.tour import tour

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
DATA = REFERENCE / "agents.json"
PAGE = REFERENCE / "agents.md"

Row = dict[str, Any]


def rows() -> list[Row]:
    """The kept results, in the order of the catalogue."""
    kept: dict[str, Row] = json.loads(DATA.read_text("utf-8")) if DATA.exists() else {}
    return [kept[name] for name in ORDER if name in kept]


def render(found: list[Row]) -> str:
    """The page."""
    heads = ["", *(row["title"] for row in found)]
    lines = [_line(heads), _line(["---"] * len(heads))]
    lines += [_line([label, *(_cell(row, key) for row in found)]) for label, key in _ROWS]
    notes = [f"- **{row['title']}**: {note}." for row in found for note in get(row["agent"]).notes]
    packages = [_package(row["agent"]) for row in found]
    return _PAGE.format(table="\n".join(lines), notes="\n".join(notes), packages="\n".join(packages))


_ROWS = (
    ("version", "version"),
    ("seconds until a session is open", "seconds_to_session"),
    ("mode that asks", "mode"),
    ("asks before an edit", "edit_asked"),
    ("shows the edit", "edit_shown"),
    ("an approved edit is made", "edit_done"),
    ("a denied edit is not made, and told as failed", "denied"),
    ("asks before a command", "command_asked"),
    ("tells a command's output", "command_output"),
    ("cancel in mid-command, seconds", "cancel"),
    ("cancel ends the command", "cancel_ended_command"),
    ("goes on after cancel", "usable_after_cancel"),
    ("processes left after kill -9", "left_after_kill"),
    ("says it can load a session", "advertised"),
    ("loads its session after kill -9, and remembers", "memory"),
    ("refuses a session that never was", "refuses_unknown"),
    ("an error of the provider is recognised", "error_seen"),
)

_PAGE = """# What each agent can do

Made by `python -m tests.real_agents.table all` from real runs: each agent at its pinned version inside the
bubblewrap walls, with a scripted model provider behind the only door. "yes" means that it was tried and seen.

{table}

{notes}

## Packages

| agent | package | licence |
| --- | --- | --- |
{packages}
"""


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def _cell(row: Row, key: str) -> str:
    match key:
        case "denied":
            value: object = row["denied_edit_kept_out"] and row["denied_edit_told"]
        case "advertised":
            value = row["advertises_load"] or row["advertises_resume"]
        case "memory":
            value = row["loaded"] and row["remembered"]
        case "cancel":
            value = f"{row['seconds_to_cancel']:.1f}" if row["cancelled"] else False
        case "mode":
            value = get(row["agent"]).ask.value or "by its settings"
        case _:
            value = row[key]
    if value is None:
        return "not tried"
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return str(value)


def _package(name: str) -> str:
    spec = get(name)
    where = (
        f"{spec.package.registry} `{spec.package.name}@{spec.package.version}`"
        if spec.package
        else "comes with Handrail"
    )
    return f"| {spec.title} | {where} | {spec.licence} |"


def main(names: list[str]) -> None:
    """Take the tours of `names` and write both files."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    kept = {row["agent"]: row for row in rows()}
    for name in ORDER:
        if name in names or "all" in names:
            print(f"{name} …", file=sys.stderr, flush=True)
            kept[name] = asyncio.run(tour(name)).table()
            DATA.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    PAGE.write_text(render(rows()), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
