"""The double as a program, for demonstrations: prints its URL and token, keeps its repositories in a directory."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from pathlib import Path

from tests.fake_github.server import FakeGitHub


async def _serve(root: Path, port: int, names: list[str], webhook: str | None, secret: str) -> None:
    async with FakeGitHub(root, port=port) as github:
        for name in names:
            await github.create(name)
        if webhook:
            github.webhooks.append((webhook, secret))
        print(json.dumps({"url": github.url, "token": github.token, "repositories": names}), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Parse the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(description="A GitHub on loopback, with real bare repositories.")
    parser.add_argument("root", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--repository", action="append", default=[], metavar="OWNER/NAME")
    parser.add_argument("--webhook", help="where deliveries go")
    parser.add_argument("--secret", default="", help="what signs them")
    args = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(args.root, args.port, args.repository, args.webhook, args.secret))


main()
