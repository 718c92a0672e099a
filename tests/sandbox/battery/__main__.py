"""`python -m tests.sandbox.battery`, as root: run both sides, keep what came of it, and renew the page."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime

from tests.sandbox.battery import course, machine
from tests.sandbox.battery.page import FOUND, PAGE, Found, page, rows


async def main() -> int:
    """Returns 1 where anything got through."""
    if not course.PROVES:
        sys.stderr.write("run it as root: else the machine stops what should be seen to bite without walls\n")
        return 2
    plain = await course.without_walls()
    walled = await course.behind_walls()
    found = Found(
        when=datetime.now(UTC).date().isoformat(),
        machine=machine.name(),
        traits=machine.traits(),
        attempts=rows(walled, plain),
    )
    through = [f"{tried.group} {tried.name}: {tried.said}" for tried in walled if tried.got]
    sys.stdout.write("\n".join([*through, f"{len(walled)} attempts, {len(through)} through"]) + "\n")
    FOUND.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8"), found), "utf-8")
    return 1 if through else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
