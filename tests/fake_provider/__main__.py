"""The fake as a program: prints its URL, then one JSON line a call into the log."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import TextIO

from tests.fake_provider.script import Script, read
from tests.fake_provider.server import Call, FakeProvider


async def _serve(port: int, unix: Path | None, log: TextIO | None, script: Script | None, *, bodies: bool) -> None:
    def write(call: Call) -> None:
        line = {
            "method": call.method,
            "path": call.path,
            "status": call.status,
            "bytes": len(call.raw),
            "arrived": call.arrived,
            "answered": call.answered,
            "disconnected": call.disconnected,
            "headers": call.headers,
        }
        if bodies:
            line["body"] = call.raw.decode(errors="replace")
        if log:
            log.write(json.dumps(line) + "\n")
            log.flush()

    told = write if log else None
    async with FakeProvider(port=port, unix=unix, keep=False, on_call=told, script=script) as fake:
        print(fake.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Parse the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(description="A scripted model provider on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--unix", type=Path)
    parser.add_argument("--log", type=Path, help="one JSON line a call; times are CLOCK_MONOTONIC seconds")
    parser.add_argument("--script", type=Path, help="a JSON list of steps for prompts that carry none")
    parser.add_argument("--bodies", action="store_true", help="keep request bodies in the log")
    args = parser.parse_args()
    log = args.log.open("a", encoding="utf-8") if args.log else None
    script = read(args.script.read_text("utf-8")) if args.script else None
    try:
        asyncio.run(_serve(args.port, args.unix, log, script, bodies=args.bodies))
    except KeyboardInterrupt:
        pass
    finally:
        if log:
            log.close()


main()
