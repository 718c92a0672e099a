"""The command line: a client of the HTTP API and of nothing else."""

from __future__ import annotations

import importlib


def main() -> int:
    """Run the `handrail` command and return its exit status.

    The command tree is imported here by name, because `handrail.cli.keeper` shares this package and stays small.
    """
    return int(importlib.import_module("handrail.cli.app").main())
