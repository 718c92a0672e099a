"""`make bench`: run everything, print one line a figure, keep them in `latest.json`."""

from __future__ import annotations

import compileall
import json
import platform
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import egress, events, gateway, log, many, pages, policy, runs, sandbox, stage, start, steps

PARTS = {
    "start": start.run,
    "steps": steps.run,
    "many": many.run,
    "log": log.run,
    "events": events.run,
    "runs": runs.run,
    "gateway": gateway.run,
    "egress": egress.run,
    "policy": policy.run,
    "sandbox": sandbox.run,
    "pages": pages.run,
}
LATEST = Path(__file__).with_name("latest.json")


def main(names: list[str]) -> None:
    """Run the parts that are named, or all; only a whole run is kept."""
    compileall.compile_dir(stage.ROOT / "src", quiet=2, workers=0)  # as pip leaves an installation
    figures = []
    for name, run in PARTS.items():
        if names and name not in names:
            continue
        with tempfile.TemporaryDirectory(prefix="handrail-bench-") as folder:
            for figure in run(Path(folder)):
                figures.append(figure)
                print(figure.line(), flush=True)
    if not names:
        python = platform.python_version()
        measured = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{platform.system()} {platform.release()} {platform.machine()}, Python {python}",
            "figures": [asdict(figure) | {"ratio": figure.ratio} for figure in figures],
        }
        LATEST.write_text(json.dumps(measured, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
