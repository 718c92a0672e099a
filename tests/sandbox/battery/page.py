"""The table of `docs/explanation/security.md`, from what a run has found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from tests.sandbox.battery import machine
from tests.sandbox.battery.course import BUSY, GROUPS, MACHINE, NAMES, Tried
from tests.sandbox.battery.ground import ROOT

FOUND = ROOT / "docs" / "explanation" / "security.json"
PAGE = ROOT / "docs" / "explanation" / "security.md"
BEGIN, END = "<!-- from security.json -->\n", "<!-- end -->\n"


class Row(TypedDict):
    """One attempt."""

    group: str
    name: str
    walls: str
    """`held`, `flagged` (a file that a task may write) or `through`"""
    bites: bool
    """it got through without walls"""


class Found(TypedDict):
    """One run."""

    when: str
    machine: str
    traits: dict[str, str]
    attempts: list[Row]


def rows(walled: Sequence[Tried], plain: Sequence[Tried]) -> list[Row]:
    """What came of each attempt on both sides, in the order in which they are told."""
    bites = {tried.name: tried.got for tried in plain}
    verdicts = {tried.name: "through" if tried.got else "flagged" if tried.flagged else "held" for tried in walled}
    names = [name for group in GROUPS for name in NAMES if NAMES[name] == group and name in verdicts]
    return [Row(group=NAMES[name], name=name, walls=verdicts[name], bites=bites[name]) for name in names]


def load(path: Path = FOUND) -> Found:
    """The last run that was kept."""
    found: Found = json.loads(path.read_text("utf-8"))
    return found


def excused(found: Found) -> frozenset[str]:
    """What need not be seen to bite here: on a machine like that of `found`, only what did not there."""
    if (found["machine"], found["traits"]) != (machine.name(), machine.traits()):
        return MACHINE
    return MACHINE & ({row["name"] for row in found["attempts"] if not row["bites"]} | BUSY)


def table(found: Found) -> str:
    """The table, and what it was measured on."""
    lines = [
        f"Measured on {found['when']}: {found['machine']}.\n",
        "| group | attempts | through, with walls | written, and flagged | through, without walls |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for group, title in (*GROUPS.items(), ("", "**all**")):
        of = [row for row in found["attempts"] if row["group"] == group or not group]
        counts = (
            len(of),
            sum(row["walls"] == "through" for row in of),
            sum(row["walls"] == "flagged" for row in of),
            sum(row["bites"] for row in of),
        )
        lines.append(f"| {title} | {' | '.join(map(str, counts))} |")
    blunt = ", ".join(f"`{row['name']}`" for row in found["attempts"] if not row["bites"])
    return "\n".join([*lines, "", f"Stopped by that machine itself, so nothing is proved by them there: {blunt}.\n"])


def page(text: str, found: Found) -> str:
    """`text` of the page with the table of `found`."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table(found)}\n{END}{rest.partition(END)[2]}"
