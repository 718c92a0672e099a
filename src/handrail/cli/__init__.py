"""The command line: a client of the HTTP API and of nothing else."""

from __future__ import annotations

import gc
import importlib


def main() -> int:
    """Run the `handrail` command and return its exit status.

    The command tree is imported here by name, because `handrail.cli.keeper` shares this package and stays small; what
    it makes stays, so that looking for garbage meanwhile is for nothing.
    """
    gc.disable()
    app = importlib.import_module("handrail.cli.app")
    gc.enable()
    return int(app.main())
