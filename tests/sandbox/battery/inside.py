"""Try what the arguments name (everything without any) against the targets on stdin, and print what got through."""

from __future__ import annotations

import json
import sys

from tests.sandbox.battery import (
    ATTEMPTS,
    CONTROLS,
    controls,
    disk,
    kernel,
    network,
    proxy,
    reads,
    resources,
    secrets,
    tried,
    writes,
)

MODULES = (reads, writes, kernel, network, proxy, secrets, resources, disk)
"""what is tried, in this order"""
assert controls.__name__ not in {module.__name__ for module in MODULES}

if __name__ == "__main__":
    given = json.load(sys.stdin)
    answers = {name: tried({**ATTEMPTS, **CONTROLS}[name], given) for name in sys.argv[1:]}
    sys.stdout.write(json.dumps(answers))
