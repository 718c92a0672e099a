"""A module that can be started cold and warm: it runs each line of its input, JSON of a program."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Obey until the input ends."""
    for line in sys.stdin.buffer:
        exec(json.loads(line), {"__name__": "obedient"})  # noqa: S102
        sys.stdout.flush()


if __name__ == "__main__":
    main()
