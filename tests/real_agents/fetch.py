"""Fetches agents into the shared cache: `python -m tests.real_agents.fetch claude goose`, or `all`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from handrail.agents import catalogue, install

CACHE = Path(os.environ.get("HANDRAIL_AGENTS_DIR") or Path(__file__).parents[2] / ".cache" / "agents")


async def main(names: list[str]) -> None:
    specs = [spec for name, spec in catalogue.catalogue().items() if "all" in names or name in names]
    for spec in specs:
        if install.find(spec, CACHE) is None:
            started = time.monotonic()
            print(
                f"fetching {spec.title} {spec.package.version if spec.package else ''} …", file=sys.stderr, flush=True
            )
            await install.install(spec, CACHE)
            print(f"fetched in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
